"""Proposes moves of a point before the transformer, which then only has to weigh them.

A network that must regress "go back to where your own past and future say you are" from coordinates learns this
slowly and imprecisely. So these proposals are computed directly, and the refinement chooses, per point and frame, how
much of each to follow (none at all in a new tracker).
"""

from __future__ import annotations

import torch
from torch import Tensor

REACH = (2.0, 6.0)  # per proposal, over how many frames it reads the track's own path
LARGEST = 16.0  # cells: no proposal moves a point farther than this in one round


def path_moves(cells: Tensor, weight: Tensor) -> list[Tensor]:
    """The moves from every position to a straight line through the point's positions on other frames.

    Args:
        cells: (b, t, n, 2) positions.
        weight: (b, t, n) in [0, 1], how far to trust each frame's position.

    Returns:
        Per entry of REACH (b, t, n, 2): the weighted least-squares line through the other frames, nearer
        frames counting more, at this frame, minus the position.
    """
    t = cells.shape[1]
    frame = torch.arange(t, device=cells.device, dtype=cells.dtype)
    lag = frame[None, :] - frame[:, None]  # of the other frame (column) relative to this one (row)
    moves = []
    for reach in REACH:
        near = torch.exp(-lag.abs() / reach) * (lag != 0)
        # Moments of the line fit about this frame; a small ridge keeps the slope finite with one other frame.
        s0, s1, s2 = (torch.einsum("st,btn->bsn", near * lag**k, weight) for k in range(3))
        x0, x1 = (torch.einsum("st,btnx->bsnx", near * lag**k, weight[..., None] * cells) for k in range(2))
        s0, s2 = s0 + 1e-4, s2 + 0.1
        spread = (s0 * s2 - s1 * s1).clamp(min=1e-6)[..., None]
        # Weigh the point's own position with the ridge that s0 contains, so that no evidence gives no move.
        line = ((x0 + 1e-4 * cells) * s2[..., None] - x1 * s1[..., None]) / spread
        moves.append((line - cells).clamp(-LARGEST, LARGEST))
    return moves


def peak_moves(products: list[Tensor], radius: int, sharpness: Tensor) -> tuple[list[Tensor], Tensor]:
    """The moves from every position to the soft-argmax of its patch of products, level by level.

    Args:
        products: per level (b, t, n, p, q) products of target and support patches; p has x slow.
        radius: of the target patch, in cells of its level.
        sharpness: (levels,) factor on the products before the soft-max.

    Returns:
        Per level (b, t, n, 2) moves in cells of level 0; and (b, t, n, 2 * levels) the largest product
        and the one at the position itself.
    """
    reach = torch.arange(-radius, radius + 1, device=products[0].device, dtype=products[0].dtype)
    offsets = torch.stack(torch.meshgrid(reach, reach, indexing="ij"), dim=-1).reshape(-1, 2)
    moves, heights = [], []
    for level, product in enumerate(products):
        centre = product[..., product.shape[-1] // 2]  # (b, t, n, p): the middle of the support patch
        moves.append(torch.softmax(centre * sharpness[level], dim=-1) @ offsets * 2**level)
        heights += [centre.amax(-1), centre[..., centre.shape[-1] // 2]]
    return moves, torch.stack(heights, dim=-1)
