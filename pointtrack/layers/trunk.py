"""A trunk that learnt from photographs what things are, and the map that puts its features beside the tracker's own.

The encoder tells exactly where a place is; the trunk tells what it is of, however it turns. Its weights are those of
EfficientNet-Lite0 (`train/trunk_weights.py` converts them), batch norm folded into the convolutions.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

# Rows of inverted residuals: kernel, stride, factor of the inner width, channels, blocks.
ROWS = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
STEM_CHANNELS = 32
# Stride of a map that is kept -> its channels: the last row of that stride.
KEPT = {4: 24, 8: 40, 16: 112, 32: 320}
CHANNELS = {2: 16, **KEPT}  # of every map that can be asked for by its stride
MEAN = (0.485, 0.456, 0.406)  # of ImageNet's pixels / 255
DEVIATION = (0.229, 0.224, 0.225)
SMALLEST = 1e-6  # length that a feature is divided by
CELL = 4  # pixels per cell of the maps that are given out


def kept_strides(stride: int) -> list[int]:
    """The strides of the maps of a trunk that goes down to `stride`.

    Raises:
        ValueError: a stride that no map has.
    """
    if stride not in (16, 32):
        raise ValueError(f"trunk_stride: expected 0 for no trunk, 16 or 32, got {stride}")
    return [kept for kept in KEPT if kept <= stride]


def trunk_channels(stride: int) -> int:
    """Channels that a trunk puts beside the tracker's features; none for stride 0.

    >>> trunk_channels(16)
    176
    """
    return sum(KEPT[kept] for kept in kept_strides(stride)) if stride else 0


class InvertedResidual(nn.Module):
    """1x1 to a wider inside, a convolution per channel, 1x1 to the output; added to the input where shapes agree.

    Source: MobileNetV2 (Sandler et al. 2018); as in EfficientNet-Lite (Tan and Le 2019, without squeeze-and-excitation).
    """

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int, factor: int):
        super().__init__()
        inner = channels_in * factor
        self.expand = nn.Conv2d(channels_in, inner, 1) if factor > 1 else None
        self.depthwise = nn.Conv2d(inner, inner, kernel, stride, padding=kernel // 2, groups=inner)
        self.project = nn.Conv2d(inner, channels_out, 1)
        self.adds = stride == 1 and channels_in == channels_out

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) -> (b, c', h / stride, w / stride)."""
        y = x if self.expand is None else _relu6(self.expand(x))
        y = self.project(_relu6(strided(y, self.depthwise)))
        return x + y if self.adds else y


