"""Learnt joint features: combines the trunk's knowledge of things and the encoder's of places in one feature.

Side by side (`joint_features.py`), every part has one weight for all its channels. Here the coarse maps are passed
down to the fine ones, each cell gets information from its surroundings, and training decides which channels
distinguish points. The output has fewer channels than the input, so comparing features is cheaper too.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from pointtrack.config import EncoderConfig
from pointtrack.layers.correlation import averaged, blend, every_frame, read_block
from pointtrack.layers.linear import linear
from pointtrack.layers.trunk import SMALLEST, kept_channels

MIXED_FROM = 8  # finest stride of the trunk's maps whose cells get information from their surroundings
AROUND = 5  # side of those surroundings in cells
LOOKED_AT = (1, 4)  # side of the cells that refinement compares, near and far, in cells of stride 4
RADIUS = 3  # of the area that refinement compares, in those cells
HIDDEN = 64  # width of the hidden layer over the products
AT_ONCE = 16  # points whose surroundings a CPU reads at a time


class Mix(nn.Module):
    """Adds information from the surrounding cells to each cell. Before training it is the identity."""

    def __init__(self, channels: int):
        super().__init__()
        self.around = nn.Conv2d(channels, channels, AROUND, padding=AROUND // 2, groups=channels)
        self.join = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.join.weight)
        nn.init.zeros_(self.join.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) -> the same shape."""
        return x + self.join(F.gelu(self.around(x)))


class JointHead(nn.Module):
    """The encoder's map and the trunk's maps -> one map of unit length at stride 4.

    Source: a top-down pathway with lateral connections (Lin et al. 2017, feature pyramid networks), by the paper.

    Args:
        config: of the encoder; `joint_channels` is the width of the output.

    Raises:
        ValueError: an encoder without a trunk.
    """

    def __init__(self, config: EncoderConfig):
        super().__init__()
        channels = config.joint_channels
        if not config.trunk_stride:
            raise ValueError(f"joint_channels: expected 0 without a trunk (trunk_stride 0), got {channels}")
        kept = kept_channels(config.trunk_stride, config.trunk_blocks, config.trunk_narrow)
        self.own = nn.Conv2d(config.channels, channels, 1, bias=False)
        self.laterals = nn.ModuleDict(
            {str(stride): nn.Conv2d(count, channels, 1, bias=False) for stride, count in kept.items()}
        )
        self.mixes = nn.ModuleDict({str(stride): Mix(channels) for stride in kept if stride >= MIXED_FROM})

    def forward(self, own: Tensor, maps: list[Tensor], wide: tuple[int, int]) -> Tensor:
        """Join the maps of b frames.

        Args:
            own: (b, c, h / 4, w / 4) from the encoder.
            maps: from `Trunk.compared`, finest first, (b, c_i, h_i, w_i).
            wide: size in cells (h, w) that the trunk's maps are resized to; `own` covers its top-left part.

        Returns:
            (b, h / 4, w / 4, joint_channels).
        """
        # Channels last throughout, like the trunk's maps: enlarging and joining is then several times as fast.
        x: Tensor | None = None
        for stride, level in reversed(list(zip(self.laterals, maps, strict=True))):
            under = None if x is None else _resized(x, (level.shape[-2], level.shape[-1]))
            x = _pointwise(level, cast(nn.Conv2d, self.laterals[stride]), under)
            if stride in self.mixes:
                x = self.mixes[stride](x.movedim(-1, 1)).movedim(1, -1)
        assert x is not None
        h, w = own.shape[-2:]
        joined = _pointwise(own, self.own, _resized(x, wide)[:, :h, :w]).float()
        length = torch.linalg.vector_norm(joined, dim=-1, keepdim=True).clamp(min=SMALLEST)
        return joined / length if _records() else joined.div_(length)

    @torch.no_grad()
    def begin_as(self, axes: list[Tensor]) -> None:
        """Initialise the head to the parts side by side, each along some of its axes.

        Args:
            axes: per part, the encoder's first, (k_i, c_i); the k_i add up to the output channels.

        Raises:
            ValueError: another number of parts or of axes.
        """
        layers = [self.own, *(cast(nn.Conv2d, one) for one in self.laterals.values())]
        rows = [len(one) for one in axes]
        if len(axes) != len(layers) or sum(rows) != len(self.own.weight):
            raise ValueError(
                f"axes: expected those of {len(layers)} parts, {len(self.own.weight)} together, got {rows}"
            )
        first = 0
        for layer, one in zip(layers, axes, strict=True):
            layer.weight.zero_()
            layer.weight[first : first + len(one)] = one[..., None, None]
            first += len(one)


