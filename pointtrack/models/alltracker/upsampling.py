"""From cells to pixels: each pixel blends the 3 x 3 cells around its own cell, with weights of its own."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from pointtrack.models.alltracker.config import CELL
from pointtrack.models.alltracker.update import ConvHead

NEIGHBOURS = 9
WEIGHT_SCALE = 0.25


def upsample(values: Tensor, weights: Tensor) -> Tensor:
    """Upsample to all pixels.

    Args:
        values: (k, h, w) on cells; outside the map they are 0.
        weights: (9 * 64, h, w) raw, from the head: neighbour slow, then row and column of the pixel in its cell.

    Returns:
        (k, 8 * h, 8 * w), in pixels: 8 times the blend.

    Source: the convex upsampling of RAFT (Teed and Deng 2020).
    """
    k, h, w = values.shape
    shares = rearrange(weights * WEIGHT_SCALE, "(n a b) h w -> n a b h w", n=NEIGHBOURS, a=CELL).softmax(
        dim=0
    )
    around = F.unfold(values[None], 3, padding=1).view(k, NEIGHBOURS, h, w) * CELL
    return rearrange(torch.einsum("nabhw,knhw->khawb", shares, around), "k h a w b -> k (h a) (w b)")


def upsample_at(values: Tensor, features: Tensor, head: ConvHead, column: Tensor, row: Tensor) -> Tensor:
    """Upsample to some pixels only, at their cost alone.

    Args:
        values: (s, k, h, w) on cells of s frames.
        features: (s, h, w, c) of the same cells.
        head: computes the weights.
        column, row: (p,) int64 pixels.

    Returns:
        (s, p, k), equal to the result of `upsample` at those pixels.
    """
    _, _, h, w = values.shape
    i, j = row.div(CELL, rounding_mode="floor"), column.div(CELL, rounding_mode="floor")
    offset = torch.arange(3, device=row.device)
    # With a ring of zeros around the maps, like the padding of the convolution and the blend.
    y, x = (i[:, None] + offset)[:, :, None], (j[:, None] + offset)[:, None, :]
    patches = F.pad(features, (0, 0, 1, 1, 1, 1))[:, y, x]
    kernel = rearrange(head.conv1.weight, "o c y x -> o (y x c)")
    hidden = F.relu(F.linear(rearrange(patches, "s p y x c -> s p (y x c)"), kernel, head.conv1.bias))
    inner = (row % CELL) * CELL + column % CELL
    rows = torch.arange(NEIGHBOURS, device=row.device) * CELL**2 + inner[:, None]
    weight, bias = head.conv2.weight[:, :, 0, 0][rows], head.conv2.bias[rows]  # type: ignore[index]
    shares = ((torch.einsum("spc,pnc->spn", hidden, weight) + bias) * WEIGHT_SCALE).softmax(dim=-1)
    around = rearrange(F.pad(values, (1, 1, 1, 1))[:, :, y, x], "s k p y x -> s p (y x) k") * CELL
    return torch.einsum("spn,spnk->spk", shares, around)
