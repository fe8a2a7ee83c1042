"""A tracker that drifts by a known amount, to replace the real one in sessions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pointtrack.sessions import point_walks, track_session
from pointtrack.types import Queries, Tracks, Video

FRAMES, WH = 20, (100, 80)
SPEED = torch.tensor([2.0, 1.0])  # of everything in the scene
VIDEO = Video(
    np.arange(FRAMES, dtype=np.uint8)[:, None, None, None] * np.ones((1, WH[1], WH[0], 3), np.uint8)
)


def number_of(video: Video) -> torch.Tensor:
    """(t,) which frames of VIDEO these are."""
    return torch.from_numpy(video.frames[:, 0, 0, 0].astype(np.int64))


def drift(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """From now on the tracker follows the scene, but is off by 0.3 pixels more on every frame; which frames it was asked for."""
    requested: list[list[int]] = []

    def drifting(tracker, video, queries, *, backward=True):
        frames = number_of(video)
        requested.append(frames.tolist())
        t = frames[:, None] - frames[queries.frame]
        away = torch.arange(len(frames))[:, None] - queries.frame
        xy = queries.xy + t[..., None] * SPEED + 0.3 * away.abs()[..., None]
        sure = torch.full(xy.shape[:2], 0.9)
        if not backward:
            xy[away < 0], sure[away < 0] = torch.nan, 0.0
        return Tracks(xy, sure, sure, queries, video.wh)

    def walk(tracker, video, order, xy, *, together):
        piece = Video(video.frames[np.array(order)])
        found = drifting(tracker, piece, Queries(torch.zeros(len(xy)), xy), backward=False)
        for start in range(0, len(found), 4):
            yield found.clip(start, start + 4)

    monkeypatch.setattr(track_session, "track_video", drifting)
    monkeypatch.setattr(point_walks, "walk_points", walk)
    return requested
