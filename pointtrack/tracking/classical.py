"""Classical trackers as baselines: chained DIS flow, chained Lucas-Kanade, a point that stays in place."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import torch
from einops import rearrange

from pointtrack.geometry import inside_image, sample_features
from pointtrack.types import Queries, Tracks, Video

Method = Callable[[Video, Queries], Tracks]
# (from frame, to frame, (k, 2) pixels) -> (k, 2) pixels and (k,) round-trip error in pixels.
Step = Callable[[int, int, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]

ROUND_TRIP_PX = 1.5  # visibility is 0.5 if the way there and back misses its start by this much
LK_WINDOW = (21, 21)
LK_LEVELS = 4


def static(video: Video, queries: Queries) -> Tracks:
    """Every point stays at its query position, always visible. The floor of every comparison."""
    xy = queries.xy[None].repeat(len(video), 1, 1)
    ones = torch.ones(len(video), len(queries))
    return Tracks(xy, ones, ones, queries, video.wh, fps=video.fps)


def dis(video: Video, queries: Queries) -> Tracks:
    """Dense inverse search flow, chained from frame to frame, forward and backward from each query.

    Flow is computed once per pair of frames and direction, at the size of the video.

    Source: Kroeger et al., 2016; OpenCV's DISOpticalFlow, preset medium.
    """
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)  # type: ignore[attr-defined]
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in video.frames]
    last = int(queries.frame.max()) if len(queries) else 0
    kept: dict[tuple[int, int], torch.Tensor] = {}

    def field(start: int, end: int) -> torch.Tensor:
        if (start, end) in kept:
            return kept[start, end].float()
        moved = rearrange(torch.from_numpy(flow.calc(grey[start], grey[end], None)), "h w xy -> 1 xy h w")
        if max(start, end) <= last:  # the backward pass from the last query needs it again
            kept[start, end] = moved.half()  # half the memory; 1/128 px at worst for motion below 32 px
        return moved

    def step(start: int, end: int, xy: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        there = xy + sample_features(field(start, end), xy[None])[0]
        back = there + sample_features(field(end, start), there[None])[0]
        return there, torch.linalg.vector_norm(back - xy, dim=-1)

    return _chain(video, queries, step)


def lk(video: Video, queries: Queries) -> Tracks:
    """Pyramidal Lucas-Kanade, chained from frame to frame, forward and backward from each query.

    Source: Bouguet, 2000; OpenCV's calcOpticalFlowPyrLK, 21 x 21 windows on 5 levels.
    """
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in video.frames]

    def follow(start: int, end: int, xy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        there, found, _ = cv2.calcOpticalFlowPyrLK(  # type: ignore[call-overload]
            grey[start], grey[end], xy, None, winSize=LK_WINDOW, maxLevel=LK_LEVELS
        )
        found = found[:, 0] == 1
        return np.where(found[:, None], there, xy), found

    def step(start: int, end: int, xy: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        origin = np.ascontiguousarray(xy.numpy(), dtype=np.float32)
        there, found = follow(start, end, origin)
        back, found_back = follow(end, start, there)
        error = np.linalg.norm(back - origin, axis=1)
        error[~(found & found_back)] = np.inf
        return torch.from_numpy(there), torch.from_numpy(error)

    return _chain(video, queries, step)


BASELINES: dict[str, Method] = {"dis": dis, "lk": lk, "static": static}


def _chain(video: Video, queries: Queries, step: Step) -> Tracks:
    """Track every point away from its query frame, first to the end, then to the start of the video.

    Visibility is 1 / (1 + (error / ROUND_TRIP_PX)**2), the lowest so far, as a chain that has lost its point does not
    find it again. Outside the image it is 0.
    """
    t, n = len(video), len(queries)
    queries.check_inside(t, video.wh)
    points = torch.arange(n)
    xy = torch.full((t, n, 2), float("nan"))
    trust = torch.zeros(t, n)
    xy[queries.frame, points] = queries.xy
    trust[queries.frame, points] = 1.0

    def advance(start: int, end: int, active: torch.Tensor) -> None:
        if not active.any():
            return
        xy[end, active], error_px = step(start, end, xy[start, active])
        trust[end, active] = torch.minimum(trust[start, active], 1 / (1 + (error_px / ROUND_TRIP_PX) ** 2))

    for frame in range(t - 1):
        advance(frame, frame + 1, queries.frame <= frame)
    for frame in range(t - 1, 0, -1):
        advance(frame, frame - 1, queries.frame >= frame)
    visibility = trust * inside_image(xy, video.wh)
    visibility[queries.frame, points] = 1.0
    return Tracks(xy, visibility, visibility, queries, video.wh, fps=video.fps)
