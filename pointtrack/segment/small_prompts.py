"""Draws prompts of our small segmenter as maps beside the frame, so that it need not learn what a click means.

Source: click maps of interactive segmentation (Xu et al. 2016), from the paper.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from pointtrack.geometry import sample_features

# The kinds of prompt tokens.
NEGATIVE, POSITIVE, BOX_START, BOX_END, NOTHING = 0, 1, 2, 3, -1
LOW_STRIDE = 4  # pixels per cell of these maps, and of masks that serve as prompts
DISK_PX = 6.0
DRAWN_MAPS = 6  # in addition to two of similarity per level


@dataclass(frozen=True)
class PromptBatch:
    """m prompts, each on one of the frames; all places in pixels of the network's input.

    Attributes:
        frame: (m,) int64 the frame of each prompt.
        points: (m, k, 2) points and corners of boxes, (x, y).
        kinds: (m, k) int64: NEGATIVE, POSITIVE, BOX_START, BOX_END, or NOTHING for an empty place.
        former: (m, h / 4, w / 4) logits of an earlier mask.
        has_former: (m,) bool: whether there is one.
    """

    frame: Tensor
    points: Tensor
    kinds: Tensor
    former: Tensor
    has_former: Tensor


def draw_prompts(appearance: Sequence[Tensor], strides: Sequence[int], requested: PromptBatch) -> Tensor:
    """(m, 6 + 2 l, h / 4, w / 4) maps of prompts.

    In order: disks around positive and around negative points, inside of the box, whether there is a box, former
    mask, whether there is one; then per level the similarity to the most similar positive and negative point.

    Args:
        appearance: l levels (b, c, h / stride, w / stride) of unit length to compare cells by.
        strides: of the levels.
        requested: the prompts.
    """
    h, w = requested.former.shape[1:]
    x = _centres(w, requested.former.device)
    y = _centres(h, requested.former.device)
    near_x = torch.exp(-0.5 * ((requested.points[..., 0, None] - x) / DISK_PX) ** 2)
    near_y = torch.exp(-0.5 * ((requested.points[..., 1, None] - y) / DISK_PX) ** 2)
    disks = _of_kinds(near_y[..., :, None] * near_x[..., None, :], requested.kinds)
    start, end = (requested.kinds == kind for kind in (BOX_START, BOX_END))
    low, high = ((requested.points * which[..., None]).sum(dim=1) for which in (start, end))
    boxed = start.any(dim=1)[:, None, None].float()
    # With soft edges one cell wide, even a box smaller than a cell is visible.
    across = _between(x, low[:, :1], high[:, :1])
    down = _between(y, low[:, 1:], high[:, 1:])
    inside = boxed * down[:, :, None] * across[:, None, :]
    known = requested.has_former[:, None, None].float()
    former = known * (2 * requested.former.float().sigmoid() - 1)
    flat = torch.ones_like(former)
    drawn = [disks, torch.stack([inside, boxed * flat, former, known * flat], dim=1)]
    for cells, stride in zip(appearance, strides, strict=True):
        similar = _of_kinds(_similarity(cells.float(), stride, requested), requested.kinds)
        drawn.append(F.interpolate(similar, (h, w), mode="bilinear"))
    return torch.cat(drawn, dim=1)


def place_waves(xy: Tensor, width: int) -> Tensor:
    """(..., 2) places in pixels -> (..., width) sines and cosines, of waves 16 to 2,048 pixels long."""
    count = width // 4
    length = 16.0 * 128.0 ** (torch.arange(count, device=xy.device, dtype=torch.float32) / max(count - 1, 1))
    angle = (xy[..., None].float() * (2 * math.pi / length)).flatten(-2)
    return torch.cat([angle.sin(), angle.cos()], dim=-1)


def _similarity(cells: Tensor, stride: int, requested: PromptBatch) -> Tensor:
    """(m, k, h', w') cosines of every point's cell with all cells of its frame."""
    # Per point, read its features on its own frame, then one product with that frame's cells.
    of_points = sample_features(cells[requested.frame], (requested.points + 0.5) / stride - 0.5)
    similarity = torch.einsum("mkc,mcp->mkp", of_points, cells[requested.frame].flatten(2))
    return rearrange(similarity, "m k (h w) -> m k h w", h=cells.shape[2])


def _of_kinds(values: Tensor, kinds: Tensor) -> Tensor:
    """(m, k, h, w) per point -> (m, 2, h, w): the highest of the positive and of the negative points."""
    drawn = []
    for kind in (POSITIVE, NEGATIVE):
        # 0 stands for no point, so negative values become 0.
        of_kind = values * (kinds == kind)[..., None, None]
        drawn.append(of_kind.amax(dim=1).clamp(min=0) if of_kind.shape[1] else of_kind.sum(dim=1))
    return torch.stack(drawn, dim=1)


def _centres(count: int, device: torch.device) -> Tensor:
    """Centres of the maps' cells in pixels."""
    return LOW_STRIDE * (torch.arange(count, device=device, dtype=torch.float32) + 0.5) - 0.5


def _between(cells: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """(s,) places of cells, (m, 1) bounds -> (m, s): 1 inside, 0 outside, linear over one cell in between."""
    return (torch.minimum(cells - low, high - cells) / LOW_STRIDE + 0.5).clamp(0, 1)
