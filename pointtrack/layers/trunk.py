"""A trunk that learnt from photographs what things are, and a map of its features to join with the tracker's own.

The encoder tells exactly where a place is; the trunk tells what it belongs to, however that turns. Its weights are
those of EfficientNet-Lite0 (`train/trunk_weights.py` converts them), with batch norm folded into the convolutions.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from pointtrack.layers.convolution import convolve, convolve_onto

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
# Stride of each map that is kept, the last row of that stride -> its channels.
KEPT = {4: 24, 8: 40, 16: 112, 32: 320}
COARSEST_ROW = 5  # the first of stride 32
NARROWED = (16, 32)  # strides of maps with more channels than cosines need
CHANNELS = {2: 16, **KEPT}  # stride -> channels of every map that can be requested
MEAN = (0.485, 0.456, 0.406)  # of ImageNet's pixels / 255
DEVIATION = (0.229, 0.224, 0.225)
SMALLEST = 1e-6  # length that a feature is divided by
CELL = 4  # pixels per cell of the joined maps


def kept_channels(stride: int, blocks: int = 0, narrow: int = 0) -> dict[int, int]:
    """Stride -> channels of the maps of a trunk, for arguments as in `Trunk`; no maps for stride 0.

    Raises:
        ValueError: a stride without a map, or more blocks than there are.

    >>> kept_channels(32, blocks=2, narrow=64)
    {4: 24, 8: 40, 16: 64, 32: 64}
    """
    if stride not in (0, 16, 32):
        raise ValueError(f"trunk_stride: expected 0 for no trunk, 16 or 32, got {stride}")
    most = ROWS[COARSEST_ROW][4] if stride == 32 else 0
    if not 0 <= blocks <= most:
        raise ValueError(f"trunk_blocks: expected 0 to {most} for stride {stride}, got {blocks}")
    kept = {kept: channels for kept, channels in KEPT.items() if kept <= stride}
    if blocks:
        kept[32] = ROWS[COARSEST_ROW][3]
    if narrow:
        kept.update({coarse: narrow for coarse in kept if coarse in NARROWED})
    return kept


class InvertedResidual(nn.Module):
    """1x1 to a wider inside, a depthwise convolution, 1x1 to the output; added to the input if shapes agree.

    Source: MobileNetV2 (Sandler et al. 2018); as in EfficientNet-Lite (Tan and Le 2019, without
    squeeze-and-excitation).
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
        y = x if self.expand is None else convolve(x, self.expand, relu6=True)
        y = convolve(y, self.depthwise, relu6=True, behind=True)
        return convolve_onto(y, self.project, x) if self.adds else convolve(y, self.project)


