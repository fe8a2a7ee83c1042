"""Correlation of small patches around estimated positions, without ever forming the whole volume.

Maps have their channels last, (b, t, h, w, c), so that one cell is one contiguous row.
A patch at a float position is a block of whole cells, one wider than the patch, and one bilinear blend.
Blending is linear, so it may come after the products, which needs a quarter of the reads of four-tap sampling.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import rearrange, repeat
from torch import Tensor, nn
from torch.nn import functional as F

from pointtrack.config import CorrelationConfig
from pointtrack.layers.backends import triton_products
from pointtrack.layers.linear import linear

# Positions (a point on a frame) that are compared at a time: on a CPU few enough that intermediate results stay in the
# cache, elsewhere few enough to bound the memory.
POSITIONS = {"cpu": 1024}
MANY_POSITIONS = 65536


@dataclass
class Block:
    """Whole cells around float positions.

    Attributes:
        cells: (..., x, y, c) features of (2 * radius + 2)^2 cells, x slow; the border value repeats outside.
        fraction: (..., 2) offset of the position from the lower whole cell, in [0, 1).
    """

    cells: Tensor
    fraction: Tensor


def read_block(level: Tensor, frame: Tensor, xy: Tensor, radius: int, margin: int = 0) -> Block:
    """Read the cells around float positions on given frames.

    Args:
        level: (b, t, h, w, c) maps.
        frame: (b, ...) int64 frame of each position.
        xy: (b, ..., 2) positions in cells of this level.
        radius: of the patch to blend from the block.
        margin: rows and columns along the border of the map that are never read.
    """
    b, t, h, w, c = level.shape
    base = xy.floor()
    reach = torch.arange(-radius, radius + 2, device=xy.device)
    x = (base[..., 0, None].long() + reach).clamp(margin, w - 1 - margin)
    y = (base[..., 1, None].long() + reach).clamp(margin, h - 1 - margin)
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


def read_patch(level: Tensor, frame: Tensor, xy: Tensor, radius: int, margin: int = 0) -> Tensor:
    """(b, t, h, w, c) maps at (b, ..., 2) positions -> (b, ..., (2 * radius + 1)^2, c) features, x slow.

    Equal to bilinear sampling with the border value outside. Arguments as in `read_block`.
    """
    block = read_block(level, frame, xy, radius, margin)
    return blend(block.cells, block.fraction)


def local_products(level: Tensor, support: Tensor, xy: Tensor, radius: int) -> Tensor:
    """Products of the points' support with the patches around their estimated positions, on one level.

    Args:
        level: (b, t, h, w, c) map; the border value repeats outside.
        support: (b, n, q, c), the same on all frames.
        xy: (b, t, n, 2) positions in cells of this level.
        radius: of the patch, in cells.

    Returns:
        (b, t, n, p, q), p the (2 * radius + 1)^2 places of the patch, x slow.
    """
    # Per point, one matrix product of its support with the cells of all frames.
    frame, position = (rearrange(x, "b t n ... -> b n t ...") for x in (every_frame(xy), xy))
    block = read_block(level, frame, position, radius)
    # A transposed view of the support, not a copy: MKL is faster with it if there are few columns.
    columns = rearrange(support, "b n q c -> b n c q")
    product = rearrange(block.cells, "b n t x y c -> b n (t x y) c") @ columns
    side = block.cells.shape[-2]
    product = rearrange(product, "b n (t x y) q -> b n t x y q", x=side, y=side)
    return rearrange(blend(product, block.fraction), "b n t p q -> b t n p q")


class PatchCorrelation(nn.Module):
    """All products of a patch around the query with a patch around the estimate, per level, through one MLP.

    The `support` from `begin`, which rounds compare with, stays the same in all rounds.

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
        """The support of the first round."""
        return support

    def products(self, pyramid: list[Tensor], support: list[Tensor], cells: Tensor) -> list[Tensor]:
        """Positions (b, t, n, 2) in level-0 cells -> per level (b, t, n, p, q) products of the patches."""
        multiply = triton_products(cells.device) or local_products
        levels = zip(pyramid, support, strict=False)
        return [multiply(level, patch, cells / 2**i, self.radius) for i, (level, patch) in enumerate(levels)]

    def forward(self, products: list[Tensor]) -> Tensor:
        """Per level (b, t, n, p, q) -> (b, t, n, levels * channels)."""
        return torch.cat(
            [linear(linear(x.flatten(-2), self.fc1, "none"), self.fc2) for x in products], dim=-1
        )

    def compare(
        self, pyramid: list[Tensor], support: list[Tensor], cells: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """`products` and `forward` in one, a few points at a time if no gradient is wanted.

        Returns:
            (b, t, n, levels * channels), and per level (b, t, n, p, 1) the products with the middle of the support.
        """
        digests, middles = [], []
        for points in _groups(cells):
            products = self.products(pyramid, [x[:, points] for x in support], cells[:, :, points])
            digests.append(self(products))
            # Copies, as views would keep the products of all groups in memory until the last one is done.
            middles.append([x[..., x.shape[-1] // 2, None].clone() for x in products])
        return torch.cat(digests, dim=2), [torch.cat(x, dim=2) for x in zip(*middles, strict=True)]


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
        """The support of the first round: the query's feature, repeated for every frame, [(b, t, n, c)]."""
        return [repeat(support[0], "b n c -> b t n c", t=frames)]

    def products(self, pyramid: list[Tensor], support: list[Tensor], cells: Tensor) -> list[Tensor]:
        """Positions (b, t, n, 2) in level-0 cells -> per level (b, t, n, p) products, divided by the root of c."""
        feature = support[0]
        scale = feature.shape[-1] ** -0.5
        kernel = triton_products(cells.device)
        if kernel is not None:
            one = feature[..., None, :] * scale
            return [kernel(level, one, cells / 2**i, self.radius)[..., 0] for i, level in enumerate(pyramid)]
        result = []
        for i, level in enumerate(pyramid):
            block = read_block(level, every_frame(cells), cells / 2**i, self.radius)
            product = torch.einsum("btnxyc,btnc->btnxy", block.cells, feature)[..., None] * scale
            result.append(blend(product, block.fraction)[..., 0])
        return result

    def forward(self, products: list[Tensor]) -> Tensor:
        """Per level (b, t, n, p) -> (b, t, n, levels * p)."""
        return torch.cat(products, dim=-1)

    def compare(
        self, pyramid: list[Tensor], support: list[Tensor], cells: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """`products` and `forward` in one, a few points at a time if no gradient is wanted.

        Returns:
            (b, t, n, levels * p), and per level (b, t, n, p, 1) the same.
        """
        parts = [
            self.products(pyramid, [support[0][:, :, points]], cells[:, :, points])
            for points in _groups(cells)
        ]
        products = [torch.cat(x, dim=2) for x in zip(*parts, strict=True)]
        return self(products), [x[..., None] for x in products]


CORRELATIONS: dict[str, type[PatchCorrelation] | type[FeatureCorrelation]] = {
    "patch": PatchCorrelation,
    "feature": FeatureCorrelation,
}


def _groups(cells: Tensor) -> list[slice]:
    """Groups of points, out of (b, t, n, 2) positions, to compare together."""
    b, t, n, _ = cells.shape
    if torch.is_grad_enabled() or torch.compiler.is_compiling():
        return [slice(0, n)]
    size = max(1, POSITIONS.get(cells.device.type, MANY_POSITIONS) // (b * t))
    return [slice(start, start + size) for start in range(0, max(n, 1), size)]


def every_frame(cells: Tensor) -> Tensor:
    """(b, t, n, 2) positions -> (b, t, n) the frame of each."""
    b, t, n, _ = cells.shape
    return torch.arange(t, device=cells.device)[:, None].expand(b, t, n)


def channels_last(maps: Tensor, b: int) -> Tensor:
    """((b t), c, h, w) -> (b, t, h, w, c), contiguous."""
    return rearrange(maps, "(b t) c h w -> b t h w c", b=b).contiguous()


def averaged(cells: Tensor, side: int) -> Tensor:
    """(..., h, w, c) -> (..., h // side, w // side, c) float32 means over side x side cells, channels last throughout.

    Equal to `avg_pool2d` of the same maps, but several times as fast, as whole rows are added to whole rows. Rows of
    float16 are added up in full precision and rounded once: writing all cells as float32 would take a CPU longer than
    the rest.
    """
    h, w = cells.shape[-3] // side, cells.shape[-2] // side
    rows = cells[..., : h * side, : w * side, :].unflatten(-3, (h, side))
    if cells.dtype == torch.float16:
        return rows.sum(-3).unflatten(-2, (w, side)).sum(-2, dtype=torch.float32) / side**2
    summed = rows.select(-3, 0).float()
    for row in range(1, side):
        summed = summed + rows.select(-3, row)
    return summed.unflatten(-2, (w, side)).sum(-2) / side**2
