"""Products of every cell of the anchor with the cells around its estimated position, on five maps."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from pointtrack.layers.correlation import blend
from pointtrack.models.alltracker.config import LEVELS, RADIUS

WIDTH = LEVELS * (2 * RADIUS + 1) ** 2
# Cells of the anchor that are compared at a time on a CPU, with only the rows of a map that they need: neighbouring
# cells move to neighbouring places.
CELLS = 256


def pyramid(features: Tensor) -> list[Tensor]:
    """(h, w, c) -> five maps, each the average of the previous one over areas of about 2 x 2 cells."""
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
        cells: (p, 2) estimated positions of the anchor's cells, in cells.

    Returns:
        (p, 405) products divided by the root of c; map slow, then x, then y.
    """
    scaled = anchor * anchor.shape[-1] ** -0.5
    size = CELLS if cells.device.type == "cpu" and not torch.is_grad_enabled() else max(len(cells), 1)
    return torch.cat(
        [
            torch.cat([_compare(part, level, xy / 2**i) for i, level in enumerate(maps)], dim=-1)
            for part, xy in zip(scaled.split(size), cells.split(size), strict=True)
        ]
    )


def _compare(anchor: Tensor, level: Tensor, xy: Tensor) -> Tensor:
    """(p, c) features with the cells of one map around (p, 2) places on it -> (p, 81) products."""
    h, w, _ = level.shape
    reach = torch.arange(-RADIUS, RADIUS + 2, device=xy.device)
    base = xy.floor()
    x = (base[:, 0, None].long() + reach).clamp(0, w - 1)
    y = (base[:, 1, None].long() + reach).clamp(0, h - 1)
    if xy.device.type == "cpu":
        top = int(y.min())
        level, y = level[top : int(y.max()) + 1], y - top
    # Not with oneDNN, which would generate code for every number of rows.
    products = anchor @ level.flatten(0, 1).T
    index = y[:, None, :] * w + x[:, :, None]
    block = products.gather(1, index.flatten(1)).view(*index.shape, 1)
    return blend(block, xy - base)[..., 0]
