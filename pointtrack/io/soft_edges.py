"""Objects cut out of frames with soft edges, and colours spread from some pixels over others."""

from __future__ import annotations

import math

import cv2
import numpy as np

CORE = 1e-3  # share of a pixel's surroundings that must be of one kind to tell its colour


def cut_out(frame: np.ndarray, inside: np.ndarray, edge: float | None = None) -> np.ndarray:
    """(h, w, 4) uint8 RGBA: a frame's object with a soft edge, everything else transparent.

    Args:
        frame: (h, w, 3) uint8 RGB.
        inside: (h, w) bool, the mask.
        edge: width of the edge in pixels, 0 for none; by default `default_edge`.

    Pixels at the edge mix the object with what was behind it; they get colours of the object from within the mask.
    """
    edge = default_edge(inside.shape) if edge is None else edge
    cut = np.zeros((*inside.shape, 4), np.uint8)
    left, top, w, h = cv2.boundingRect(inside.view(np.uint8))
    if not w:
        return cut
    reach = math.ceil(4 * edge) + 1
    rows = slice(max(top - reach, 0), top + h + reach)
    columns = slice(max(left - reach, 0), left + w + reach)
    mask, colors = inside[rows, columns].astype(np.float32), frame[rows, columns]
    if not edge:
        cut[rows, columns, :3] = colors * (mask > 0)[..., None]
        cut[rows, columns, 3] = mask * 255
        return cut
    # Where the object leaves the image it has no edge: borders are repeated.
    alpha = np.clip(1.6 * blurred(mask, edge * 0.6) - 0.45, 0, 1)
    core = cv2.erode(mask, disc(edge * 0.8), borderType=cv2.BORDER_REPLICATE)
    from_within = spread(colors, core, edge)
    lacks = blurred(core, edge)[..., None] < CORE  # thin parts have no core
    colors = np.where((core[..., None] > 0) | lacks, colors, from_within)
    cut[rows, columns, :3] = np.rint(np.where(alpha[..., None] > 0, colors, 0))
    cut[rows, columns, 3] = np.rint(alpha * 255)
    return cut


def default_edge(shape: tuple[int, ...]) -> float:
    """Width in pixels of soft edges in frames of a shape (h, w)."""
    return max(min(shape[:2]) / 200, 1.5)


def spread(colors: np.ndarray, weight: np.ndarray, size: float, *, blocks: bool = False) -> np.ndarray:
    """(h, w, 3) float32 colours blurred over `size` pixels, or in blocks of that side; pixels count by their weight."""
    weighted = np.dstack([colors * weight[..., None], weight]).astype(np.float32)
    if blocks:
        side = max(round(size), 1)
        whole = grown(_filled(shrunk(weighted, side)), side, weight.shape)
    else:
        # Large blurs are made small and enlarged again, which looks the same.
        factor = max(int(size / 2.5), 1)
        small = blurred(shrunk(weighted, factor), size / factor)
        whole = cv2.resize(_filled(small), None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)
        whole = whole[: weight.shape[0], : weight.shape[1]]
    return whole[..., :3] / whole[..., 3:]


def _filled(weighted: np.ndarray) -> np.ndarray:
    """Weighted colours without gaps: where nothing is near, the mean of all."""
    total = weighted.reshape(-1, 4).sum(axis=0)
    mean = total / max(float(total[3]), 1e-6)
    mean[3] = 1.0
    return np.where(weighted[..., 3:] > CORE, weighted, mean).astype(np.float32)


def shrunk(values: np.ndarray, side: int) -> np.ndarray:
    """Means over blocks; those at the right and at the bottom repeat the last pixels."""
    down, right = -values.shape[0] % side, -values.shape[1] % side
    if down or right:
        values = cv2.copyMakeBorder(values, 0, down, 0, right, cv2.BORDER_REPLICATE)
    wh = values.shape[1] // side, values.shape[0] // side
    return cv2.resize(values, wh, interpolation=cv2.INTER_AREA)


def grown(values: np.ndarray, side: int, shape: tuple[int, ...]) -> np.ndarray:
    """Blocks as pixels."""
    return values.repeat(side, axis=0).repeat(side, axis=1)[: shape[0], : shape[1]]


def blurred(values: np.ndarray, sigma: float) -> np.ndarray:
    """A Gaussian blur; borders are repeated."""
    return cv2.GaussianBlur(values, (0, 0), max(sigma, 0.1), borderType=cv2.BORDER_REPLICATE)


def disc(radius: float) -> np.ndarray:
    """The disc that `cv2.dilate` and `cv2.erode` take."""
    side = 2 * math.ceil(radius) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
