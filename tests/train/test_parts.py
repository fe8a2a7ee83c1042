"""The same clips several times, with other points."""

import pytest
import torch

from train.data.batch import ClipBatch
from train.data.parts import ClipParts


class Clips:
    """Batch i is all i; counts how often it is asked."""

    def __init__(self):
        self.asked = []

    def __getitem__(self, number):
        self.asked.append(number)
        xy = torch.arange(7.0)[None, None, :, None].expand(1, 2, -1, 2) + 100 * number
        frames = torch.full((1, 2, 3, 8, 8), number, dtype=torch.uint8)
        return ClipBatch(
            frames, xy, torch.ones(1, 2, 7, dtype=torch.bool), torch.zeros(1, 7, dtype=torch.int64)
        )


def test_every_point_comes_once_and_the_frames_are_the_same():
    clips = Clips()
    parts = ClipParts(clips, 3)
    given = [parts[index] for index in range(3, 6)]
    assert clips.asked == [1]
    assert sorted(torch.cat([part.xy[0, 0, :, 0] for part in given]).tolist()) == [100 + i for i in range(7)]
    assert all(part.frames is given[0].frames for part in given)
    assert [part.query_frame.shape[1] for part in given] == [3, 2, 2]
    assert int(parts[6].frames.max()) == 2 and clips.asked == [1, 2]


def test_any_order_gives_the_same():
    one, other = ClipParts(Clips(), 2), ClipParts(Clips(), 2)
    forward = [one[index].xy for index in range(6)]
    backward = [other[index].xy for index in reversed(range(6))]
    assert all(torch.equal(a, b) for a, b in zip(forward, reversed(backward), strict=True))


def test_no_parts():
    with pytest.raises(ValueError, match="at least 1, got 0"):
        ClipParts(Clips(), 0)
