"""The network of our small segmenter: a frame encoded once, prompts answered on it often.

The backbone is the tracker's encoder (and may start from its weights); attention at stride 16 gives it a view
of the whole frame. A prompt is told twice: as tokens, which a two-way decoder lets talk to the frame, and as
maps beside the frame (disks, box, former mask, and how much every cell looks like the clicked ones), so that
little has to be learnt about what a click means. Masks grow back to stride 2 along the backbone's maps.

Source: the ideas of SAM (Kirillov et al. 2023: encoder apart from decoder, several masks and their predicted
overlap), and of click maps in interactive segmentation (Xu et al. 2016), by their papers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import cast

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor, nn

from pointtrack.config import EncoderConfig
from pointtrack.geometry import sample_features
from pointtrack.layers.attention import CrossBlock, SelfBlock
from pointtrack.layers.encoder import Encoder
from pointtrack.layers.norms import instance_norm

# What a prompt token is.
NEGATIVE, POSITIVE, BOX_START, BOX_END, NOTHING = 0, 1, 2, 3, -1
# Pixels per cell of the coarsest maps, of the masks to prompt with again, and of the answer.
STRIDE, LOW_STRIDE, MASK_STRIDE = 16, 4, 2
DISK_PX = 6.0
PROMPT_MAPS = 8


@dataclass(frozen=True)
class SegmenterConfig:
    """Our small segmenter.

    Attributes:
        name, licence: of the weights.
        input_side: frames are resized, shape kept to 16 pixels, so that their longer side is this.
        encoder: the backbone; its stages must be at strides 4, 8 and 16.
        width, heads, mlp_ratio: of the tokens, of the frame's and of the prompt's.
        depth: blocks of attention over the frame.
        decoder_depth: rounds of talk between prompt and frame.
        grow_channels: of the maps at strides 8, 4 and 2 on the way back to a mask.
        several: candidates for a prompt that may mean more than one thing; one more for those that do not.
    """

    name: str = "pointtrack-segmenter"
    licence: str = "Apache-2.0"
    input_side: int = 512
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    width: int = 192
    heads: int = 6
    mlp_ratio: int = 2
    depth: int = 4
    decoder_depth: int = 2
    grow_channels: tuple[int, int, int] = (64, 32, 16)
    several: int = 3

    def __post_init__(self) -> None:
        if tuple(self.encoder.stage_strides) != (2, 2, 2):
            raise ValueError(
                f"segmenter encoder: expected stage_strides (2, 2, 2), got {self.encoder.stage_strides}"
            )
        if self.width % self.heads or self.width % 4:
            raise ValueError(
                f"segmenter width: expected a multiple of 4 and of the {self.heads} heads, got {self.width}"
            )


@dataclass(frozen=True)
class FrameMaps:
    """What the decoder needs of b frames of h x w pixels.

    Attributes:
        context: (b, width, h / 16, w / 16) features that have seen the whole frame.
        skips: maps at strides 8, 4 and 2, with the channels of `grow_channels`.
        looks: (b, c, h / 4, w / 4) features of unit length to compare cells by.
    """

    context: Tensor
    skips: tuple[Tensor, Tensor, Tensor]
    appearance: Tensor


@dataclass(frozen=True)
class Asked:
    """m prompts, each on one of the frames; all places in pixels as the network sees them.

    Attributes:
        frame: (m,) int64 which frame each is on.
        points: (m, k, 2) points and corners of boxes, (x, y).
        kinds: (m, k) int64: NEGATIVE, POSITIVE, BOX_START, BOX_END, or NOTHING for an empty place.
        former: (m, h / 4, w / 4) logits of a former answer.
        has_former: (m,) bool: whether there is one.
    """

    frame: Tensor
    points: Tensor
    kinds: Tensor
    former: Tensor
    has_former: Tensor


class FrameEncoder(nn.Module):
    """RGB frames -> `FrameMaps`."""

    def __init__(self, config: SegmenterConfig):
        super().__init__()
        self.backbone = Encoder(config.encoder)
        stages = config.encoder.stage_channels
        self.widen = nn.Conv2d(stages[-1], config.width, 1)
        # A convolution per block says where a cell is, whatever the size of the frame.
        self.places = nn.ModuleList(
            nn.Conv2d(config.width, config.width, 3, padding=1, groups=config.width)
            for _ in range(config.depth)
        )
        self.blocks = nn.ModuleList(
            SelfBlock(config.width, config.heads, config.mlp_ratio) for _ in range(config.depth)
        )
        self.skips = nn.ModuleList(
            nn.Conv2d(c_in, c_out, 1)
            for c_in, c_out in zip(
                (stages[1], stages[0], config.encoder.stem_channels), config.grow_channels, strict=True
            )
        )

    def forward(self, frames: Tensor) -> FrameMaps:
        """(b, 3, h, w) float RGB 0..255, sides multiples of 16."""
        h, w = frames.shape[-2:]
        stem = F.relu(instance_norm(self.backbone.stem(2 * (frames / 255.0) - 1)))
        stages = []
        x = stem
        for stage in self.backbone.stages:
            x = stage(x)
            stages.append(x)
        appearance = F.normalize(self.backbone.fusion(stages, (h // 4, w // 4)).float(), dim=1)
        x = self.widen(x)
        for place, block in zip(self.places, self.blocks, strict=True):
            x = x + place(x)
            tokens = block(rearrange(x, "b c h w -> b (h w) c"))
            x = rearrange(tokens, "b (h w) c -> b c h w", h=h // STRIDE)
        fine = [skip(y) for skip, y in zip(self.skips, (stages[1], stages[0], stem), strict=True)]
        return FrameMaps(x, (fine[0], fine[1], fine[2]), appearance)


class PromptMaps(nn.Module):
    """Prompts as maps beside the frame: (m, ...) prompts -> maps for strides 16, 8 and 4."""

    def __init__(self, config: SegmenterConfig):
        super().__init__()
        coarse, fine, _ = config.grow_channels
        self.at_4 = nn.Conv2d(PROMPT_MAPS, fine, 3, padding=1)
        self.at_8 = nn.Conv2d(fine, coarse, 3, stride=2, padding=1)
        self.at_16 = nn.Conv2d(coarse, config.width, 3, stride=2, padding=1)

    def forward(self, maps: FrameMaps, requested: Asked) -> tuple[Tensor, Tensor, Tensor]:
        """(m, width, h / 16, w / 16), and the same at strides 8 and 4 with their own channels."""
        four = self.at_4(draw_prompts(maps.appearance, requested))
        eight = self.at_8(F.gelu(four))
        return self.at_16(F.gelu(eight)), eight, four


def draw_prompts(appearance: Tensor, requested: Asked) -> Tensor:
    """(m, 8, h / 4, w / 4) maps of prompts.

    In order: disks around positive and around negative points, inside of the box, whether there is a box,
    former mask, whether there is one, likeness to the most similar positive and negative point.
    """
    _, c, h, w = appearance.shape
    # Cell (i, j) of a map of stride 4 lies at pixel (4 i, 4 j); see geometry.py.
    x = LOW_STRIDE * torch.arange(w, device=appearance.device, dtype=torch.float32)
    y = LOW_STRIDE * torch.arange(h, device=appearance.device, dtype=torch.float32)
    near_x = torch.exp(-0.5 * ((requested.points[..., 0, None] - x) / DISK_PX) ** 2)
    near_y = torch.exp(-0.5 * ((requested.points[..., 1, None] - y) / DISK_PX) ** 2)
    disks = near_y[..., :, None] * near_x[..., None, :]  # (m, k, h, w)
    # Every point on its own frame: the point's features, then one product with that frame's cells.
    cells = appearance[requested.frame].float()
    of_points = sample_features(cells, requested.points / LOW_STRIDE)
    similarity = rearrange(of_points @ cells.flatten(2), "m k (h w) -> m k h w", h=h)
    drawn = []
    for values in (disks, similarity):
        for kind in (POSITIVE, NEGATIVE):
            # Nothing there is drawn as 0, so less likeness than none is none.
            of_kind = values * (requested.kinds == kind)[..., None, None]
            drawn.append(of_kind.amax(dim=1).clamp(min=0) if of_kind.shape[1] else of_kind.sum(dim=1))
    start, end = (requested.kinds == kind for kind in (BOX_START, BOX_END))
    low, high = ((requested.points * which[..., None]).sum(dim=1) for which in (start, end))
    boxed = start.any(dim=1)[:, None, None].float()
    # The soft edge of a cell lets a box of less than a cell be seen.
    across = _between(x, low[:, :1], high[:, :1])
    down = _between(y, low[:, 1:], high[:, 1:])
    inside = boxed * down[:, :, None] * across[:, None, :]
    known = requested.has_former[:, None, None].float()
    former = known * (2 * requested.former.float().sigmoid() - 1)
    flat = torch.ones_like(former)
    return torch.stack(
        [drawn[0], drawn[1], inside, boxed * flat, former, known * flat, drawn[2], drawn[3]], dim=1
    )


def _between(cells: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """(s,) places of cells, (m, 1) bounds -> (m, s): 1 inside, 0 outside, straight over a cell between."""
    return (torch.minimum(cells - low, high - cells) / LOW_STRIDE + 0.5).clamp(0, 1)


def place_waves(xy: Tensor, width: int) -> Tensor:
    """(..., 2) places in pixels -> (..., width) sines and cosines, of waves 16 to 2,048 pixels long."""
    count = width // 4
    length = 16.0 * 128.0 ** (torch.arange(count, device=xy.device, dtype=torch.float32) / max(count - 1, 1))
    angle = (xy[..., None].float() * (2 * math.pi / length)).flatten(-2)
    return torch.cat([angle.sin(), angle.cos()], dim=-1)


class MaskDecoder(nn.Module):
    """Prompts and frame talk to each other, then masks grow along the frame's finer maps."""

    def __init__(self, config: SegmenterConfig):
        super().__init__()
        width, heads, ratio = config.width, config.heads, config.mlp_ratio
        self.masks = 1 + config.several
        self.maps = PromptMaps(config)
        self.kinds = nn.Embedding(4, width)
        self.answers = nn.Parameter(0.5 * torch.randn(1 + self.masks, width))
        self.rounds = nn.ModuleList(
            nn.ModuleList(CrossBlock(width, heads, ratio) for _ in range(3))
            for _ in range(config.decoder_depth)
        )
        self.last_look = CrossBlock(width, heads, ratio)
        widths = (width, *config.grow_channels)
        self.narrow = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in zip(widths[:-1], widths[1:], strict=True))
        self.mix = nn.ModuleList(nn.Conv2d(c, c, 3, padding=1) for c in config.grow_channels)
        self.to_weights = nn.ModuleList(
            nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, config.grow_channels[-1] + 1))
            for _ in range(self.masks)
        )
        self.to_overlap = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, self.masks))

    def forward(
        self, maps: FrameMaps, requested: Asked, origin: tuple[float, float] = (0.0, 0.0)
    ) -> tuple[Tensor, Tensor]:
        """Answers to prompts.

        Args:
            maps: of the frames.
            asked: m prompts.
            origin: added to all places; training draws it, so that no place of the frame is special.

        Returns:
            (m, 1 + several, h / 2, w / 2) mask logits, the answer to a clear prompt first, and
            (m, 1 + several) logits of their overlap (IoU) with what is meant.
        """
        sixteen, eight, four = self.maps(maps, requested)
        context = maps.context[requested.frame] + sixteen
        h, w = context.shape[-2:]
        shift = torch.tensor(origin, device=context.device)
        image = rearrange(context, "m c h w -> m (h w) c") + self._grid(h, w, shift)
        tokens, hidden = self._tokens(requested, shift)
        for talk in self.rounds:
            inner, read, write = cast(nn.ModuleList, talk)
            tokens = inner(tokens, tokens, hidden)
            tokens = read(tokens, image)
            image = write(image, tokens, hidden)
        tokens = self.last_look(tokens, image)
        x = rearrange(image, "m (h w) c -> m c h w", h=h)
        for narrow, mix, skip, extra in zip(
            self.narrow, self.mix, maps.skips, (eight, four, None), strict=True
        ):
            x = F.interpolate(narrow(x), scale_factor=2.0, mode="bilinear") + skip[requested.frame]
            x = F.gelu(x if extra is None else x + extra)
            x = x + F.gelu(mix(x))
        weights = torch.stack([to(tokens[:, 1 + i]) for i, to in enumerate(self.to_weights)], dim=1)
        logits = torch.einsum("m k c, m c h w -> m k h w", weights[..., 1:], x)
        return (logits + weights[..., :1, None]).float(), self.to_overlap(tokens[:, 0]).float()

    def _tokens(self, requested: Asked, shift: Tensor) -> tuple[Tensor, Tensor]:
        """(m, n, width) answers to be filled and prompts; (m, 1, n) bool: which of them nobody may see."""
        m = len(requested.frame)
        prompts = self.kinds(requested.kinds.clamp(min=0)) + place_waves(
            requested.points + shift, self.answers.shape[1]
        )
        tokens = torch.cat([repeat(self.answers, "n c -> m n c", m=m), prompts], dim=1)
        hidden = torch.zeros(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
        hidden[:, len(self.answers) :] = requested.kinds == NOTHING
        return tokens, hidden[:, None]

    def _grid(self, h: int, w: int, shift: Tensor) -> Tensor:
        """(h * w, width) codes of the places of the frame's cells."""
        y, x = torch.meshgrid(
            STRIDE * torch.arange(h, device=shift.device),
            STRIDE * torch.arange(w, device=shift.device),
            indexing="ij",
        )
        xy = rearrange([x, y], "xy h w -> (h w) xy")
        return place_waves(xy + shift, self.answers.shape[1])


class SegmenterNetwork(nn.Module):
    """Encoder and decoder together."""

    def __init__(self, config: SegmenterConfig):
        super().__init__()
        self.config = config
        self.encoder = FrameEncoder(config)
        self.decoder = MaskDecoder(config)
