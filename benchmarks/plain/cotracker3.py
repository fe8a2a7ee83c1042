"""CoTracker3: patches around the estimate sampled from the maps, and all their products with the query's patch."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from benchmarks.plain.encoder import LEVELS, Encoder, encode_video
from benchmarks.plain.sampling import RADIUS, patch_around, sample, sample_frames
from benchmarks.plain.transformer import Mlp, UpdateFormer, wave_table
from benchmarks.plain.windows import Estimate, Window

PATCH = (2 * RADIUS + 1) ** 2
CORRELATION = 256  # numbers that a level's products are condensed to
OCTAVES = 10  # of the motion's waves
MODEL_CELLS = (128.0, 96.0)  # of 512 x 384 pixels, whatever the size of the frames
TOKEN = 1 + 1 + LEVELS * CORRELATION + 4 + 8 * OCTAVES


class CoTracker3(nn.Module):
    """The network on one window.

    Args:
        length: frames per window, 16 (online); None for one window over the whole video (offline).
    """

    start_logit = 0.0

    def __init__(self, length: int | None):
        super().__init__()
        self.length = length
        self.fnet = Encoder()
        self.corr_mlp = Mlp((PATCH * PATCH, 384, CORRELATION), "none")
        self.updateformer = UpdateFormer(TOKEN, 3, {"flow_head": 2, "vis_conf_head": 2})
        self.register_buffer("time_emb", wave_table(length or 60, TOKEN)[None])

    def encode(self, video: Tensor) -> list[Tensor]:
        """(b, t, 3, h, w) RGB 0..255 -> pyramid."""
        return encode_video(self.fnet, video, unit_length=True)

    def appearance(self, pyramid: list[Tensor], frame: Tensor, cells: Tensor) -> list[Tensor]:
        """Patches around queries: frames (b, n), positions (b, n, 2) -> per level (b, n, 49, c)."""
        return [sample_frames(level, frame, patch_around(cells / 2**i)) for i, level in enumerate(pyramid)]

    def forward(self, window: Window, rounds: int) -> Estimate:
        """Refine the estimate that a window starts with."""
        cells, visibility, confidence = window.begin
        codes = self.time_codes(cells.shape[1])
        for _ in range(rounds):
            cells = cells.detach()
            parts = [
                visibility[..., None],
                confidence[..., None],
                self.correlate(window.pyramid, window.appearance, cells),
                relative_motion(cells),
            ]
            tokens = rearrange(torch.cat(parts, dim=-1) + codes, "b s n c -> b n s c")
            delta = rearrange(self.updateformer(tokens), "b n s c -> b s n c")
            cells = cells + delta[..., :2]
            visibility = visibility + delta[..., 2]
            confidence = confidence + delta[..., 3]
        return Estimate(cells, visibility, confidence)

    def correlate(self, pyramid: list[Tensor], appearance: list[Tensor], cells: Tensor) -> Tensor:
        """Patches around queries with those around positions (b, s, n, 2) -> (b, s, n, 4 * 256)."""
        b, s, n, _ = cells.shape
        found = []
        for i, (level, templates) in enumerate(zip(pyramid, appearance, strict=True)):
            maps = rearrange(level, "b s c h w -> (b s) c h w")
            positions = rearrange(patch_around(cells / 2**i), "b s n p xy -> (b s) (n p) xy")
            patch = rearrange(sample(maps, positions), "(b s) (n p) c -> b s n p c", b=b, n=n)
            volume = torch.einsum("bsnpc,bnqc->bsnpq", patch, templates)
            found.append(self.corr_mlp(volume.flatten(-2)))
        return torch.cat(found, dim=-1)

    def time_codes(self, frames: int) -> Tensor:
        """(s, 1, c) the stored table, resampled where a window has another length."""
        table = self.time_emb
        if table.shape[1] != frames:
            table = F.interpolate(table.transpose(1, 2), frames, mode="linear").transpose(1, 2)
        return table[0, :, None]


def relative_motion(cells: Tensor) -> Tensor:
    """Positions (b, s, n, 2) -> (b, s, n, 84) motion to the next and from the last frame, and waves of it."""
    step = (cells[:, :-1] - cells[:, 1:]) / cells.new_tensor(MODEL_CELLS)
    none = torch.zeros_like(cells[:, :1])
    motion = torch.cat([torch.cat([step, none], dim=1), torch.cat([none, -step], dim=1)], dim=-1)
    factor = 2.0 ** torch.arange(OCTAVES, device=cells.device, dtype=cells.dtype)
    angle = (motion[..., None, :] * factor[:, None]).flatten(-2)
    return torch.cat([motion, angle.sin(), (angle + math.pi / 2).sin()], dim=-1)
