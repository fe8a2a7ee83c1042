"""CoTracker2 and 2.1: a whole cost volume per level, track features renewed every round."""

from __future__ import annotations

import torch
from einops import rearrange, repeat
from torch import Tensor, nn

from benchmarks.plain.encoder import LEVELS, Encoder, encode_video
from benchmarks.plain.sampling import RADIUS, patch_around, sample, sample_frames
from benchmarks.plain.transformer import UpdateFormer, wave_table
from benchmarks.plain.windows import Estimate, Window

CHANNELS = 128
PATCH = (2 * RADIUS + 1) ** 2
WAVES = 32  # frequencies of the flow embedding
TOKEN = (2 + 4 * WAVES) + LEVELS * PATCH + CHANNELS + 1 + 1


class CoTracker2(nn.Module):
    """The network on one window.

    Args:
        length: frames per window, 8 (CoTracker2) or 16 (2.1).
    """

    start_logit = 10.0

    def __init__(self, length: int):
        super().__init__()
        self.length: int | None = length
        self.fnet = Encoder()
        self.updateformer = UpdateFormer(TOKEN, 6, {"flow_head": 2 + CHANNELS})
        self.norm = nn.GroupNorm(1, CHANNELS)
        self.track_feat_updater = nn.Sequential(nn.Linear(CHANNELS, CHANNELS), nn.GELU())
        self.vis_predictor = nn.Sequential(nn.Linear(CHANNELS, 1))
        self.register_buffer("time_emb", wave_table(length, TOKEN)[None])
        columns, rows = wave_table(128, TOKEN // 2), wave_table(96, TOKEN // 2)
        places = [repeat(columns, "w c -> 1 c h w", h=96), repeat(rows, "h c -> 1 c h w", w=128)]
        self.register_buffer("pos_emb", torch.cat(places, dim=1))

    def encode(self, video: Tensor) -> list[Tensor]:
        """(b, t, 3, h, w) RGB 0..255 -> pyramid."""
        return encode_video(self.fnet, video, unit_length=False)

    def appearance(self, pyramid: list[Tensor], frame: Tensor, cells: Tensor) -> list[Tensor]:
        """Features of queries: frames (b, n), positions (b, n, 2) -> [(b, n, c)]."""
        return [sample_frames(pyramid[0], frame, cells[:, :, None])[:, :, 0]]

    def forward(self, window: Window, rounds: int) -> Estimate:
        """Refine the estimate that a window starts with."""
        now = window.begin
        cells, logit = now.cells, now.visibility
        s = cells.shape[1]
        feature = repeat(window.appearance[0], "b n c -> b s n c", s=s)
        number = window.start + torch.arange(s, device=cells.device)[:, None]
        requested = (window.frame[:, None] <= number) & (number >= window.start + window.shared)
        place = sample(self.pos_emb.expand(len(cells), -1, -1, -1), cells[:, 0])
        codes = self.time_emb[0, :, None] + place[:, None]
        for _ in range(rounds):
            cells = cells.detach()
            parts = [
                flow_embedding(cells - cells[:, :1]),
                self.correlate(window.pyramid, feature, cells),
                feature,
                requested[..., None].to(cells),
                logit[..., None],
            ]
            tokens = rearrange(torch.cat(parts, dim=-1) + codes, "b s n c -> b n s c")
            delta = rearrange(self.updateformer(tokens, window.active), "b n s c -> b s n c")
            cells = cells + delta[..., :2]
            flat = self.norm(delta[..., 2:].reshape(-1, CHANNELS))
            feature = feature + self.track_feat_updater(flat).reshape(feature.shape)
        visibility = self.vis_predictor(feature)[..., 0]
        return Estimate(cells, visibility, visibility)

    def correlate(self, pyramid: list[Tensor], feature: Tensor, cells: Tensor) -> Tensor:
        """Features (b, s, n, c) with the patches around positions (b, s, n, 2) -> (b, s, n, 4 * 49)."""
        b, s, n, _ = cells.shape
        found = []
        for i, level in enumerate(pyramid):
            volume = torch.einsum("bsnc,bschw->bsnhw", feature, level) * CHANNELS**-0.5
            maps = rearrange(volume, "b s n h w -> (b s n) 1 h w")
            patch = rearrange(patch_around(cells / 2**i), "b s n p xy -> (b s n) p xy")
            found.append(rearrange(sample(maps, patch), "(b s n) p 1 -> b s n p", b=b, s=s))
        return torch.cat(found, dim=-1)


def flow_embedding(motion: Tensor) -> Tensor:
    """(..., 2) motion in cells -> (..., 130): itself, then waves of x, then of y, sine and cosine interleaved."""
    frequency = torch.arange(WAVES, device=motion.device, dtype=motion.dtype) * (1000.0 / WAVES)
    angle = motion[..., None] * frequency
    waves = torch.stack([angle.sin(), angle.cos()], dim=-1)
    return torch.cat([motion, waves.flatten(-3)], dim=-1)