class JointLook(nn.Module):
    """Similarity of a point and the surroundings of its estimate in the joint features, as input to the refinement.

    Before training it adds zero.

    Args:
        width: width of the correlation's output, to which this is added.
    """

    def __init__(self, width: int):
        super().__init__()
        self.fc1 = nn.Linear(len(LOOKED_AT) * (2 * RADIUS + 1) ** 2, HIDDEN)
        self.fc2 = nn.Linear(HIDDEN, width)
        nn.init.zeros_(self.fc2.weight)
        nn.init.zeros_(self.fc2.bias)

    def forward(self, maps: list[Tensor], looks: Tensor, cells: Tensor) -> Tensor:
        """Compare points with the surroundings of their estimates.

        Args:
            maps: the joint features and their `coarser` maps; no gradient flows through them.
            looks: (b, n, c) unit-length features of the points.
            cells: (b, t, n, 2) estimates, in cells of stride 4.

        Returns:
            (b, t, n, width).
        """
        # A few points at a time on a CPU, so that their cells stay in its cache.
        few = cells.device.type == "cpu" and not (torch.is_grad_enabled() or torch.compiler.is_compiling())
        at_once = AT_ONCE if few else max(cells.shape[2], 1)
        near = [
            torch.cat(
                [_products(level, look, at / side) for level, side in zip(maps, LOOKED_AT, strict=True)], -1
            )
            for look, at in zip(looks.split(at_once, 1), cells.split(at_once, 2), strict=True)
        ]
        return linear(linear(torch.cat(near, dim=2), self.fc1, "none"), self.fc2)


def coarser(joint: Tensor) -> list[Tensor]:
    """(b, t, h, w, c) joint features -> the other maps that refinement compares, made once per frame."""
    return [averaged(joint.detach(), side).to(joint.dtype) for side in LOOKED_AT[1:]]


def _products(level: Tensor, looks: Tensor, cells: Tensor) -> Tensor:
    """(b, t, h, w, c) map, (b, n, c) looks and (b, t, n, 2) cells of it -> (b, t, n, (2 * RADIUS + 1)^2) products."""
    frame, at = (rearrange(x, "b t n ... -> b n t ...") for x in (every_frame(cells), cells))
    block = read_block(level.detach(), frame, at, RADIUS)
    # A transposed view of the looks: MKL is faster with it if there is one column.
    products = block.cells.flatten(2, 4).float() @ looks[..., None, :].mT
    side = block.cells.shape[-2]
    products = rearrange(products, "b n (t x y) 1 -> b n t x y 1", x=side, y=side)
    return rearrange(blend(products, block.fraction), "b n t p 1 -> b t n p")


def _pointwise(maps: Tensor, layer: nn.Conv2d, under: Tensor | None = None) -> Tensor:
    """(b, c, h, w) through a 1x1 convolution, plus (b, h, w, c'), which it may overwrite -> (b, h, w, c')."""
    rows, weight = maps.movedim(1, -1), layer.weight[:, :, 0, 0]
    if under is None:
        return F.linear(rows, weight)
    if _records():
        return F.linear(rows, weight) + under
    # Into the same memory: for so large a map, allocating takes time too.
    weight = weight.to(under.dtype).t()
    product = under.flatten(0, 2).addmm_(rows.flatten(0, 2).to(under.dtype), weight)
    return product.unflatten(0, rows.shape[:3])


def _records() -> bool:
    """Whether operations are recorded, for gradients or for a graph, and so must not write in place."""
    return torch.is_grad_enabled() or torch.compiler.is_compiling()


def _resized(rows: Tensor, size: tuple[int, int]) -> Tensor:
    """(b, h, w, c) -> (b, *size, c)."""
    return F.interpolate(rows.movedim(-1, 1), size=size, mode="bilinear", align_corners=False).movedim(1, -1)
