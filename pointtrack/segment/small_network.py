"""The network of our small segmenter: encodes a frame once, and answers many prompts on it.

The backbone is a frozen trunk pretrained on photographs (`layers/trunk.py`); attention at stride 16 gives it a view
of the whole frame. A prompt goes in twice: as tokens, which exchange information with the frame in a two-way decoder,
and as maps beside the frame (`small_prompts.py`). The decoder upsamples masks to stride 4 for every prompt, and to
stride 2 along a map that is computed once per frame.

Source: the ideas of SAM (Kirillov et al. 2023: an encoder separate from the decoder, several masks and their predicted
overlap), by the paper.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor, nn

from pointtrack.layers.attention import CrossBlock, SelfBlock
from pointtrack.layers.trunk import CHANNELS, Trunk
from pointtrack.segment.small_prompts import DRAWN_MAPS, NOTHING, PromptBatch, draw_prompts, place_waves

# Pixels per cell of the trunk's coarsest map, of the attention, and of the mask.
TRUNK_STRIDE, STRIDE, MASK_STRIDE = 32, 16, 2
LEVELS = (2, 4, 8, 16, 32)  # strides of the trunk's maps that are used
COMPARED = (8, 16, 32)  # strides of the maps for comparing cells with clicked ones


@dataclass(frozen=True)
class SegmenterConfig:
    """Our small segmenter.

    Attributes:
        name, licence: of the weights.
        input_side: longer side of resized frames; their shape is kept to within 32 pixels.
        width, heads, mlp_ratio: of the tokens of frame and prompt.
        depth: blocks of attention over the frame.
        decoder_depth: rounds of attention between prompt and frame.
        grow_channels: of the maps at strides 8 and 4 on the way back to a mask, and of the frame's at stride 2.
        several: candidates for a prompt that may mean more than one thing; a clear prompt has one more of its own.
    """

    name: str = "pointtrack-segmenter"
    licence: str = "Apache-2.0"
    input_side: int = 512
    width: int = 192
    heads: int = 6
    mlp_ratio: int = 2
    depth: int = 4
    decoder_depth: int = 2
    grow_channels: tuple[int, int, int] = (64, 32, 16)
    several: int = 3

    def __post_init__(self) -> None:
        if self.width % self.heads or self.width % 4:
            raise ValueError(
                f"segmenter width: expected a multiple of 4 and of the {self.heads} heads, got {self.width}"
            )


@dataclass(frozen=True)
class FrameMaps:
    """What the decoder needs from b frames of h x w pixels.

    Attributes:
        context: (b, width, h / 16, w / 16) features that have seen the whole frame.
        skips: maps at strides 8, 4 and 2, with the channels of `grow_channels`.
        appearance: maps at the strides of COMPARED, of unit length, to compare cells by.
    """

    context: Tensor
    skips: tuple[Tensor, Tensor, Tensor]
    appearance: tuple[Tensor, Tensor, Tensor]


class FrameEncoder(nn.Module):
    """RGB frames -> `FrameMaps`. The trunk is not trained."""

    def __init__(self, config: SegmenterConfig):
        super().__init__()
        self.trunk = Trunk(TRUNK_STRIDE)
        two, four, eight, sixteen, coarsest = (CHANNELS[stride] for stride in LEVELS)
        self.widen = nn.Conv2d(sixteen, config.width, 1)
        self.widen_coarsest = nn.Conv2d(coarsest, config.width, 1)
        # A convolution per block encodes where a cell is, whatever the size of the frame.
        self.places = nn.ModuleList(
            nn.Conv2d(config.width, config.width, 3, padding=1, groups=config.width)
            for _ in range(config.depth)
        )
        self.blocks = nn.ModuleList(
            SelfBlock(config.width, config.heads, config.mlp_ratio) for _ in range(config.depth)
        )
        self.skips = nn.ModuleList(
            nn.Conv2d(c_in, c_out, 1)
            for c_in, c_out in zip((eight, four, two), config.grow_channels, strict=True)
        )
        fine = config.grow_channels[-1]
        self.widen_fine = nn.Conv2d(four, fine, 1)
        self.mix_fine = nn.Conv2d(fine, fine, 3, padding=1)

    def forward(self, frames: Tensor) -> FrameMaps:
        """(b, 3, h, w) float RGB 0..255, sides multiples of 32."""
        h, w = frames.shape[-2:]
        with torch.no_grad():
            levels = [level.float() for level in self.trunk.maps(frames, LEVELS)]
        appearance = tuple(_compared(level) for level in levels[-3:])
        two, four, eight, sixteen, coarsest = (_standard(level) for level in levels)
        x = self.widen(sixteen) + _twice(self.widen_coarsest(coarsest))
        for place, block in zip(self.places, self.blocks, strict=True):
            x = x + place(x)
            tokens = block(rearrange(x, "b c h w -> b (h w) c"))
            x = rearrange(tokens, "b (h w) c -> b c h w", h=h // STRIDE)
        at_8, at_4, at_2 = (skip(level) for skip, level in zip(self.skips, (eight, four, two), strict=True))
        at_2 = F.gelu(at_2 + _twice(self.widen_fine(four)))
        at_2 = at_2 + F.gelu(self.mix_fine(at_2))
        return FrameMaps(x, (at_8, at_4, at_2), cast(tuple[Tensor, Tensor, Tensor], appearance))


class PromptMaps(nn.Module):
    """Prompts as maps beside the frame: (m, ...) prompts -> maps for strides 16, 8 and 4."""

    def __init__(self, config: SegmenterConfig):
        super().__init__()
        coarse, fine, _ = config.grow_channels
        self.at_4 = nn.Conv2d(DRAWN_MAPS + 2 * len(COMPARED), fine, 3, padding=1)
        self.at_8 = nn.Conv2d(fine, coarse, 3, stride=2, padding=1)
        self.at_16 = nn.Conv2d(coarse, config.width, 3, stride=2, padding=1)

    def forward(self, maps: FrameMaps, requested: PromptBatch) -> tuple[Tensor, Tensor, Tensor]:
        """(m, width, h / 16, w / 16), and the same at strides 8 and 4 with their own channels."""
        four = self.at_4(draw_prompts(maps.appearance, COMPARED, requested))
        eight = self.at_8(F.gelu(four))
        return self.at_16(F.gelu(eight)), eight, four


class MaskDecoder(nn.Module):
    """Prompts and frame exchange information by attention; then masks are upsampled along the frame's finer maps."""

    def __init__(self, config: SegmenterConfig):
        super().__init__()
        width, heads, ratio = config.width, config.heads, config.mlp_ratio
        self.masks = 1 + config.several
        self.maps = PromptMaps(config)
        self.kinds = nn.Embedding(4, width)
        self.answers = nn.Parameter(torch.empty(1 + self.masks, width))
        nn.init.normal_(self.answers, std=0.5)
        self.rounds = nn.ModuleList(
            nn.ModuleList(CrossBlock(width, heads, ratio) for _ in range(3))
            for _ in range(config.decoder_depth)
        )
        self.last_look = CrossBlock(width, heads, ratio)
        coarse, middle, fine = config.grow_channels
        self.narrow = nn.ModuleList([nn.Conv2d(width, coarse, 1), nn.Conv2d(coarse, middle, 1)])
        self.mix = nn.ModuleList(nn.Conv2d(c, c, 3, padding=1) for c in (coarse, middle))
        self.to_weights = nn.ModuleList(
            nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, middle + fine + 1))
            for _ in range(self.masks)
        )
        self.to_overlap = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, self.masks))
        self.to_there = nn.Linear(width, 1)

    def forward(
        self, maps: FrameMaps, requested: PromptBatch, origin: tuple[float, float] = (0.0, 0.0)
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Decode prompts.

        Args:
            maps: of the frames.
            requested: m prompts.
            origin: offset of all places, random in training, so that no place of the frame is special.

        Returns:
            (m, 1 + several, h / 2, w / 2) mask logits, the mask for a clear prompt first;
            (m, 1 + several) logits of their overlap (IoU) with the intended mask; and
            (m,) logits that there is one object under the prompt at all.
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
            self.narrow, self.mix, maps.skips[:2], (eight, four), strict=True
        ):
            x = F.gelu(_twice(narrow(x)) + skip[requested.frame] + extra)
            x = x + F.gelu(mix(x))
        weights = torch.stack([to(tokens[:, 1 + i]) for i, to in enumerate(self.to_weights)], dim=1)
        bias, of_prompt, of_frame = weights.split([1, x.shape[1], maps.skips[2].shape[1]], dim=-1)
        logits = torch.einsum("m k c, m c h w -> m k h w", of_prompt, x) + bias[..., None]
        fine = torch.einsum("m k c, m c h w -> m k h w", of_frame, maps.skips[2][requested.frame])
        logits = _twice(logits.float()) + fine.float()
        return logits, self.to_overlap(tokens[:, 0]).float(), self.to_there(tokens[:, 0])[:, 0].float()

    def _tokens(self, requested: PromptBatch, shift: Tensor) -> tuple[Tensor, Tensor]:
        """(m, n, width) tokens: answers to fill, then prompts; (m, 1, n) bool: tokens that no other may see."""
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
        xy = rearrange([x, y], "xy h w -> (h w) xy") + (STRIDE - 1) / 2
        return place_waves(xy + shift, self.answers.shape[1])


class SegmenterNetwork(nn.Module):
    """Encoder and decoder together."""

    def __init__(self, config: SegmenterConfig):
        super().__init__()
        self.config = config
        self.encoder = FrameEncoder(config)
        self.decoder = MaskDecoder(config)


def _standard(level: Tensor) -> Tensor:
    """(b, c, h, w) with mean 0 and deviation 1 over the channels of every cell."""
    rows = level.movedim(1, -1)
    return F.layer_norm(rows, rows.shape[-1:], eps=1e-5).movedim(-1, 1)


def _compared(level: Tensor) -> Tensor:
    """(b, c, h, w) minus the frame's mean, of unit length: what all cells share tells none of them apart."""
    return F.normalize(level - level.mean(dim=(2, 3), keepdim=True), dim=1)


def _twice(maps: Tensor) -> Tensor:
    """Maps of twice the size."""
    return F.interpolate(maps, scale_factor=2.0, mode="bilinear")
