"""Our own small segmenter. It ships with the package, needs no internet access, and runs on a CPU."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from safetensors.torch import save
from torch import Tensor

from pointtrack.checks import plain
from pointtrack.config import InferenceOptions, from_dict, to_dict
from pointtrack.geometry import resize_frames
from pointtrack.io.atomic import write_bytes
from pointtrack.io.outside import reading
from pointtrack.layers.precision import narrow, usable_precision
from pointtrack.layers.unfilled import unfilled
from pointtrack.models.device import WEIGHTS, pick_device
from pointtrack.models.weight_files import (
    compare_shapes,
    read_weights,
    set_tensors,
    shapes_of,
    tensors_to_save,
)
from pointtrack.segment.base import CERTAIN_LOGIT, Candidates, Embedding, Prompt, check_frame, check_prompt
from pointtrack.segment.small_network import (
    MASK_STRIDE,
    TRUNK_STRIDE,
    FrameMaps,
    SegmenterConfig,
    SegmenterNetwork,
)
from pointtrack.segment.small_prompts import BOX_END, BOX_START, LOW_STRIDE, PromptBatch

log = logging.getLogger(__name__)

SHIPPED_FILE = WEIGHTS / "pointtrack_segmenter.safetensors"
CONFIG_KEY = "pointtrack_segmenter_config"
# The second look sees the frame larger by this factor, and mirrored: both together are right more often than either
# alone.
CLOSER = 1.25


def load_small(
    path: str | Path = SHIPPED_FILE, *, device: str | torch.device = "auto", precision: str = "float32"
) -> SmallSegmenter:
    """Load the segmenter that ships with the package, or one that you trained with it.

    Args:
        path: a file from `SmallSegmenter.save`.
        device: "cpu", "cuda", ...; "auto" takes the GPU if there is one.
        precision: "float32", or "bfloat16" for convolutions and linear layers, on processors that support it; others
            use float32, with a warning.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file holds no such segmenter, the precision is unknown, or this machine lacks the device.
    """
    if Path(path) == SHIPPED_FILE and not SHIPPED_FILE.is_file():
        raise FileNotFoundError(
            f"{SHIPPED_FILE}: expected the segmenter that ships with pointtrack, found nothing there; install the "
            "package again, or train one with `pointtrack train --task segmenting` and pass its path"
        )
    return SmallSegmenter.load(path, device=device, precision=precision)


class SmallSegmenter:
    """Masks from clicks, boxes and earlier masks; see `segment.base.Segmenter`.

    Attributes:
        network: the trained parts.
        name, licence: of the weights.
        device: where it runs.
        narrow: True if it computes in bfloat16 where that is exact enough.
        coarse: see `Segmenter`; this one is small, and has learnt little.
    """

    coarse = True

    def __init__(self, network: SegmenterNetwork, precision: str = "float32"):
        self.network, self.narrow = network, InferenceOptions(precision).narrow
        self.name, self.licence = network.config.name, network.config.licence
        self.device = next(network.parameters()).device

    @classmethod
    def load(
        cls, path: str | Path, *, device: str | torch.device = "auto", precision: str = "float32"
    ) -> SmallSegmenter:
        """Build the segmenter from the weights and config in a file from `save`. Errors as in `load_small`."""
        file = read_weights(path)
        if CONFIG_KEY not in file.metadata:
            raise ValueError(
                f"{path}: expected a segmenter saved by pointtrack (with a {CONFIG_KEY}), got other weights; "
                "pass the file of a segmenter"
            )
        with reading(file.path, "a segmenter saved by pointtrack"):
            config = from_dict(SegmenterConfig, json.loads(file.metadata[CONFIG_KEY]), "its config")
        with unfilled():  # random weights would be replaced at once
            network = SegmenterNetwork(config)
        compare_shapes(shapes_of(network.state_dict()), shapes_of(file.tensors), file.path, config.name)
        set_tensors(network, file.tensors)
        log.info("loaded %s (%s) from %s", config.name, config.licence, path)
        where = pick_device(device)
        return cls(network.eval().requires_grad_(False).to(where), usable_precision(precision, where))

    def save(self, path: str | Path, half: bool = True) -> None:
        """Write weights and config to a .safetensors file, in float16 unless `half` is false."""
        notes = {CONFIG_KEY: json.dumps(to_dict(self.network.config))}
        write_bytes(path, save(tensors_to_save(self.network, half), metadata=notes))

    @torch.no_grad()
    def encode(self, frame: np.ndarray) -> Embedding:
        """(h, w, 3) uint8 RGB -> embedding with the features at stride 16. Raises ValueError for anything else."""
        return self._encoded(plain(frame), 1.0)

    @torch.no_grad()
    def look_closer(self, frame: np.ndarray, embedding: Embedding) -> Embedding:
        """The embedding plus one of the frame larger and mirrored; see `segment.base.Segmenter.look_closer`."""
        if embedding.closer is not None:
            return embedding
        return replace(embedding, closer=self._encoded(np.ascontiguousarray(plain(frame)[:, ::-1]), CLOSER))

    @torch.no_grad()
    def decode(self, embedding: Embedding, prompt: Prompt, *, several: bool = True) -> Candidates:
        """Masks for a prompt on an encoded frame; see `segment.base.Segmenter.decode`."""
        w, h = self._inner_wh(embedding.wh)
        check_prompt(prompt, embedding, self.name, (w // LOW_STRIDE, h // LOW_STRIDE))
        first = self._decoded(embedding, prompt, several, 1.0)
        if embedding.closer is None:
            return first
        mirrored = _mirrored(prompt, embedding.wh[0])
        second = self._decoded(embedding.closer, mirrored, several, CLOSER)
        low = F.interpolate(second.low[None].flip(-1), first.low.shape[1:], mode="bilinear")[0]
        assert first.there is not None and second.there is not None
        return Candidates(
            (first.logits + second.logits.flip(-1)) / 2,
            (first.scores + second.scores) / 2,
            (first.low + low) / 2,
            (first.there + second.there) / 2,
        )

    def _encoded(self, frame: np.ndarray, scale: float) -> Embedding:
        """Encode one look at a frame, `scale` times as large as usual."""
        wh = check_frame(frame)
        pixels = torch.from_numpy(np.ascontiguousarray(frame)).to(self.device)
        small = resize_frames(rearrange(pixels, "h w c -> 1 c h w"), self._inner_wh(wh, scale), rule="edges")
        with narrow(self.device, self.narrow):
            maps = self.network.encoder(small.float())
        parts = tuple(x[0].float() for x in (*maps.skips, *maps.appearance))
        return Embedding(wh, maps.context[0].float(), made_by=self.name, parts=parts)

    def _decoded(self, embedding: Embedding, prompt: Prompt, several: bool, scale: float) -> Candidates:
        """Decode one look at a frame, `scale` times as large as usual."""
        eight, four, two, *appearance = (x[None] for x in embedding.parts)
        compared = (appearance[0], appearance[1], appearance[2])
        maps = FrameMaps(embedding.features[None], (eight, four, two), compared)
        requested = self._as_batch(prompt, embedding.wh, self._inner_wh(embedding.wh, scale))
        with narrow(self.device, self.narrow):
            answers = self.network.decoder(maps, requested)
        logits, overlap_logit, there_logit = (x.float() for x in answers)
        which = slice(1, None) if several else slice(0, 1)
        logits, scores = logits[0, which], overlap_logit[0, which].sigmoid()
        # As separate maps: torch enlarges three channels of one map more slowly than three maps.
        full = F.interpolate(logits[:, None], embedding.wh[::-1], mode="bilinear")[:, 0]
        low = F.avg_pool2d(logits, LOW_STRIDE // MASK_STRIDE)
        return Candidates(full, scores, low, float(there_logit[0].sigmoid()))

    def as_low(self, mask: Tensor) -> Tensor:
        """A mask of a frame as mask logits; see `segment.base.Segmenter.as_low`."""
        w, h = self._inner_wh((mask.shape[1], mask.shape[0]))
        share = F.interpolate(mask[None, None].float(), (h // LOW_STRIDE, w // LOW_STRIDE), mode="area")[0, 0]
        return CERTAIN_LOGIT * (2 * share - 1)

    def _inner_wh(self, wh: tuple[int, int], larger: float = 1.0) -> tuple[int, int]:
        """The size of a frame inside the network: about its shape, in whole cells."""
        scale = larger * self.network.config.input_side / max(wh)
        across, down = (max(TRUNK_STRIDE, TRUNK_STRIDE * round(side * scale / TRUNK_STRIDE)) for side in wh)
        return across, down

    def _as_batch(self, prompt: Prompt, wh: tuple[int, int], inner_wh: tuple[int, int]) -> PromptBatch:
        """A prompt as a batch of one, in pixels of the network's input."""
        w, h = inner_wh
        points, kinds = prompt.points, prompt.labels.long()
        if prompt.box is not None:
            points = torch.cat([points, rearrange(prompt.box, "(k xy) -> k xy", xy=2)])
            kinds = torch.cat([kinds, torch.tensor([BOX_START, BOX_END])])
        points = (points + 0.5) * points.new_tensor([w / wh[0], h / wh[1]]) - 0.5
        former, low_hw = prompt.mask_logits, (h // LOW_STRIDE, w // LOW_STRIDE)
        if former is None:
            former = torch.zeros(low_hw)
        elif former.shape != low_hw:  # it is of the usual size
            former = F.interpolate(former[None, None], low_hw, mode="bilinear")[0, 0]
        device = self.device
        return PromptBatch(
            torch.zeros(1, dtype=torch.int64, device=device),
            points[None].to(device),
            kinds[None].to(device),
            former[None].to(device),
            torch.tensor([prompt.mask_logits is not None], device=device),
        )


def _mirrored(prompt: Prompt, width: int) -> Prompt:
    """The same prompt on the mirrored frame."""
    flip = torch.tensor([-1.0, 1.0])
    shift = torch.tensor([width - 1.0, 0.0])
    box = prompt.box
    if box is not None:
        box = torch.stack([width - 1 - box[2], box[1], width - 1 - box[0], box[3]])
    former = None if prompt.mask_logits is None else prompt.mask_logits.flip(-1)
    return Prompt(prompt.points * flip + shift, prompt.labels, box, former)
