"""Correlation of small patches around estimated positions; the whole volume is never formed.

Maps are kept with their channels last, (b, t, h, w, c), so that reading one cell is one contiguous row.
A patch at a float position is a block of whole cells, one wider than the patch, and one bilinear blend.
Blending is linear, so it may come after the products: a quarter of the reads of four-tap sampling.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import rearrange, repeat
from torch import Tensor, nn
from torch.nn import functional as F

from pointtrack.config import CorrelationConfig


@dataclass
class Block:
    """Whole cells around float positions.

    Attributes:
        cells: (..., x, y, c) features of (2 * radius + 2)^2 cells, x slow; the border value repeats outside.
        fraction: (..., 2) how far the position lies from the lower whole cell, in [0, 1).
    """

    cells: Tensor
    fraction: Tensor


def read_block(level: Tensor, frame: Tensor, xy: Tensor, radius: int) -> Block:
    """Cells around float positions on given frames.

    Args:
        level: (b, t, h, w, c) maps.
        frame: (b, ...) int64 frame of each position.
        xy: (b, ..., 2) positions in cells of this level.
        radius: of the patch that will be blended from the block.
    """
    b, t, h, w, c = level.shape
    base = xy.floor()
    reach = torch.arange(-radius, radius + 2, device=xy.device)
    x = (base[..., 0, None].long() + reach).clamp(0, w - 1)
    y = (base[..., 1, None].long() + reach).clamp(0, h - 1)
    batch = torch.arange(b, device=xy.device).reshape(b, *[1] * (frame.ndim - 1))
    start = ((batch * t + frame) * h)[..., None, None]
    row = (start + y[..., None, :]) * w + x[..., :, None]
    cells = F.embedding(row, level.reshape(-1, c))
    return Block(cells, xy - base)


def blend(values: Tensor, fraction: Tensor) -> Tensor:
    """(..., k + 1, k + 1, c) values on whole cells -> (..., k * k, c) at the float positions, x slow."""
    fx, fy = (f[..., None, None, None].to(values.dtype) for f in fraction.unbind(-1))
    values = torch.lerp(values[..., :-1, :, :], values[..., 1:, :, :], fx)
    values = torch.lerp(values[..., :-1, :], values[..., 1:, :], fy)
    return values.flatten(-3, -2)


def read_patch(level: Tensor, frame: Tensor, xy: Tensor, radius: int) -> Tensor:
    """(b, t, h, w, c) maps at (b, ..., 2) positions -> (b, ..., (2 * radius + 1)^2, c) features, x slow.

    Same as bilinear sampling with the border value outside. Arguments as in `read_block`.
    """
    block = read_block(level, frame, xy, radius)
    return blend(block.cells, block.fraction)


class PatchCorrelation(nn.Module):
    """All products of a patch around the query with a patch around the estimate, per level, through one MLP.

    What a round compares with, the `support` of `begin`, stays the same in all rounds.

    Source: the local 4-D correlation of LocoTrack (Cho et al. 2024) as used by CoTracker3 (Karaev et al. 2024).
    """

    def __init__(self, config: CorrelationConfig):
        super().__init__()
        self.levels, self.radius, self.support_radius = config.levels, config.radius, config.support_radius
        target, support = (2 * config.radius + 1) ** 2, (2 * config.support_radius + 1) ** 2
        self.width = config.levels * config.channels
        self.fc1 = nn.Linear(target * support, config.hidden)
        self.fc2 = nn.Linear(config.hidden, config.channels)

    def remember(self, pyramid: list[Tensor], frame: Tensor, cells: Tensor) -> list[Tensor]:
        """Support patches of queries: (b, n) frames and (b, n, 2) level-0 cells -> per level (b, n, q, c)."""
        return [
            read_patch(level, frame, cells / 2**i, self.support_radius)
            for i, level in enumerate(pyramid[: self.levels])
        ]

    def begin(self, support: list[Tensor], frames: int) -> list[Tensor]:
        """What the first round on so many frames compares with."""
        return support

    def products(self, pyramid: list[Tensor], support: list[Tensor], cells: Tensor) -> list[Tensor]:
        """Positions (b, t, n, 2) in level-0 cells -> per level (b, t, n, p, q) products of the patches."""
        result = []
        for i, (level, patch) in enumerate(zip(pyramid, support, strict=False)):
            block = read_block(level, every_frame(cells), cells / 2**i, self.radius)
            product = torch.einsum("btnxyc,bnqc->btnxyq", block.cells, patch)
            result.append(blend(product, block.fraction))
        return result

    def forward(self, products: list[Tensor]) -> Tensor:
        """Per level (b, t, n, p, q) -> (b, t, n, levels * channels)."""
        return torch.cat([self.fc2(F.gelu(self.fc1(x.flatten(-2)))) for x in products], dim=-1)


class FeatureCorrelation(nn.Module):
    """Products of one feature per point and frame with a patch around the estimate, per level.

    Source: the local correlation of RAFT (Teed and Deng 2020) as used by PIPs and CoTracker.
    """

    def __init__(self, config: CorrelationConfig):
        super().__init__()
        self.radius = config.radius
        self.width = config.levels * (2 * config.radius + 1) ** 2

    def remember(self, pyramid: list[Tensor], frame: Tensor, cells: Tensor) -> list[Tensor]:
        """Features of queries: (b, n) frames and (b, n, 2) level-0 cells -> [(b, n, c)]."""
        return [read_patch(pyramid[0], frame, cells, 0)[..., 0, :]]

    def begin(self, support: list[Tensor], frames: int) -> list[Tensor]:
        """What the first round compares with: the query's feature on each of so many frames, [(b, t, n, c)]."""
        return [repeat(support[0], "b n c -> b t n c", t=frames)]

    def products(self, pyramid: list[Tensor], support: list[Tensor], cells: Tensor) -> list[Tensor]:
        """Positions (b, t, n, 2) in level-0 cells -> per level (b, t, n, p) products, by the root of c."""
        feature = support[0]
        scale = feature.shape[-1] ** -0.5
        result = []
        for i, level in enumerate(pyramid):
            block = read_block(level, every_frame(cells), cells / 2**i, self.radius)
            product = torch.einsum("btnxyc,btnc->btnxy", block.cells, feature)[..., None] * scale
            result.append(blend(product, block.fraction)[..., 0])
        return result

    def forward(self, products: list[Tensor]) -> Tensor:
        """Per level (b, t, n, p) -> (b, t, n, levels * p)."""
        return torch.cat(products, dim=-1)


CORRELATIONS: dict[str, type[PatchCorrelation] | type[FeatureCorrelation]] = {
    "patch": PatchCorrelation,
    "feature": FeatureCorrelation,
}


def every_frame(cells: Tensor) -> Tensor:
    """(b, t, n, 2) positions -> (b, t, n) the frame that each lies on."""
    b, t, n, _ = cells.shape
    return torch.arange(t, device=cells.device)[:, None].expand(b, t, n)


def channels_last(maps: Tensor, b: int) -> Tensor:
    """((b t), c, h, w) -> (b, t, h, w, c), contiguous."""
    return rearrange(maps, "(b t) c h w -> b t h w c", b=b).contiguous()