class Trunk(nn.Module):
    """RGB frames -> maps at strides 4, 8, 16 (and 32), each frame on its own.

    Convolutions that halve a map are padded at its end only, as in their training. So cell i of a map of stride s lies
    on pixel s * i + s - 1: the maps describe places a little to the lower right, equally in every frame. Moving them
    back was tried and did not improve results on joints of animals (docs/explain/training-log.md).

    Args:
        stride: of the coarsest map, 16 or 32.
        scale: side of the frames inside the trunk as a share of the given ones, in (0, 1]; for `forward` only.
        blocks: number of blocks of stride 32, with which the trunk ends; 0 for all of them.
        narrow: channels to which `forward` reduces the maps at strides 16 and 32, along the axes on which photographs
            differ most (`train/trunk_weights.py`); 0 keeps all.

    Raises:
        ValueError: another stride or scale, or more blocks than there are.

    Source: EfficientNet-Lite0 (Tan and Le 2019), by its paper and its table of rows.
    """

    def __init__(self, stride: int, scale: float = 1.0, blocks: int = 0, narrow: int = 0):
        super().__init__()
        if not 0 < scale <= 1:
            raise ValueError(f"trunk_scale: expected above 0 and at most 1, got {scale}")
        self.scale = scale
        kept = kept_channels(stride, blocks, narrow)
        self.strides, self.channels = list(kept), sum(kept.values())
        wide = kept_channels(stride, blocks)
        self.narrow = nn.ModuleDict(
            {
                str(one): nn.Conv2d(wide[one], narrow, 1, bias=False)
                for one in NARROWED
                if narrow and one in wide
            }
        )
        self.stem = nn.Conv2d(3, STEM_CHANNELS, 3, stride=2, padding=1)
        self.rows = nn.ModuleList()
        channels, reached = STEM_CHANNELS, 2
        for number, (kernel, step, factor, width, count) in enumerate(ROWS):
            reached *= step
            if reached > stride or (blocks and number > COARSEST_ROW):
                break
            deep = blocks if blocks and number == COARSEST_ROW else count
            row = [InvertedResidual(channels, width, kernel, step, factor)]
            row += [InvertedResidual(width, width, kernel, 1, factor) for _ in range(deep - 1)]
            self.rows.append(nn.ModuleList(row))
            channels = width
        self._named = {**CHANNELS, **wide}  # of the maps as they are made, by which they are known

    def maps(self, frames: Tensor, strides: Sequence[int] | None = None) -> list[Tensor]:
        """(b, 3, h, w) float RGB 0..255, sides multiples of the coarsest stride -> per stride (b, c, h / s, w / s).

        Args:
            strides: of the wanted maps, keys of CHANNELS; by default those that `forward` joins. These maps are not
                narrowed.
        """
        mean, deviation = (frames.new_tensor(x).reshape(3, 1, 1) for x in (MEAN, DEVIATION))
        x = (frames / 255 - mean) / deviation
        x = x.contiguous(memory_format=torch.channels_last)
        x = convolve(x, self.stem, relu6=True, behind=True)
        by_channels: dict[int, Tensor] = {}
        for row in self.rows:
            for block in row:  # type: ignore[attr-defined]
                x = block(x)
            by_channels[x.shape[1]] = x
        return [by_channels[self._named[stride]] for stride in strides or self.strides]

    def forward(self, frames: Tensor) -> Tensor:
        """(b, 3, h, w) float RGB 0..255 -> (b, c, h // 4, w // 4): the maps side by side, each of unit length per cell.

        The mean over the frame is subtracted from every map first: what a whole frame shares tells no places apart.
        """
        if torch.is_grad_enabled() or torch.compiler.is_compiling() or frames.device.type != "cpu":
            return self._beside_each_other(frames)
        # One frame at a time, as in the encoder, for the cache.
        parts = [self._beside_each_other(frame) for frame in frames.split(1)]
        return torch.cat(parts) if len(parts) > 1 else parts[0]

    def compared(self, frames: Tensor) -> tuple[list[Tensor], tuple[int, int]]:
        """The maps for comparing cells, centred and of unit length, and the size in cells (h, w) to resize them to.

        (b, 3, h, w) float RGB 0..255 -> (b, c, h_i, w_i) per map, finest first, from the frames as `seen` returns them.
        """
        seen, wide = self.seen(frames)
        parts = []
        for stride, x in zip(self.strides, self.maps(seen), strict=True):
            x = x.float()
            x = x - x.mean((2, 3), keepdim=True)
            if str(stride) in self.narrow:
                x = self.narrow[str(stride)](x)
            parts.append(unit(x))
        return parts, wide

    def _beside_each_other(self, frames: Tensor) -> Tensor:
        h, w = frames.shape[-2:]
        parts, wide = self.compared(frames)
        parts = [
            F.interpolate(x, size=wide, mode="bilinear", align_corners=False)[..., : h // CELL, : w // CELL]
            for x in parts
        ]
        if torch.is_grad_enabled() or torch.compiler.is_compiling():
            return torch.cat([unit(x) for x in parts], dim=1)
        # Channels last, like the maps, and written in their final place, which is faster on a CPU.
        rows = frames.new_empty(len(frames), h // CELL, w // CELL, self.channels)
        first = 0
        for x in parts:
            cells = rearrange(x, "b c h w -> b h w c")
            length = torch.linalg.vector_norm(cells, dim=-1, keepdim=True).clamp_(min=SMALLEST)
            last = first + cells.shape[-1]
            torch.mul(cells, length.reciprocal_(), out=rows[..., first:last])
            first = last
        return rearrange(rows, "b h w c -> b c h w")

    def seen(self, frames: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """The trunk's input, sides multiples of the coarsest stride, and the size in cells (h, w) for its maps.

        Frames are padded at the end, or resized, which keeps their edges on the edges of the input.
        """
        h, w = frames.shape[-2:]
        coarsest = self.strides[-1]
        if self.scale < 1:
            size = [max(1, round(side * self.scale / coarsest)) * coarsest for side in (h, w)]
            smaller = F.interpolate(frames, size=size, mode="bilinear", align_corners=False, antialias=True)
            return smaller, (h // CELL, w // CELL)
        padded = F.pad(frames, (0, -w % coarsest, 0, -h % coarsest), mode="replicate")
        return padded, (padded.shape[-2] // CELL, padded.shape[-1] // CELL)


def unit(x: Tensor) -> Tensor:
    """(b, c, h, w), every cell divided by its length."""
    return x * torch.rsqrt(x.square().sum(dim=1, keepdim=True).clamp(min=SMALLEST**2))
