"""The two encoders: frames -> features at an eighth of their size."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from pointtrack.config import EncoderConfig
from pointtrack.layers.convnext import ChannelNorm, ConvNextBlock
from pointtrack.layers.encoder import Encoder
from pointtrack.layers.norms import exact_instance_norm
from pointtrack.models.alltracker.config import CELL, CHANNELS

# Means and deviations of ImageNet's colours, by which pretrained networks expect their input to be normalised.
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
RESIDUAL = EncoderConfig(
    stem_channels=64,
    stage_channels=(64, 96, 128, 128),
    stage_strides=(1, 2, 2, 2),
    channels=CHANNELS,
    fusion="concat",
    unit_length=False,
)


def standardised(frames: Tensor) -> Tensor:
    """(..., 3, h, w) RGB 0..255 -> colours of mean 0 and deviation 1 over ImageNet."""
    mean, deviation = (frames.new_tensor(x)[:, None, None] for x in (MEAN, DEVIATION))
    return (frames / 255 - mean) / deviation


class ResidualEncoder(Encoder):
    """CoTracker's encoder with cells of 8 pixels; 128 features."""

    stride = CELL

    def __init__(self) -> None:
        # Only outputs of convolutions are normed, which nothing else holds, so they may be overwritten.
        super().__init__(RESIDUAL, partial(exact_instance_norm, overwrite=True))

    def normalised(self, frames: Tensor) -> Tensor:
        return standardised(frames)


class ConvNextEncoder(nn.Module):
    """The first three stages of ConvNeXt-Tiny, the third at the stride of the second; 256 features.

    Source: ConvNeXt (Liu et al. 2022) as AllTracker uses it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Sequential(nn.Conv2d(3, 96, 4, stride=4), ChannelNorm(96)),
            nn.Sequential(*(ConvNextBlock(96) for _ in range(3))),
            nn.Sequential(ChannelNorm(96), nn.Conv2d(96, 192, 2, stride=2)),
            nn.Sequential(*(ConvNextBlock(192) for _ in range(3))),
            nn.Sequential(ChannelNorm(192), nn.Conv2d(192, 384, 3, padding=2, dilation=2)),
            nn.Sequential(*(ConvNextBlock(384) for _ in range(9))),
        )
        self.project = nn.Conv2d(384, 2 * CHANNELS, 1)

    def forward(self, frames: Tensor) -> Tensor:
        """(b, 3, h, w) RGB 0..255 -> (b, 256, h / 8, w / 8)."""
        frames = standardised(frames).contiguous(memory_format=torch.channels_last)
        if torch.is_grad_enabled() or frames.device.type != "cpu":
            return self.project(self.layers(frames))
        # One by one: the maps of one frame stay in the processor's cache from layer to layer.
        return torch.cat([self.project(self.layers(frame)) for frame in frames.split(1)])


ENCODERS = {"residual": ResidualEncoder, "convnext": ConvNextEncoder}
