"""The sizes at which the published LocoTrack encodes a video."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor

from pointtrack.models.locotrack.config import UNIT

STEP = 8  # sides are multiples of this


def resize(frames: Tensor, wh: tuple[int, int] | None) -> Tensor:
    """(t, c, h, w) -> (t, c, *wh), bilinear, without antialiasing."""
    if wh is None or (frames.shape[-1], frames.shape[-2]) == tuple(wh):
        return frames
    return F.interpolate(frames, (wh[1], wh[0]), mode="bilinear", align_corners=False)


def automatic_sizes(wh: tuple[int, int]) -> list[tuple[int, int]]:
    """(w, h) from 256 x 256 up to about the size of the video, in equal factors of at most 2.

    >>> automatic_sizes((854, 480)), automatic_sizes((120, 96))
    ([(256, 256), (464, 344), (848, 480)], [(256, 256)])
    """
    factor = max(math.log2(side / UNIT) for side in wh)
    count = math.ceil(factor) + 1
    if wh == (UNIT, UNIT) or count <= 1:
        return [(UNIT, UNIT)]
    return [_reduced(wh, i / (count - 1)) for i in range(count)]


def _reduced(wh: tuple[int, int], power: float) -> tuple[int, int]:
    """Between 256 x 256 (power 0) and a size (power 1), down to multiples of 8."""
    w, h = (STEP * int((UNIT * (side / UNIT) ** power) // STEP) for side in wh)
    return w, h


def encoded_sizes(
    wh: tuple[int, int], sizes: list[tuple[int, int]] | None = None
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Sizes for the first guess and for the refinement, of a list or of `automatic_sizes`.

    Like the published code, this does not resize for an entry that follows one of the video's own size.

    Raises:
        ValueError: an empty list, or sides that are not multiples of 8.
    """
    sizes = automatic_sizes(wh) if sizes is None else [(int(w), int(h)) for w, h in sizes]
    if not sizes or any(side % STEP or side < STEP for size in sizes for side in size):
        raise ValueError(f"sizes: expected (width, height) in multiples of {STEP}, got {sizes}")
    kept = [wh if before == wh else size for before, size in zip([None, *sizes[:-1]], sizes, strict=True)]
    return kept[0], kept[-1]
