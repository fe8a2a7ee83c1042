"""SAM and SAM-HQ as segmenters, based on the models of the `transformers` library.

The library runs the networks. Input and output are prepared here, because its own image processors need torchvision.
"""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from PIL import Image
from torch import Tensor

from pointtrack.checks import plain
from pointtrack.segment.base import CERTAIN_LOGIT, Candidates, Embedding, Prompt, check_frame, check_prompt

# Mean and deviation of the channels R, G, B in 0..1 from the training of all these models.
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)


class SamSegmenter:
    """SAM: resizes the frame so that its longest side fills the model's square input, with a margin right and below.

    Args:
        model: a `transformers.SamModel`; it is moved to `device` and set to evaluation mode.
        name: its name in errors and embeddings.
        licence: SPDX name of the licence of its weights.
        device: device to run on.

    Use `pointtrack.segment.load_segmenter` to get one by name.

    Source: Kirillov et al., Segment Anything, 2023; the rules of size and prompts are those of
    `transformers.SamProcessor`.
    """

    coarse = False
    mean, deviation = MEAN, DEVIATION

    def __init__(self, model: Any, name: str, licence: str, device: torch.device | str = "cpu") -> None:
        self.model = model.float().eval().requires_grad_(False).to(device)
        self.name = name
        self.licence = licence
        self.device = torch.device(device)
        settings = model.config.prompt_encoder_config
        self.side = int(settings.image_size)
        self.grid_side = self.side // int(settings.patch_size)

    @property
    def low_wh(self) -> tuple[int, int]:
        """Size of `Candidates.low` and of the mask_logits of a prompt: four pixels per cell of the features."""
        return 4 * self.grid_side, 4 * self.grid_side

    @torch.no_grad()
    def encode(self, frame: np.ndarray) -> Embedding:
        """(h, w, 3) uint8 RGB -> embedding. Raises ValueError for anything else."""
        frame = plain(frame)
        wh = check_frame(frame)
        fitted_wh = self._fitted_wh(wh)
        parts = self._encoder_outputs(self._pixels(frame, fitted_wh))
        grid = parts[-1][0]
        cell_px = self.side / self.grid_side
        columns, rows = (ceil(size / cell_px) for size in fitted_wh)
        return Embedding(
            wh=wh,
            features=grid[:, :rows, :columns],
            extent_wh=(columns * cell_px * wh[0] / fitted_wh[0], rows * cell_px * wh[1] / fitted_wh[1]),
            made_by=self.name,
            parts=parts,
        )

    @torch.no_grad()
    def decode(self, embedding: Embedding, prompt: Prompt, *, several: bool = True) -> Candidates:
        """Masks for a prompt on an encoded frame, as `Segmenter.decode` says."""
        check_prompt(prompt, embedding, self.name, self.low_wh)
        requested = self._model_prompt(prompt, embedding.wh)
        answer = self.model(**self._decoder_inputs(embedding.parts), **requested, multimask_output=several)
        low = answer.pred_masks[0].float()
        logits = self._to_frame(low, embedding.wh)
        return Candidates(logits[0], answer.iou_scores[0, 0].float(), low[0])

    def look_closer(self, frame: np.ndarray, embedding: Embedding) -> Embedding:
        """The unchanged embedding: SAM looks at a frame once."""
        return embedding

    def as_low(self, mask: Tensor) -> Tensor:
        """A mask of a frame as mask logits, as `Segmenter.as_low` says."""
        fitted_w, fitted_h = self._fitted_wh((mask.shape[1], mask.shape[0]))
        w, h = self.low_wh
        columns, rows = max(1, round(fitted_w * w / self.side)), max(1, round(fitted_h * h / self.side))
        share = F.interpolate(mask[None, None].float(), (rows, columns), mode="area")[0, 0]
        # The margin belongs to no object.
        return CERTAIN_LOGIT * (2 * F.pad(share, (0, w - columns, 0, h - rows)) - 1)

    def _fitted_wh(self, wh: tuple[int, int]) -> tuple[int, int]:
        """Size of a frame within the model's input."""
        scale = self.side / max(wh)
        # Round sides half up, to at least 1.
        return max(1, int(wh[0] * scale + 0.5)), max(1, int(wh[1] * scale + 0.5))

    def _pixels(self, frame: np.ndarray, fitted_wh: tuple[int, int]) -> Tensor:
        """(h, w, 3) uint8 -> (1, 3, side, side), the margin 0 after normalisation."""
        w, h = fitted_wh
        pixels = torch.from_numpy(self._resized(frame, fitted_wh)).to(self.device)
        pixels = rearrange(pixels, "h w c -> 1 c h w")
        mean, deviation = (
            rearrange(pixels.new_tensor(x, dtype=torch.float32), "c -> c 1 1")
            for x in (self.mean, self.deviation)
        )
        return F.pad((pixels / 255 - mean) / deviation, (0, self.side - w, 0, self.side - h))

    def _resized(self, frame: np.ndarray, wh: tuple[int, int]) -> np.ndarray:
        """(h, w, 3) uint8 at another size. With Pillow, as SAM was published."""
        return np.array(Image.fromarray(frame).resize(wh, Image.Resampling.BILINEAR))

    def _model_prompt(self, prompt: Prompt, wh: tuple[int, int]) -> dict[str, Tensor]:
        """A prompt in the model's form: in pixels of its input, with axes for images and for objects."""
        # In double precision, like the library, so that the model's input is the same to the last bit.
        scale = torch.tensor(self._fitted_wh(wh)).double() / torch.tensor(wh)
        requested = {}
        if len(prompt.points):
            requested["input_points"] = rearrange((prompt.points * scale).float(), "k xy -> 1 1 k xy")
            requested["input_labels"] = rearrange(prompt.labels.long(), "k -> 1 1 k")
        if prompt.box is not None:
            requested["input_boxes"] = rearrange(
                (prompt.box * scale.repeat(2)).float(), "corners -> 1 1 corners"
            )
        if prompt.mask_logits is not None:
            requested["input_masks"] = rearrange(prompt.mask_logits, "h w -> 1 1 h w")
        return {name: x.to(self.device) for name, x in requested.items()}

    def _to_frame(self, low: Tensor, wh: tuple[int, int]) -> Tensor:
        """(1, m, h', w') logits -> (1, m, h, w), the margin cut off."""
        square = F.interpolate(low, size=(self.side, self.side), mode="bilinear", align_corners=False)
        w, h = self._fitted_wh(wh)
        return F.interpolate(square[..., :h, :w], size=(wh[1], wh[0]), mode="bilinear", align_corners=False)

    def _encoder_outputs(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """(1, 3, side, side) pixels -> all that the decoder needs from a frame; last the (1, c, grid, grid) features."""
        return (self.model.get_image_embeddings(pixels),)

    def _decoder_inputs(self, parts: tuple[Tensor, ...]) -> dict[str, Any]:
        """The result of `_encoder_outputs` as the arguments that the model takes instead of pixels."""
        return {"image_embeddings": parts[0]}


class SamHqSegmenter(SamSegmenter):
    """SAM-HQ: SAM whose decoder also sees early features, for finer borders.

    `model` is a `transformers.SamHQModel`; the rest is as for `SamSegmenter`.

    Source: Ke et al., Segment Anything in High Quality, 2023.
    """

    def _encoder_outputs(self, pixels: Tensor) -> tuple[Tensor, ...]:
        embedding, intermediate = self.model.get_image_embeddings(pixels)
        # The decoder reads only the first of the layers with attention over the whole frame; the others would
        # take tens of megabytes per frame.
        return intermediate[0], embedding

    def _decoder_inputs(self, parts: tuple[Tensor, ...]) -> dict[str, Any]:
        return {"intermediate_embeddings": [parts[0]], "image_embeddings": parts[1]}
