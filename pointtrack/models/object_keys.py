"""Keys of the object memory: what the cells of a frame show, with more context than points need.

Points are found again by features that tell neighbouring places apart. An object's cells must instead be alike, and
differ from everything else in the frame, which the trunk's coarse maps tell better. So keys join both: the mean of the
joint features over each cell, and those maps. Each part is reduced to the axes on which photographs differ most, so
that reading the memory takes no longer.
"""

from __future__ import annotations

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
COARSE_WEIGHT = 0.5  # of each coarse map in the cosine of two keys; the joint features count 1


class ObjectKeys(nn.Module):
    """Learnt joint features and the trunk's coarse maps -> keys at stride 16.

    Args:
        config: of the encoder; `key_channels` are the channels of each part.

    Raises:
        ValueError: an encoder without learnt joint features, or another number of parts than it has.
    """

    def __init__(self, config: EncoderConfig):
        super().__init__()
        if not config.joint_channels:
            raise ValueError("key_channels: expected none without learnt joint features (joint_channels 0)")
        kept = kept_channels(config.trunk_stride, config.trunk_blocks, config.trunk_narrow)
        coarse = {stride: channels for stride, channels in kept.items() if stride >= KEY_STRIDE}
        if len(config.key_channels) != 1 + len(coarse):
            raise ValueError(
                f"key_channels: expected {1 + len(coarse)} numbers, for the joint features and the trunk's maps of "
                f"strides {[*coarse]}, got {list(config.key_channels)}"
            )
        widths = dict(zip(coarse, config.key_channels[1:], strict=True))
        self.joint = nn.Linear(config.joint_channels, config.key_channels[0], bias=False)
        self.coarse = nn.ModuleDict(
            {str(stride): nn.Linear(count, widths[stride], bias=False) for stride, count in coarse.items()}
        )

    @torch.no_grad()
    def forward(self, joint: Tensor, maps: list[Tensor], wide: tuple[int, int]) -> Tensor:
        """The keys of b frames.

        Args:
            joint: (b, h, w, c) joint features of stride 4.
            maps: from `Trunk.compared`, finest first, (b, c_i, h_i, w_i).
            wide: size in cells of stride 4 that the trunk's maps extend over, at least (h, w).

        Returns:
            (b, h / 4, w / 4, sum of `key_channels`) float16, of unit length.
        """
        with torch.autocast(joint.device.type, enabled=False):  # on a CPU it does not support float16
            first, *others = self.parts(joint, maps, wide)
            keys = [F.normalize(self.joint(first), dim=-1)]
            for layer, other in zip(self.coarse.values(), others, strict=True):
                keys.append(COARSE_WEIGHT**0.5 * F.normalize(layer(other), dim=-1))
            return F.normalize(torch.cat(keys, dim=-1), dim=-1).half()

    def parts(self, joint: Tensor, maps: list[Tensor], wide: tuple[int, int]) -> list[Tensor]:
        """The parts that are joined, (b, h / 4, w / 4, c_i) float32 of unit length; for arguments as in `forward`."""
        first = averaged(joint, SIDE)
        h, w = first.shape[1:3]
        size = (max(wide[0] // SIDE, h), max(wide[1] // SIDE, w))
        coarse = [
            F.interpolate(x.float(), size=size, mode="bilinear", align_corners=False)[..., :h, :w]
            for x in maps[-len(self.coarse) :]
        ]
        return [
            F.normalize(x, dim=-1) for x in (first, *(rearrange(x, "b c h w -> b h w c") for x in coarse))
        ]
