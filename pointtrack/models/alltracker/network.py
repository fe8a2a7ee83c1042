"""The network: encodes frames, and refines the flow from an anchor frame to the frames of one window."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from pointtrack.layers.embeddings import time_code
from pointtrack.models.alltracker.config import CELL, CHANNELS, PAD, AllTrackerConfig
from pointtrack.models.alltracker.correlation import correlate, pyramid
from pointtrack.models.alltracker.encoder import ENCODERS
from pointtrack.models.alltracker.update import ConvHead, Update
from pointtrack.models.alltracker.upsampling import upsample

TIME_TABLE = 16  # frames
SMALLEST = 128  # pixels of a padded side, for five maps from an eighth on


@dataclass(frozen=True)
class Flow:
    """Where the cells of the anchor are on some frames.

    Attributes:
        move: (s, 2, h, w) (x, y) in cells.
        scores: (s, 2, h, w) an eighth of the logits: visible, and position right.
        features: (s, h, w, c) what they were read from; None where nothing was refined yet.
    """

    move: Tensor
    scores: Tensor
    features: Tensor | None = None

    def __getitem__(self, frames: slice) -> Flow:
        features = None if self.features is None else self.features[frames]
        return Flow(self.move[frames], self.scores[frames], features)

    def __len__(self) -> int:
        return len(self.move)


def padding(wh: tuple[int, int]) -> tuple[int, int, int, int]:
    """Pixels that an image is padded by so that its sides are multiples of 64: left, right, top, bottom.

    Raises:
        ValueError: a side of 64 pixels or fewer.
    """
    if min(wh) <= PAD:
        raise ValueError(
            f"AllTracker: expected frames with sides of more than {PAD} pixels, got {wh[0]} x {wh[1]}"
        )
    across, down = (-side % PAD for side in wh)
    return across // 2, across - across // 2, down // 2, down - down // 2


class AllTracker(nn.Module):
    """Flow from an anchor frame to other frames, refined with attention over time.

    It keeps nothing of a video. Maps have no batch axis: videos are independent of each other.

    Source: AllTracker (Harley et al. 2025), by a description of what the published models compute.
    """

    def __init__(self, config: AllTrackerConfig):
        super().__init__()
        self.config = config
        self.encoder = ENCODERS[config.encoder]()
        self.update = Update()
        self.flow_head = ConvHead(2, 3)
        self.score_head = ConvHead(2, 3)
        self.weight_head = ConvHead(9 * CELL**2, 1)
        self.time_table: Tensor
        self.register_buffer("time_table", time_code(TIME_TABLE, CHANNELS))

    def encode(self, frames: Tensor) -> Tensor:
        """(t, 3, h, w) RGB 0..255 -> (t, h', w', c) features of the padded frames, in cells of 8 pixels."""
        left, right, top, bottom = padding((frames.shape[-1], frames.shape[-2]))
        padded = F.pad(frames.float(), (left, right, top, bottom), mode="replicate")
        padded = padded.contiguous(memory_format=torch.channels_last)
        return rearrange(self.encoder(padded), "t c h w -> t h w c").contiguous()

    def start(self, anchor: Tensor, frames: int) -> Flow:
        """No motion at all, and scores that say nothing."""
        zero = anchor.new_zeros(frames, 2, *anchor.shape[:2])
        return Flow(zero, zero)

    def forward(
        self, anchor: Tensor, frames: list[Tensor], start: Flow, iterations: int | None = None
    ) -> Flow:
        """Refine one window.

        Args:
            anchor: (h, w, c) features of the frame whose cells are followed.
            frames: s maps of the window.
            start: s frames to start from.
            iterations: rounds, by default the config's.
        """
        h, w, _ = anchor.shape
        feature, context = anchor[..., :CHANNELS], anchor[..., -CHANNELS:]
        times = self.times(len(frames))
        y, x = torch.meshgrid(*(torch.arange(side, device=anchor.device) for side in (h, w)), indexing="ij")
        own = torch.stack([x, y], dim=-1).float()
        maps = [pyramid(frame) for frame in frames]
        features = feature.expand(len(frames), -1, -1, -1)
        move, scores = start.move, start.scores
        for _ in range(self.config.iterations if iterations is None else iterations):
            tokens = []
            for i, levels in enumerate(maps):
                cells = own + rearrange(move[i], "xy h w -> h w xy")
                products = correlate(anchor.flatten(0, 1), levels, cells.flatten(0, 1))
                image = rearrange(products, "(h w) c -> 1 c h w", h=h)
                motion = rearrange(self.update.motion(image, move[i, None]), "1 c h w -> h w c")
                score = rearrange(scores[i], "k h w -> h w k")
                tokens.append(self.update.token(features[i], context + times[i], motion, score))
            features = self.update(torch.stack(tokens))
            images = rearrange(features, "s h w c -> s c h w")
            move = move + torch.cat([self.flow_head(image) for image in images.split(1)])
            scores = scores + torch.cat([self.score_head(image) for image in images.split(1)])
        return Flow(move, scores, features)

    def times(self, frames: int) -> Tensor:
        """(s, c) codes of the frames of a window."""
        if frames == 1:
            return self.time_table[1:2]
        if frames == len(self.time_table):
            return self.time_table
        table = rearrange(self.time_table, "t c -> 1 c t")
        return rearrange(F.interpolate(table, frames, mode="linear", align_corners=False), "1 c t -> t c")

    def pixels(self, flow: Flow, wh: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Every pixel of the anchor.

        Args:
            flow: of s frames, refined.
            wh: size of the frames before they were padded.

        Returns:
            (s, 2, h, w) motion in pixels, and (s, 2, h, w) logits: visible, and position right.
        """
        left, _, top, _ = padding(wh)
        assert flow.features is not None
        parts = []
        for move, scores, features in zip(flow.move, flow.scores, flow.features, strict=True):
            weights = self.weight_head(rearrange(features, "h w c -> 1 c h w"))[0]
            whole = upsample(torch.cat([move, scores]), weights)
            parts.append(whole[:, top : top + wh[1], left : left + wh[0]])
        both = torch.stack(parts)
        return both[:, :2], both[:, 2:]
