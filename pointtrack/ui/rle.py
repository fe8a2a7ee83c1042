"""The page's format of masks: a box, and run lengths row by row inside it, beginning with the background."""

from __future__ import annotations

from typing import Any

import numpy as np


def encode_mask(mask: np.ndarray) -> dict[str, Any] | None:
    """(h, w) bool -> {"box": [x, y, w, h], "runs": [...]}; None for an empty mask.

    >>> encode_mask(np.array([[0, 0, 0], [0, 1, 1], [0, 1, 0]], bool))
    {'box': [1, 1, 2, 2], 'runs': [0, 3, 1]}
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    y, x = int(rows[0]), int(columns[0])
    cut = mask[y : int(rows[-1]) + 1, x : int(columns[-1]) + 1]
    flat = np.concatenate([[False], cut.ravel(), [not cut.flat[-1]]])
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    runs = np.diff(np.concatenate([[0], edges]))
    return {"box": [x, y, cut.shape[1], cut.shape[0]], "runs": runs.tolist()}


def decode_mask(coded: dict[str, Any], wh: tuple[int, int]) -> np.ndarray:
    """Decode what `encode_mask` returned to a (h, w) bool mask.

    Raises:
        ValueError: the box is outside the frame, or the runs do not fill it.
    """
    try:
        x, y, w, h = (int(side) for side in coded["box"])
        runs = np.asarray(coded["runs"], np.int64)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"mask: expected a box and runs ({error})") from error
    if not (0 <= x < x + w <= wh[0] and 0 <= y < y + h <= wh[1]):
        raise ValueError(f"mask: expected a box within {wh[0]} x {wh[1]} pixels, got {coded['box']}")
    if runs.ndim != 1 or ((runs < 0) | (runs > w * h)).any() or runs.sum() != w * h:
        raise ValueError(f"mask: expected runs of {w * h} pixels together, got others")
    mask = np.zeros((wh[1], wh[0]), bool)
    mask[y : y + h, x : x + w] = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(h, w)
    return mask
