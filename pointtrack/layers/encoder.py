"""Convolutional encoder: one image -> one feature map at stride 4, then a pyramid of it.

Its shape comes from `EncoderConfig`: the published CoTracker encoder and our small one are two rows of
numbers and two ways to fuse the stages.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pointtrack.config import EncoderConfig
from pointtrack.layers.norms import instance_norm
from pointtrack.layers.winograd import convolve

Norm = Callable[[Tensor], Tensor]


def relu(x: Tensor) -> Tensor:
    """F.relu; in place if no gradient is wanted, so nothing else may use `x`."""
    return F.relu(x, inplace=not torch.is_grad_enabled())


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut, which is a 1x1 convolution if the shape changes."""

    def __init__(self, channels_in: int, channels_out: int, stride: int, norm: Norm = instance_norm):
        super().__init__()
        self.norm = norm
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        same = stride == 1 and channels_in == channels_out
        self.shortcut = None if same else nn.Conv2d(channels_in, channels_out, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) -> (b, c', h / stride, w / stride)."""
        y = relu(self.norm(self.conv1(x)))
        y = relu(self.norm(self.conv2(y)))
        return relu(y + (x if self.shortcut is None else self.norm(self.shortcut(x))))


class ConcatFusion(nn.Module):
    """Stages resized to the output size, stacked, and mixed by a 3x3 and a 1x1 convolution (CoTracker)."""

    def __init__(self, stage_channels: list[int], channels: int, norm: Norm = instance_norm):
        super().__init__()
        self.norm = norm
        self.mix = nn.Conv2d(sum(stage_channels), 2 * channels, 3, padding=1)
        self.project = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, stages: list[Tensor], size: tuple[int, int]) -> Tensor:
        """List of (b, c_i, h_i, w_i) -> (b, channels, *size)."""
        resized = [F.interpolate(x, size, mode="bilinear", align_corners=True) for x in stages]
        return self.project(relu(self.norm(convolve(torch.cat(resized, dim=1), self.mix))))


class SumFusion(nn.Module):
    """Stages projected to the output channels first, then resized and added: a fraction of the work."""

    def __init__(self, stage_channels: list[int], channels: int, norm: Norm = instance_norm):
        super().__init__()
        self.norm = norm
        self.laterals = nn.ModuleList(nn.Conv2d(c, channels, 1) for c in stage_channels)
        self.mix = nn.Conv2d(channels, channels, 3, padding=1)
        self.project = nn.Conv2d(channels, channels, 1)

    def forward(self, stages: list[Tensor], size: tuple[int, int]) -> Tensor:
        """List of (b, c_i, h_i, w_i) -> (b, channels, *size)."""
        total: Tensor | float = 0.0
        for lateral, x in zip(self.laterals, stages, strict=True):
            total = total + F.interpolate(lateral(x), size, mode="bilinear", align_corners=True)
        return self.project(relu(self.norm(self.mix(total))))


FUSIONS = {"concat": ConcatFusion, "sum": SumFusion}


class Encoder(nn.Module):
    """RGB frames -> feature maps at stride 4, each frame on its own.

    The first convolution halves the image; every stage is a row of residual blocks of one width, and the
    last maps of all stages are fused at a quarter of the image size. A subclass may choose another stride.

    Source: the encoders of PIPs (Harley et al. 2022) and CoTracker (Karaev et al. 2023), by their papers.
    """

    stride = 4

    def __init__(self, config: EncoderConfig, norm: Norm = instance_norm):
        super().__init__()
        self.norm = norm
        self.unit_length = config.unit_length
        self.stem = nn.Conv2d(3, config.stem_channels, 7, stride=2, padding=3)
        self.stages = nn.ModuleList()
        channels = config.stem_channels
        for width, stride in zip(config.stage_channels, config.stage_strides, strict=True):
            strides = [stride] + [1] * (config.blocks_per_stage - 1)
            widths = [channels] + [width] * (config.blocks_per_stage - 1)
            self.stages.append(
                nn.Sequential(
                    *(ResidualBlock(c, width, s, norm) for c, s in zip(widths, strides, strict=True))
                )
            )
            channels = width
        self.fusion = FUSIONS[config.fusion](list(config.stage_channels), config.channels, norm)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, frames: Tensor) -> Tensor:
        """(b, 3, h, w) float RGB 0..255 -> (b, c, h // stride, w // stride) float features."""
        if torch.is_grad_enabled() or torch.compiler.is_compiling() or frames.device.type != "cpu":
            return self._features(frames)
        # One frame at a time, so that its maps stay in the processor's cache from layer to layer.
        features = [self._features(frame) for frame in frames.split(1)]
        return torch.cat(features) if len(features) > 1 else features[0]

    def normalised(self, frames: Tensor) -> Tensor:
        """RGB 0..255 -> the input of the first convolution."""
        return frames / 127.5 - 1

    def _features(self, frames: Tensor) -> Tensor:
        size = (frames.shape[-2] // self.stride, frames.shape[-1] // self.stride)
        x = relu(self.norm(self.stem(self.normalised(frames))))
        stages = []
        for stage in self.stages:
            x = stage(x)
            stages.append(x)
        features = self.fusion(stages, size).float()
        if not self.unit_length:
            return features
        return features * torch.rsqrt(features.square().sum(dim=1, keepdim=True).clamp(min=1e-12))


def build_pyramid(features: Tensor, levels: int) -> list[Tensor]:
    """(b, c, h, w) -> `levels` maps, each the 2x2 average of the previous one (an odd last row is dropped)."""
    pyramid = [features]
    for _ in range(levels - 1):
        pyramid.append(F.avg_pool2d(pyramid[-1], 2, stride=2))
    return pyramid
