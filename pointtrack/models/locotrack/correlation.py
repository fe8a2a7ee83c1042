"""All products of the patch around the query with the patch around the estimate, encoded from both sides."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from pointtrack.models.locotrack.config import PATCH, LocoTrackConfig
from pointtrack.models.locotrack.encoder import convolve_same

GROUP_CHANNELS = 16  # of the norms


class SideEncoder(nn.Module):
    """Convolutions over one patch, whose channels are the cells of the other, down to one cell."""

    def __init__(self, config: LocoTrackConfig):
        super().__init__()
        self.convs, self.norms = nn.ModuleList(), nn.ModuleList()
        channels_in = PATCH**2
        for kernel, stride, channels in zip(config.kernels, config.strides, config.channels, strict=True):
            self.convs.append(nn.Conv2d(channels_in, channels, kernel, stride))
            self.norms.append(nn.GroupNorm(channels // GROUP_CHANNELS, channels, eps=1e-5))
            channels_in = channels
        self.channels = channels_in

    def forward(self, x: Tensor) -> Tensor:
        """(b, cells, 7, 7) -> (b, channels)."""
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.relu(norm(convolve_same(x, conv)))  # type: ignore[arg-type]
        return x.mean(dim=(2, 3))


class PatchEncoder(nn.Module):
    """Products of two patches -> numbers, once as an image of the target, once as an image of the query.

    Source: the bidirectional correspondence encoder of LocoTrack (Cho et al. 2024).
    """

    def __init__(self, config: LocoTrackConfig):
        super().__init__()
        self.side = SideEncoder(config)
        self.width = 2 * self.side.channels

    def forward(self, products: Tensor) -> Tensor:
        """(b, p, q) with p the 49 cells at the target and q those at the query, x slow -> (b, width)."""
        target = rearrange(products, "b (x y) q -> b q x y", x=PATCH)
        query = rearrange(products, "b p (x y) -> b p x y", x=PATCH)
        return torch.cat([self.side(target), self.side(query)], dim=-1)
