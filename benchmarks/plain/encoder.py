"""The convolutional encoder: one image -> 128 features per cell of 4 x 4 pixels, and the pyramid of them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

STRIDE = 4
LEVELS = 4


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, each normalised per image and channel."""

    def __init__(self, channels_in: int, channels_out: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        self.norm = nn.InstanceNorm2d(channels_out)
        shortcut = nn.Conv2d(channels_in, channels_out, 1, stride)
        self.downsample = None if stride == 1 else nn.Sequential(shortcut, nn.InstanceNorm2d(channels_out))

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) -> (b, c', h / stride, w / stride)."""
        y = F.relu(self.norm(self.conv1(x)))
        y = F.relu(self.norm(self.conv2(y)))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class Encoder(nn.Module):
    """The same in all published models."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3)
        self.norm1, self.norm2 = nn.InstanceNorm2d(64), nn.InstanceNorm2d(256)
        self.layer1 = nn.Sequential(ResidualBlock(64, 64, 1), ResidualBlock(64, 64, 1))
        self.layer2 = nn.Sequential(ResidualBlock(64, 96, 2), ResidualBlock(96, 96, 1))
        self.layer3 = nn.Sequential(ResidualBlock(96, 128, 2), ResidualBlock(128, 128, 1))
        self.layer4 = nn.Sequential(ResidualBlock(128, 128, 2), ResidualBlock(128, 128, 1))
        self.conv2 = nn.Conv2d(64 + 96 + 128 + 128, 256, 3, padding=1)
        self.conv3 = nn.Conv2d(256, 128, 1)

    def forward(self, frames: Tensor) -> Tensor:
        """(b, 3, h, w) RGB 0..255 -> (b, 128, h // 4, w // 4)."""
        size = (frames.shape[2] // STRIDE, frames.shape[3] // STRIDE)
        x = F.relu(self.norm1(self.conv1(2 * (frames / 255.0) - 1)))
        a = self.layer1(x)
        b = self.layer2(a)
        c = self.layer3(b)
        d = self.layer4(c)
        resized = [F.interpolate(maps, size, mode="bilinear", align_corners=True) for maps in (a, b, c, d)]
        return self.conv3(F.relu(self.norm2(self.conv2(torch.cat(resized, dim=1)))))


def encode_video(encoder: Encoder, video: Tensor, unit_length: bool) -> list[Tensor]:
    """(b, t, 3, h, w) RGB 0..255 -> pyramid, per level (b, t, 128, h / 2^(l+2), w / 2^(l+2))."""
    maps = encoder(rearrange(video, "b t c h w -> (b t) c h w"))
    if unit_length:
        maps = maps / maps.square().sum(dim=1, keepdim=True).clamp(min=1e-12).sqrt()
    pyramid = [maps]
    for _ in range(LEVELS - 1):
        pyramid.append(F.avg_pool2d(pyramid[-1], 2, stride=2))
    return [rearrange(level, "(b t) c h w -> b t c h w", b=len(video)) for level in pyramid]
