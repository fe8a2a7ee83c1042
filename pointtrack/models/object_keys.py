"""Keys of the object memory: what the cells of a frame show, with more context than points need.

Points are found again by features that distinguish neighbouring places. An object's cells must instead be alike, and
differ from everything else in the frame, which the trunk's coarse maps show better. So keys join both: the mean of the
joint features over each cell, and those maps, mixed into few channels, so that reading the memory takes no longer.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from pointtrack.config import EncoderConfig
from pointtrack.layers.correlation import averaged
from pointtrack.layers.encoder import Encoder
from pointtrack.layers.trunk import kept_channels

KEY_STRIDE = 16  # of the cells in memories of objects, in pixels of the tracker's input
SIDE = KEY_STRIDE // Encoder.stride  # of such a cell, in cells of the joint features
COARSE_WEIGHT = 0.5  # of each coarse map in the cosine of two cells; the joint features count 1


class ObjectKeys(nn.Module):
    """Learnt joint features and the trunk's coarse maps -> keys at stride 16.

    Args:
        config: of the encoder.

    Raises:
        ValueError: an encoder without learnt joint features.
    """

    def __init__(self, config: EncoderConfig):
        super().__init__()
        if not config.joint_channels:
            raise ValueError("key_channels: expected none without learnt joint features (joint_channels 0)")
        kept = kept_channels(config.trunk_stride, config.trunk_blocks, config.trunk_narrow)
        coarse = [channels for stride, channels in kept.items() if stride >= KEY_STRIDE]
        self.coarse = len(coarse)
        self.mix = nn.Linear(config.joint_channels + sum(coarse), config.key_channels, bias=False)

    @torch.no_grad()
    def forward(self, joint: Tensor, maps: list[Tensor], wide: tuple[int, int]) -> Tensor:
        """The keys of b frames.

        Args:
            joint: (b, h, w, c) joint features of stride 4.
            maps: from `Trunk.compared`, finest first, (b, c_i, h_i, w_i).
            wide: size in cells of stride 4 that the trunk's maps extend over, at least (h, w).

        Returns:
            (b, h / 4, w / 4, `key_channels`) float16, of unit length.
        """
        with torch.autocast(joint.device.type, enabled=False):  # on a CPU it does not support float16
            return self.mixed(self.beside(joint, maps, wide)).half()

    def beside(self, joint: Tensor, maps: list[Tensor], wide: tuple[int, int]) -> Tensor:
        """(b, h / 4, w / 4, c) float32: what is mixed, side by side by its weights; for arguments as in `forward`."""
        first = averaged(joint, SIDE)
        h, w = first.shape[1:3]
        size = (max(wide[0] // SIDE, h), max(wide[1] // SIDE, w))
        parts = [F.normalize(first, dim=-1)]
        for x in maps[-self.coarse :]:
            resized = F.interpolate(x.float(), size=size, mode="bilinear", align_corners=False)[..., :h, :w]
            parts.append(COARSE_WEIGHT**0.5 * F.normalize(rearrange(resized, "b c h w -> b h w c"), dim=-1))
        return torch.cat(parts, dim=-1)

    def mixed(self, beside: Tensor) -> Tensor:
        """(..., c) from `beside` -> (..., `key_channels`) of unit length."""
        return F.normalize(cast(Tensor, self.mix(beside)), dim=-1)
