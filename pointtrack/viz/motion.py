"""One picture of how a dense field of points moved."""

from __future__ import annotations

import numpy as np

from pointtrack.types import Tracks
from pointtrack.viz.colors import even_colors, track_colors


def dense_picture(first: np.ndarray, last: np.ndarray, tracks: Tracks, spacing: int = 1) -> np.ndarray:
    """Three pictures below each other: where points are from, where they are now, and how they moved.

    In the first two every point has the colour of its place on the first frame; those that are hidden on the last one
    are left out there. In the third, on the first frame, hue is the direction of the motion and strength its length,
    full at the 98th percentile; grey is no motion.

    Args:
        first, last: (h, w, 3) uint8 RGB frames.
        tracks: of two frames, these.
        spacing: pixels between neighbouring points on the first frame.

    Raises:
        ValueError: tracks of other than two frames.
    """
    if len(tracks) != 2:
        raise ValueError(f"dense_picture: expected tracks of 2 frames, got {len(tracks)}")
    start, end = tracks.xy.numpy()
    known = tracks.tracked().numpy()
    visible = known & tracks.visible().numpy()
    places = track_colors(tracks)
    parts = [
        _painted(first, start[known[0]], places[known[0]], spacing),
        _painted(last, end[visible[1]], places[visible[1]], spacing),
    ]
    both = known.all(axis=0)
    parts.append(_painted(first, start[both], motion_colors(end[both] - start[both]), spacing))
    return np.concatenate(parts)


def motion_colors(motion: np.ndarray) -> np.ndarray:
    """(n, 2) pixels -> (n, 3) uint8 RGB: hue is the direction, strength the length, full at its 98th percentile."""
    length = np.linalg.norm(motion, axis=-1)
    full = max(float(np.percentile(length, 98)), 1e-6) if len(length) else 1.0
    strength = np.minimum(length / full, 1.0)
    hue = np.rad2deg(np.arctan2(motion[:, 1], motion[:, 0]))
    vivid = even_colors(np.full(len(motion), 0.72), hue).astype(float)
    grey = even_colors(np.full(len(motion), 0.55), hue, chroma=0.0).astype(float)
    return np.rint(grey + strength[:, None] * (vivid - grey)).astype(np.uint8)


def _painted(frame: np.ndarray, xy: np.ndarray, colors: np.ndarray, side: int) -> np.ndarray:
    """The frame with a square of `side` pixels at every point, two parts of colour to one of the frame."""
    h, w, _ = frame.shape
    picture = frame.copy()
    corner = np.rint(xy - (side - 1) / 2).astype(int)
    for dy in range(side):
        for dx in range(side):
            x, y = corner.T + np.array([[dx], [dy]])
            inside = (x >= 0) & (x < w) & (y >= 0) & (y < h)
            x, y = x[inside], y[inside]
            picture[y, x] = (frame[y, x].astype(np.uint16) + 2 * colors[inside].astype(np.uint16)) // 3
    return picture