class Trunk(nn.Module):
    """RGB frames -> maps at strides 4, 8, 16 (and 32), each frame by itself.

    Convolutions that halve a map are padded behind it only, as they were when they learnt. So cell i of a map of stride s
    lies on pixel s * i + s - 1: the maps say what is a little to the lower right, in every frame alike. Moving them back was
    tried and made joints of animals no better (docs/explain/training-log.md).

    Args:
        stride: of the coarsest map, 16 or 32.
        scale: side of the frames that the trunk sees as a share of those it is given, in (0, 1]; for `forward` only.

    Raises:
        ValueError: another stride or scale.

    Source: EfficientNet-Lite0 (Tan and Le 2019), by its paper and its table of rows.
    """

    def __init__(self, stride: int, scale: float = 1.0):
        super().__init__()
        if not 0 < scale <= 1:
            raise ValueError(f"trunk_scale: expected above 0 and at most 1, got {scale}")
        self.scale = scale
        self.strides = kept_strides(stride)
        self.channels = trunk_channels(stride)
        self.stem = nn.Conv2d(3, STEM_CHANNELS, 3, stride=2, padding=1)
        self.rows = nn.ModuleList()
        channels, reached = STEM_CHANNELS, 2
        for kernel, step, factor, width, blocks in ROWS:
            reached *= step
            if reached > stride:
                break
            row = [InvertedResidual(channels, width, kernel, step, factor)]
            row += [InvertedResidual(width, width, kernel, 1, factor) for _ in range(blocks - 1)]
            self.rows.append(nn.ModuleList(row))
            channels = width

    def maps(self, frames: Tensor, strides: Sequence[int] | None = None) -> list[Tensor]:
        """(b, 3, h, w) float RGB 0..255, sides multiples of the coarsest stride -> per stride (b, c, h / s, w / s).

        Args:
            strides: of the maps that are wanted, keys of CHANNELS; those that `forward` puts together where not given.
        """
        mean, deviation = (frames.new_tensor(x).reshape(3, 1, 1) for x in (MEAN, DEVIATION))
        x = (frames / 255 - mean) / deviation
        x = _relu6(strided(x.contiguous(memory_format=torch.channels_last), self.stem))
        by_channels: dict[int, Tensor] = {}
        for row in self.rows:
            for block in row:  # type: ignore[attr-defined]
                x = block(x)
            by_channels[x.shape[1]] = x
        return [by_channels[CHANNELS[stride]] for stride in strides or self.strides]

    def forward(self, frames: Tensor) -> Tensor:
        """(b, 3, h, w) float RGB 0..255 -> (b, c, h // 4, w // 4): the maps side by side, each of unit length per cell.

        Every map is centred by its mean over the frame first: what all of a frame has in common tells no places apart.
        """
        if torch.is_grad_enabled() or torch.compiler.is_compiling() or frames.device.type != "cpu":
            return self._beside_each_other(frames)
        parts = [
            self._beside_each_other(frame) for frame in frames.split(1)
        ]  # as the encoder does, for the cache
        return torch.cat(parts) if len(parts) > 1 else parts[0]

    def _beside_each_other(self, frames: Tensor) -> Tensor:
        h, w = frames.shape[-2:]
        seen, wide = self._seen(frames)
        parts = []
        for x in self.maps(seen):
            x = x.float()
            x = unit(x - x.mean((2, 3), keepdim=True))
            x = F.interpolate(x, size=wide, mode="bilinear", align_corners=False)
            parts.append(x[..., : h // CELL, : w // CELL])
        if torch.is_grad_enabled() or torch.compiler.is_compiling():
            return torch.cat([unit(x) for x in parts], dim=1)
        # Channels last, as the maps are, and written where they stay, which a CPU is faster with.
        rows = frames.new_empty(len(frames), h // CELL, w // CELL, self.channels)
        first = 0
        for x in parts:
            cells = rearrange(x, "b c h w -> b h w c")
            length = torch.linalg.vector_norm(cells, dim=-1, keepdim=True).clamp_(min=SMALLEST)
            last = first + cells.shape[-1]
            torch.mul(cells, length.reciprocal_(), out=rows[..., first:last])
            first = last
        return rearrange(rows, "b h w c -> b c h w")

    def _seen(self, frames: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """What the trunk looks at, sides multiples of the coarsest stride, and the cells (h, w) that its maps are brought to.

        Frames are filled up behind, or made smaller: then their edges lie on the edges of what is seen.
        """
        h, w = frames.shape[-2:]
        coarsest = self.strides[-1]
        if self.scale < 1:
            size = [max(1, round(side * self.scale / coarsest)) * coarsest for side in (h, w)]
            smaller = F.interpolate(frames, size=size, mode="bilinear", align_corners=False, antialias=True)
            return smaller, (h // CELL, w // CELL)
        padded = F.pad(frames, (0, -w % coarsest, 0, -h % coarsest), mode="replicate")
        return padded, (padded.shape[-2] // CELL, padded.shape[-1] // CELL)


def strided(x: Tensor, convolution: nn.Conv2d) -> Tensor:
    """A convolution that is padded on both sides, or where it halves the map more behind than in front."""
    if convolution.stride[0] == 1:
        return convolution(x)
    more = convolution.kernel_size[0] - convolution.stride[0]
    x = F.pad(x, (more // 2, more - more // 2) * 2)
    return F.conv2d(x, convolution.weight, convolution.bias, convolution.stride, groups=convolution.groups)


def unit(x: Tensor) -> Tensor:
    """(b, c, h, w), every cell divided by its length."""
    return x * torch.rsqrt(x.square().sum(dim=1, keepdim=True).clamp(min=SMALLEST**2))


def _relu6(x: Tensor) -> Tensor:
    return F.relu6(x, inplace=not torch.is_grad_enabled())
