"""The same clips several times, with other points."""

import copy

import pytest
import torch

from train.data.batch import ClipBatch
from train.data.parts import ClipParts
from train.data.synthetic import SceneConfig, SyntheticClips
from train.data.textures import procedural_bank
from train.tasks.tracking import TrackingTask


class Clips:
    """Batch i is all i; counts how often it is asked."""

    def __init__(self):
        self.requested = []

    def __getitem__(self, number):
        self.requested.append(number)
        xy = torch.arange(7.0)[None, None, :, None].expand(1, 2, -1, 2) + 100 * number
        frames = torch.full((1, 2, 3, 8, 8), number, dtype=torch.uint8)
        return ClipBatch(
            frames, xy, torch.ones(1, 2, 7, dtype=torch.bool), torch.zeros(1, 7, dtype=torch.int64)
        )


def test_every_point_comes_once_and_the_frames_are_the_same():
    clips = Clips()
    parts = ClipParts(clips, 3)
    given = [parts[index] for index in range(3, 6)]
    assert clips.requested == [1]
    assert sorted(torch.cat([part.xy[0, 0, :, 0] for part in given]).tolist()) == [100 + i for i in range(7)]
    assert all(part.frames is given[0].frames for part in given)
    assert [part.query_frame.shape[1] for part in given] == [3, 2, 2]
    assert int(parts[6].frames.max()) == 2 and clips.requested == [1, 2]


def test_any_order_gives_the_same():
    one, other = ClipParts(Clips(), 2), ClipParts(Clips(), 2)
    forward = [one[index].xy for index in range(6)]
    backward = [other[index].xy for index in reversed(range(6))]
    assert all(torch.equal(a, b) for a, b in zip(forward, reversed(backward), strict=True))


def test_no_parts():
    with pytest.raises(ValueError, match="at least 1, got 0"):
        ClipParts(Clips(), 0)


@pytest.mark.parametrize("frozen", [True, False])
def test_a_frozen_encoder_runs_once_per_clip_and_the_loss_is_the_same(frozen, tiny_tracker, monkeypatch):
    tracker = copy.deepcopy(tiny_tracker)
    bank = procedural_bank(4, torch.Generator().manual_seed(0))
    scene = SceneConfig(frames=6, sizes=((96, 64),), points=12, query_frames=3)
    clips = SyntheticClips(bank, scene, 1, 0)
    parts = ClipParts(clips, 3)
    encoded = []
    encode = tracker.encode
    monkeypatch.setattr(tracker, "encode", lambda frames: encoded.append(1) or encode(frames))
    task = TrackingTask(tracker, [], ((4, 2),), freeze_encoder=frozen)
    losses = [float(task(parts[index])[0].detach()) for index in range(4)]
    assert len(encoded) == (2 if frozen else 4)
    alone = TrackingTask(copy.deepcopy(tiny_tracker), [], ((4, 2),), freeze_encoder=False)
    for index in range(4):
        fresh = clips[index // 3].points(slice(index % 3, None, 3))
        assert losses[index] == pytest.approx(float(alone(fresh)[0].detach()), rel=1e-5)
