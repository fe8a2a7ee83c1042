"""Products of every cell of the anchor with the cells around where it is thought to be, on five maps."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from pointtrack.layers.correlation import blend
from pointtrack.models.alltracker.config import LEVELS, RADIUS

WIDTH = LEVELS * (2 * RADIUS + 1) ** 2


def pyramid(features: Tensor) -> list[Tensor]:
    """(h, w, c) -> five maps, each the average of the one before over areas of about 2 x 2 cells."""
    maps = [features]
    for _ in range(LEVELS - 1):
        h, w, _ = maps[-1].shape
        image = rearrange(maps[-1], "h w c -> 1 c h w")
        # Where a side is odd, the areas overlap.
        image = F.adaptive_avg_pool2d(image, (h // 2, w // 2))
        maps.append(rearrange(image, "1 c h w -> h w c"))
    return maps


def correlate(anchor: Tensor, maps: list[Tensor], cells: Tensor) -> Tensor:
    """Compare the anchor with one frame.

    Args:
        anchor: (p, c) features of the anchor's cells.
        maps: of the frame, from `pyramid`; beyond a map its border repeats.
        cells: (p, 2) where the anchor's cells are thought to be, in cells.

    Returns:
        (p, 405) products by the root of c; map slow, then x, then y.
    """
    scaled = anchor * anchor.shape[-1] ** -0.5
    reach = torch.arange(-RADIUS, RADIUS + 2, device=cells.device)
    parts = []
    for i, level in enumerate(maps):
        h, w, _ = level.shape
        products = scaled @ level.reshape(h * w, -1).T
        xy = cells / 2**i
        base = xy.floor()
        x = (base[:, 0, None].long() + reach).clamp(0, w - 1)
        y = (base[:, 1, None].long() + reach).clamp(0, h - 1)
        index = y[:, None, :] * w + x[:, :, None]
        block = products.gather(1, index.flatten(1)).view(*index.shape, 1)
        parts.append(blend(block, xy - base)[..., 0])
    return torch.cat(parts, dim=-1)
