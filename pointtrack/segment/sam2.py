"""SAM 2 and 2.1 on single frames, based on the models of the `transformers` library."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from pointtrack.segment.sam import SamSegmenter


class Sam2Segmenter(SamSegmenter):
    """SAM 2: stretches the frame to the model's square input; features come at three sizes.

    `model` is a `transformers.Sam2Model`; the rest is as for `SamSegmenter`. `Embedding.features` are the
    coarsest of the three.

    Source: Ravi et al., SAM 2: Segment Anything in Images and Videos, 2024; the rules of size and prompts
    are those of `transformers.Sam2Processor`.
    """

    def _fitted_wh(self, wh: tuple[int, int]) -> tuple[int, int]:
        return self.side, self.side

    def _resized(self, frame: np.ndarray, wh: tuple[int, int]) -> np.ndarray:
        # On bytes, like torchvision; for smaller frames the last bits may differ from Pillow's result.
        pixels = rearrange(torch.from_numpy(np.ascontiguousarray(frame)), "h w c -> 1 c h w")
        pixels = F.interpolate(pixels, size=(wh[1], wh[0]), mode="bilinear", antialias=True)
        return rearrange(pixels, "1 c h w -> h w c").numpy()

    def _to_frame(self, low: Tensor, wh: tuple[int, int]) -> Tensor:
        return F.interpolate(low, size=(wh[1], wh[0]), mode="bilinear", align_corners=False)

    def _encoder_outputs(self, pixels: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.model.get_image_embeddings(pixels))

    def _decoder_inputs(self, parts: tuple[Tensor, ...]) -> dict[str, Any]:
        return {"image_embeddings": list(parts)}


class Sam3Segmenter(Sam2Segmenter):
    """The tracker of SAM 3 on single frames: as SAM 2, with pixels in -1..1.

    `model` is a `transformers.Sam3TrackerModel`. Source: the rules of size and pixels are those of
    `transformers.Sam3TrackerProcessor`.
    """

    mean, deviation = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
