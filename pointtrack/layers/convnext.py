"""ConvNeXt block: a wide depthwise convolution, then an MLP at every pixel."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from pointtrack.layers.linear import linear

MLP_RATIO = 4


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of every pixel."""

    def __init__(self, channels: int):
        super().__init__(channels, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) -> same."""
        normed = F.layer_norm(
            rearrange(x, "b c h w -> b h w c"), self.normalized_shape, self.weight, self.bias, self.eps
        )
        return rearrange(normed, "b h w c -> b c h w")


class ConvNextBlock(nn.Module):
    """7x7 depthwise convolution, norm, MLP with an exact GELU; scaled by channel and added to the input.

    Source: ConvNeXt (Liu et al. 2022).
    """

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.fc1 = nn.Linear(channels, MLP_RATIO * channels)
        self.fc2 = nn.Linear(MLP_RATIO * channels, channels)
        self.scale = nn.Parameter(torch.full((channels,), 1e-6))

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) -> same."""
        y = self.norm(rearrange(self.conv(x), "b c h w -> b h w c"))
        y = linear(linear(y, self.fc1, "none"), self.fc2)
        return torch.addcmul(x, rearrange(y, "b h w c -> b c h w"), self.scale[:, None, None])
