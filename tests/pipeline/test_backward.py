"""How many frames both ways take, as a bar of progress is told before."""

from __future__ import annotations

import pytest
import torch

from pointtrack.pipeline.backward import frames_both_ways, track_video
from pointtrack.pipeline.options import TrackOptions
from pointtrack.types import Queries, Video

FRAMES = torch.zeros(12, 32, 48, 3, dtype=torch.uint8).numpy()


@pytest.mark.parametrize(
    "frame, backward, total", [([0, 0], True, 12), ([0, 7], True, 20), ([0, 7], False, 12), ([], True, 12)]
)
def test_a_bar_is_full_when_all_is_done(tiny_tracker, frame, backward, total):
    queries, options = Queries(frame, [[5.0, 9.0]] * len(frame)), TrackOptions(backward=backward)
    assert frames_both_ways(tiny_tracker, queries, options, len(FRAMES)) == total
    assert frames_both_ways(tiny_tracker, queries, options, None) is None
    done: list[int] = []
    track_video(tiny_tracker, Video(FRAMES, 25), queries, options, progress=done.append)
    assert sum(done) == (total if len(frame) else 0)  # without points there is nothing to go through
