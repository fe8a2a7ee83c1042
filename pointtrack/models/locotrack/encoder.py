"""Frames -> three maps of unit features: a residual network whose norms come before its convolutions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pointtrack.layers.encoder import relu
from pointtrack.layers.norms import exact_instance_norm
from pointtrack.layers.winograd import convolve

STAGES = ((64, 1), (128, 2), (256, 2), (256, 1))  # channels, stride of the first block


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after an axis, so that ceil(size / stride) values come out; an odd one goes after.

    >>> same_padding(256, 7, 2), same_padding(255, 7, 2)
    ((2, 3), (3, 3))
    """
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def convolve_same(x: Tensor, layer: nn.Conv2d) -> Tensor:
    """(b, c, h, w) -> (b, c', ceil(h / s), ceil(w / s)), padded by `same_padding`."""
    kernel, stride = layer.kernel_size[0], layer.stride[0]
    top, bottom = same_padding(x.shape[2], kernel, stride)
    left, right = same_padding(x.shape[3], kernel, stride)
    if (kernel, stride) == (3, 1):
        return convolve(x, layer)
    if (top, left) == (bottom, right):
        return F.conv2d(x, layer.weight, layer.bias, stride, (top, left))
    return F.conv2d(F.pad(x, (left, right, top, bottom)), layer.weight, layer.bias, stride)


class InstanceNorm(nn.Module):
    """Zero mean and unit variance per image and channel, then a learned scale and shift, then a ReLU."""

    def __init__(self, channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, overwrite: bool = False) -> Tensor:
        """(b, c, h, w) -> same, which may be written into `x`."""
        normed = exact_instance_norm(x, overwrite)
        if torch.is_grad_enabled():
            return relu(normed * self.weight[:, None, None] + self.bias[:, None, None])
        return relu(normed.mul_(self.weight[:, None, None]).add_(self.bias[:, None, None]))


class PreNormBlock(nn.Module):
    """norm, ReLU, 3x3, norm, ReLU, 3x3, plus a shortcut: of the input, or in the first block of a stage a 1x1
    convolution of the normalised input."""

    def __init__(self, channels_in: int, channels: int, stride: int, first: bool):
        super().__init__()
        self.norm1 = InstanceNorm(channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, padding=1 if stride == 1 else 0, bias=False)
        self.norm2 = InstanceNorm(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.shortcut = nn.Conv2d(channels_in, channels, 1, stride, bias=False) if first else None

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) -> (b, c', h / stride, w / stride)."""
        normed = self.norm1(x)
        shortcut = x if self.shortcut is None else convolve_same(normed, self.shortcut)
        inner = convolve_same(self.norm2(convolve_same(normed, self.conv1), overwrite=True), self.conv2)
        return inner + shortcut if torch.is_grad_enabled() else inner.add_(shortcut)


class LocoEncoder(nn.Module):
    """RGB frames -> unit features at 1/4, 1/8 and 1/2 of the frame, each frame on its own.

    Source: the TAPIR backbone (Doersch et al. 2023, a ResNet-18 of pre-activation blocks) as LocoTrack uses it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, STAGES[0][0], 7, stride=2, bias=False)
        self.stages = nn.ModuleList()
        channels = STAGES[0][0]
        for width, stride in STAGES:
            blocks = PreNormBlock(channels, width, stride, True), PreNormBlock(width, width, 1, False)
            self.stages.append(nn.Sequential(*blocks))
            channels = width

    def forward(self, frames: Tensor) -> list[Tensor]:
        """(b, 3, h, w) in [-1, 1] -> (b, c, h / s, w / s) at s = 4, 8, 2; each vector has length 1."""
        x = convolve_same(frames, self.stem)
        outputs = []
        for stage in self.stages:
            x = stage(x)
            outputs.append(x)
        highest, hires, _, lowres = outputs
        return [unit_length(x) for x in (hires, lowres, highest)]


def unit_length(x: Tensor) -> Tensor:
    """(b, c, h, w) -> every vector of c divided by its length."""
    return x * torch.rsqrt(x.square().sum(dim=1, keepdim=True).clamp(min=1e-12))
