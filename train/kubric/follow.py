"""Exact tracks: points on the triangles of posed meshes; rays from the camera decide their visibility.

A query point keeps its triangle and its position in it, so it follows anything that moves the corners, as long as
the triangles stay the same. Blender (tracks.py) or Embree (train/rays) poses the scene and casts the rays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from train.kubric.geometry import Pinhole, barycentric, in_image, pick_spread, share_out

# Share of the queries that starts at each moment of the clip (0 the first frame, 1 the last).
QUERY_STARTS = ((0.0, 0.5), (0.25, 0.2), (0.5, 0.15), (0.75, 0.15))
# A ray that stops short of its point by at most this share of the distance counts as reaching it.
DEPTH_TOLERANCE = 5e-4
# Distance of a query from the outline of its object, so that rounding cannot put it on another object.
EDGE_PX = 0.75
# Largest share of the queries on one object.
LARGEST_SHARE = 0.3
# Tracks that go behind the camera, or this many picture widths away, teach nothing.
FAR_WIDTHS = 4.0


class Posed(Protocol):
    """A scene at one frame, for rays."""

    lens: Pinhole

    def corners(self, thing: int) -> np.ndarray:
        """(v, 3) float64 corners of a thing in world metres."""
        ...

    def cast(self, xy: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What each pixel (n, 2) shows: thing (n,), -1 for the sky; triangle (n,); world point (n, 3)."""
        ...

    def reached(self, points: np.ndarray) -> np.ndarray:
        """(n,) bool: nothing stands between the camera and each world point (n, 3)."""
        ...


class Stage(Protocol):
    """A scene that can be posed.

    Attributes:
        triangles: (f, 3) numbers of corners, for each thing.
        frames: number of frames.
        wh: width and height of the picture in pixels.
        name: name of the clip, for messages.
    """

    triangles: list[np.ndarray]
    frames: int
    wh: tuple[int, int]
    name: str

    def posed(self, frame: int) -> Posed:
        """The scene at a frame, counted from 0."""
        ...


@dataclass
class Tracks:
    """Tracks of points on surfaces.

    Attributes:
        xy: (t, n, 2) float32 pixels; (0, 0) is the centre of the top-left pixel; not clamped to the picture.
        visible: (t, n) bool: on the picture, and nothing in front.
        query_frame: (n,) int64, the frame on which the point was chosen.
        thing: (n,) int64 number of the thing that the point lies on.
        distance: (t, n) float32 metres from the camera.
    """

    xy: np.ndarray
    visible: np.ndarray
    query_frame: np.ndarray
    thing: np.ndarray
    distance: np.ndarray


def find_queries(
    posed: Posed, wh: tuple[int, int], things_there: int, count: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """About `count` points, spread over all objects in view: thing (n,), triangle (n,), world point (n, 3)."""
    w, h = wh
    step = max(np.sqrt(w * h / (8 * count)), 1.0)
    grid = np.stack(np.meshgrid(np.arange(1, w - 2, step), np.arange(1, h - 2, step)), -1).reshape(-1, 2)
    grid = grid + generator.uniform(0, step, grid.shape)
    grid = grid[(grid <= np.array((w, h)) - 2).all(1)]
    things, faces, points = posed.cast(grid)
    inside = things >= 0
    for offset in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        inside[inside] &= posed.cast(grid[inside] + np.array(offset) * EDGE_PX)[0] == things[inside]
    sizes = np.array([(things[inside] == i).sum() for i in range(things_there)])
    chosen = []
    for thing, quota in enumerate(share_out(count, sizes, LARGEST_SHARE)):
        candidates = np.flatnonzero(inside & (things == thing))
        chosen.append(candidates[pick_spread(grid[candidates], int(quota), generator)])
    picked = np.concatenate(chosen)
    return things[picked], faces[picked], points[picked]


def follow_points(stage: Stage, count: int, generator: np.random.Generator) -> Tracks:
    """Finds about `count` queries over the clip, and the positions of their surface points in every frame.

    Raises:
        RuntimeError: no object is in view at any moment at which queries start.
    """
    things, corners, weights, query_frames = [], [], [], []
    for start, share in QUERY_STARTS:
        frame = round(start * (stage.frames - 1))
        posed = stage.posed(frame)
        wanted = max(round(share * count), 1)
        found, faces, points = find_queries(posed, stage.wh, len(stage.triangles), wanted, generator)
        for thing in np.unique(found):
            own = found == thing
            indices = stage.triangles[thing][faces[own]]
            weights.append(barycentric(posed.corners(thing)[indices], points[own]))
            corners.append(indices)
            things.append(found[own])
            query_frames.append(np.full(own.sum(), frame))
    if not things:
        raise RuntimeError(f"{stage.name}: no object is in view at any moment that queries start at")
    return _usable(
        _follow(
            stage,
            np.concatenate(things),
            np.concatenate(corners),
            np.concatenate(weights),
            np.concatenate(query_frames),
        ),
        stage.wh,
    )


def _follow(
    stage: Stage, thing: np.ndarray, corners: np.ndarray, weights: np.ndarray, query_frame: np.ndarray
) -> Tracks:
    """Poses the scene frame by frame and finds the position of each point (corners (n, 3), weights (n, 3))."""
    frames, wh = stage.frames, stage.wh
    xy = np.zeros((frames, len(thing), 2), np.float32)
    visible, front = np.zeros((2, frames, len(thing)), bool)
    distance = np.zeros((frames, len(thing)), np.float32)
    for frame in range(frames):
        posed = stage.posed(frame)
        points = np.zeros((len(thing), 3))
        for one in np.unique(thing):
            own = thing == one
            points[own] = np.einsum("nk,nkc->nc", weights[own], posed.corners(one)[corners[own]])
        xy[frame], front[frame] = posed.lens.project(points)
        distance[frame] = np.linalg.norm(points - posed.lens.place, axis=1)
        inside = in_image(xy[frame], wh) & front[frame]
        visible[frame, inside] = posed.reached(points[inside])
    # A point behind the camera has no pixel: a position far outside marks it, and such tracks are dropped.
    xy[~front] = np.inf
    return Tracks(xy, visible, query_frame, thing, distance)


def _usable(tracks: Tracks, wh: tuple[int, int]) -> Tracks:
    away = np.abs(tracks.xy - (np.array(wh) - 1) / 2).max((0, 2))
    # Rounding may hide a point at a sharp edge from the very ray that found it.
    requested = tracks.visible[tracks.query_frame, np.arange(len(tracks.thing))]
    near = (away < FAR_WIDTHS * max(wh)) & requested
    return Tracks(
        tracks.xy[:, near],
        tracks.visible[:, near],
        tracks.query_frame[near],
        tracks.thing[near],
        tracks.distance[:, near],
    )
