"""Layers' data -> videos and points, and tracks -> layers' data. Rows of layers are (frame, y, x), points here (x, y)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import pointtrack as pt


def frames_of(data: Any, limits: tuple[float, float] | None = None) -> np.ndarray:
    """Images as a tracker takes them.

    Args:
        data: (t, h, w) or (t, h, w, 3 or 4), of any type.
        limits: what is black and what is white, for data other than uint8; by default the smallest and largest value.

    Returns:
        (t, h, w, 3) uint8.

    Raises:
        ValueError: another shape.
    """
    images = np.asarray(data)
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.shape[-1] not in (1, 3, 4):
        raise ValueError(f"images: expected (t, y, x) in grey or (t, y, x, 3) in colour, got {images.shape}")
    images = images[..., :3]
    if images.dtype != np.uint8:
        low, high = limits if limits is not None else (float(images.min()), float(images.max()))
        images = (images.astype(np.float32) - low) * (255 / max(high - low, 1e-12))
        images = np.clip(images, 0, 255).round().astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(images, (*images.shape[:3], 3)))


def queries_of(rows: Any, frame: int = 0) -> pt.Queries:
    """Points of a layer.

    Args:
        rows: (n, 3) rows of (frame, y, x), or (n, 2) of (y, x).
        frame: of the latter.

    Raises:
        ValueError: no points, or another shape.
    """
    rows = np.asarray(rows, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] not in (2, 3) or not len(rows):
        raise ValueError(f"points: expected at least one row of (frame, y, x) or (y, x), got {rows.shape}")
    frames = rows[:, 0].round() if rows.shape[1] == 3 else np.full(len(rows), frame)
    return pt.Queries(torch.from_numpy(frames).long(), torch.from_numpy(rows[:, [-1, -2]].copy()).float())


def rows_of(tracks: pt.Tracks) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Tracks as data and features of a Points layer, frame by frame, where they are known.

    Returns:
        (k, 3) rows of (frame, y, x), and per row the id of its point, whether it is visible, the confidence, and whether a
        person said where it is.
    """
    known = tracks.tracked()
    frame, column = known.nonzero().unbind(1)
    xy = tracks.xy[known].double()
    data = torch.stack([(frame + tracks.first_frame).double(), xy[:, 1], xy[:, 0]], dim=1)
    features = {
        "id": tracks.ids[column].numpy(),
        "visible": tracks.visible()[known].numpy(),
        "confidence": tracks.confidence[known].numpy(),
        "corrected": tracks.corrected()[known].numpy(),
    }
    return data.numpy(), features
