"""The network: encodes frames, and refines the flow from an anchor frame to the frames of one window."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from pointtrack.geometry import sample_features
from pointtrack.layers.correlation import channels_last
from pointtrack.layers.embeddings import time_code
from pointtrack.layers.precision import narrow
from pointtrack.models.alltracker.config import CELL, CHANNELS, PAD, AllTrackerConfig
from pointtrack.models.alltracker.correlation import WIDTH, correlate, pyramid
from pointtrack.models.alltracker.encoder import ENCODERS
from pointtrack.models.alltracker.flow import Flow
from pointtrack.models.alltracker.loop import MEMO, FlowLoop
from pointtrack.models.alltracker.update import ConvHead, Update
from pointtrack.models.alltracker.upsampling import upsample, upsample_at
from pointtrack.models.tracking_network import TrackingNetwork

TIME_TABLE = 16  # frames
SMALLEST = 128  # pixels of a padded side, enough for five maps from 1/8 on


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


class AllTracker(TrackingNetwork):
    """Flow from an anchor frame to other frames, refined with attention over time.

    It holds no state of a video. Maps have no batch axis: videos are independent of each other.

    Source: AllTracker (Harley et al. 2025), by a description of what the published models compute.
    """

    config: AllTrackerConfig
    uses_support = False  # every pixel is tracked anyway
    tells_confidence = True
    loop = FlowLoop
    dense_chunk = 65536  # one flow serves all points

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

    @property
    def appearance_channels(self) -> int:
        """Channels of the features by which things are recognised."""
        return 2 * CHANNELS if self.config.encoder == "convnext" else CHANNELS

    def appearance_level(self, stride: int) -> int:
        """The level to pass to `read_level` for these features: there is only one."""
        return 0

    def level_stride(self, level: int) -> int:
        """Pixels per cell of a level."""
        return CELL

    def read_level(self, pyramid: list[Tensor], level: int) -> Tensor:
        """(b, t, h, w, c) float32 features of a level."""
        return pyramid[level].float()

    def bytes_per_point(self) -> int:
        """Memory that a point takes from window to window, beside its estimates."""
        return 0

    def bytes_at_work(self, wh: tuple[int, int], points: int) -> int:
        """Memory that a window of frames of this size and a chunk of points take while they are tracked.

        It counts the features of the window and of the step before it; flows with their features, including those
        kept for other chunks; a window at work; and all pixels of a frame.
        """
        window, cells = self.config.window, (wh[0] // CELL + 1) * (wh[1] // CELL + 1)
        frames = (window.length or 1) + window.step
        features = cells * (
            frames * self.appearance_channels + (MEMO + 4) * (window.length or 1) * (CHANNELS + 4)
        )
        return 4 * (features + cells * (9 * 2 * CELL**2 + 4 * WIDTH))

    def encode(self, frames: Tensor) -> list[Tensor]:
        """(b, t, 3, h, w) RGB 0..255 -> one level (b, t, h', w', c), features of the padded frames at stride 8."""
        left, right, top, bottom = padding((frames.shape[-1], frames.shape[-2]))
        pixels = rearrange(frames, "b t c h w -> (b t) c h w").float()
        padded = F.pad(pixels, (left, right, top, bottom), mode="replicate")
        padded = padded.contiguous(memory_format=torch.channels_last)
        with narrow(padded.device, self.inference.narrow):
            features = self.encoder(padded).float()
        return [channels_last(features, len(frames))]

    def start(self, anchor: Tensor, frames: int) -> Flow:
        """No motion, and neutral scores."""
        zero = anchor.new_zeros(frames, 2, *anchor.shape[:2])
        return Flow(zero, zero)

    def forward(
        self, anchor: Tensor, frames: list[Tensor], start: Flow, iterations: int | None = None
    ) -> Flow:
        """Refine one window.

        Args:
            anchor: (h, w, c) features of the frame whose cells are tracked.
            frames: s maps of the window.
            start: s frames to start from.
            iterations: rounds, by default the config's.
        """
        feature, context = anchor[..., :CHANNELS], anchor[..., -CHANNELS:]
        times = self.times(len(frames))
        maps = [pyramid(frame) for frame in frames]
        features = feature.expand(len(frames), -1, -1, -1)
        move, scores = start.move, start.scores
        for _ in range(self.config.window.iterations if iterations is None else iterations):
            with narrow(anchor.device, self.inference.narrow):
                features, moved, changed = self._refine(
                    anchor, maps, context + times[:, None, None], features, move, scores
                )
            move, scores = move + moved, scores + changed
        return Flow(move, scores, features)

    def _refine(
        self,
        anchor: Tensor,
        maps: list[list[Tensor]],
        context: Tensor,
        features: Tensor,
        move: Tensor,
        scores: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One round: the new features of all frames, and the changes of the flow and the scores."""
        h, w, _ = anchor.shape
        y, x = torch.meshgrid(*(torch.arange(side, device=anchor.device) for side in (h, w)), indexing="ij")
        own = torch.stack([x, y], dim=-1).float()
        tokens = []
        for i, levels in enumerate(maps):
            cells = own + rearrange(move[i], "xy h w -> h w xy")
            products = correlate(anchor.flatten(0, 1), levels, cells.flatten(0, 1))
            motion = self.update.motion(rearrange(products, "(h w) c -> h w c", h=h), move[i])
            score = rearrange(scores[i], "k h w -> h w k")
            tokens.append(self.update.token(features[i], context[i], motion, score))
        features = self.update(torch.stack(tokens)).float()
        images = rearrange(features, "s h w c -> s c h w").split(1)
        moved, changed = (
            torch.cat([head(image) for image in images]).float() for head in (self.flow_head, self.score_head)
        )
        return features, moved, changed

    def times(self, frames: int) -> Tensor:
        """(s, c) codes of the frames of a window."""
        if frames == 1:
            return self.time_table[1:2]
        if frames == len(self.time_table):
            return self.time_table
        table = rearrange(self.time_table, "t c -> 1 c t")
        return rearrange(F.interpolate(table, frames, mode="linear", align_corners=False), "1 c t -> t c")

    def pixels(self, flow: Flow, wh: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Read the flow at every pixel of the anchor.
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

    def points(self, flow: Flow, xy: Tensor, wh: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Read the flow at some positions of the anchor, which may lie between pixels.
        Args:
            flow: of s frames, refined.
            xy: (n, 2) pixels of the anchor.
            wh: size of the frames before they were padded.

        Returns:
            (s, n, 2) motion in pixels, and (s, n, 2) logits: visible, and position right.
        """
        last = xy.new_tensor([wh[0] - 1, wh[1] - 1])
        xy = xy.clamp(min=torch.zeros_like(last), max=last)
        if 4 * len(xy) > flow.move.shape[-2] * flow.move.shape[-1]:  # then reading all pixels costs less
            parts = []
            for i in range(len(flow)):
                maps = torch.cat(self.pixels(flow[i : i + 1], wh), dim=1)
                parts.append(sample_features(maps, xy[None]))
            values = torch.cat(parts)
        else:
            assert flow.features is not None
            left, _, top, _ = padding(wh)
            low = xy.floor().long()
            high = torch.minimum(low + 1, last.long())
            (x0, y0), (x1, y1) = low.unbind(-1), high.unbind(-1)
            columns, rows = torch.cat([x0, x1, x0, x1]) + left, torch.cat([y0, y0, y1, y1]) + top
            both = torch.cat([flow.move, flow.scores], dim=1)
            corners = upsample_at(both, flow.features, self.weight_head, columns, rows)
            a, b, c, d = corners.chunk(4, dim=1)
            fx, fy = (xy - low).unbind(-1)
            values = torch.lerp(torch.lerp(a, b, fx[:, None]), torch.lerp(c, d, fx[:, None]), fy[:, None])
        return values[..., :2], values[..., 2:]
