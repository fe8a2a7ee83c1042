"""Checks whether tracks fit the pixels: points that are truly visible keep their appearance."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

GAP = 3  # frames between the two pictures of a pair
PAIRS = 16
POINTS = 1500
ENOUGH = 30  # fewest comparisons for a verdict
MOVED_PX = 4.0
_STEPS = np.stack(np.meshgrid([-3, 0, 3], [-3, 0, 3]), axis=-1).reshape(-1, 2).astype(np.float32)


@dataclass(frozen=True)
class PixelCheck:
    """How much the surroundings of points change from one picture of a pair to the other, in grey levels.

    Each value is the median over comparisons, NaN if there were too few.

    Attributes:
        visible: points that are visible on both.
        hidden: points that are hidden, but in the image, on both.
        moved, left_behind: visible ones that moved; and for these, the same place on both pictures instead.
        swapped, swapped_left_behind: the same two with x and y exchanged.
    """

    visible: float
    hidden: float
    moved: float
    left_behind: float
    swapped: float
    swapped_left_behind: float


def pair_frames(frames: int) -> list[tuple[int, int]]:
    """Pairs of frames to compare, spread over the video; none if it has a single frame."""
    gap = min(GAP, frames - 1)
    if gap < 1:
        return []
    starts = np.unique(np.linspace(0, frames - 1 - gap, PAIRS).round().astype(int)).tolist()
    return [(start, start + gap) for start in starts]


def compare_looks(
    pictures: dict[int, np.ndarray], xy: np.ndarray, visible: np.ndarray, valid: np.ndarray
) -> PixelCheck:
    """Measure tracks against the pictures of `pair_frames`.

    Args:
        pictures: frame -> (h, w, 3) uint8.
        xy: (t, n, 2) pixels. visible, valid: (t, n) bool.
    """
    n = xy.shape[1]
    few = np.random.default_rng(0).permutation(n)[:POINTS]
    xy, visible, valid = xy[:, few].astype(np.float32), visible[:, few], valid[:, few]
    soft = {i: cv2.GaussianBlur(picture, (0, 0), 1.2).astype(np.float32) for i, picture in pictures.items()}
    found: dict[str, list[np.ndarray]] = {name: [] for name in PixelCheck.__dataclass_fields__}
    for i, j in pair_frames(len(xy)):
        if i not in soft or j not in soft:
            continue
        known = valid[i] & valid[j] & np.isfinite(xy[[i, j]]).all(axis=(0, 2))
        a, b = np.where(known[:, None], xy[i], 0), np.where(known[:, None], xy[j], 0)
        first, second = soft[i], soft[j]
        known = known & _inside(a, first) & _inside(b, first)
        seen = known & visible[i] & visible[j]
        hidden = known & ~visible[i] & ~visible[j]
        moved = seen & (np.linalg.norm(b - a, axis=1) > MOVED_PX)
        at_a, at_b, stayed = _patches(first, a), _patches(second, b), _patches(second, a)
        found["visible"].append(_change((at_a - at_b)[seen]))
        found["hidden"].append(_change((at_a - at_b)[hidden]))
        found["moved"].append(_change((at_a - at_b)[moved]))
        found["left_behind"].append(_change((at_a - stayed)[moved]))
        c, d = a[moved][:, ::-1], b[moved][:, ::-1]
        inside = _inside(c, first) & _inside(d, first)
        c, d = c[inside], d[inside]
        at_c, at_d, stayed = _patches(first, c), _patches(second, d), _patches(second, c)
        found["swapped"].append(_change(at_c - at_d))
        found["swapped_left_behind"].append(_change(at_c - stayed))
    return PixelCheck(**{name: _median(parts) for name, parts in found.items()})


def _inside(xy: np.ndarray, picture: np.ndarray) -> np.ndarray:
    h, w = picture.shape[:2]
    return np.all((xy >= 2) & (xy <= (w - 3, h - 3)), axis=1)


def _patches(picture: np.ndarray, xy: np.ndarray) -> np.ndarray:
    """(n, 2) pixels -> (n, 9, 3) colours around them."""
    if not len(xy):
        return np.zeros((0, len(_STEPS), 3), np.float32)
    at = (xy[:, None] + _STEPS).astype(np.float32)
    return cv2.remap(picture, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _change(difference: np.ndarray) -> np.ndarray:
    """(n, 9, 3) -> (n,); an overall change of brightness counts only in part."""
    common = difference.mean(axis=1, keepdims=True)
    return np.abs(difference - 0.7 * common).mean(axis=(1, 2))


def _median(parts: list[np.ndarray]) -> float:
    values = np.concatenate(parts) if parts else np.zeros(0)
    return float(np.median(values)) if len(values) >= ENOUGH else float("nan")
