"""Train the small segmenter: prompts imitate those of people, and clicks then correct wrong answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from pointtrack.segment.small import SmallSegmenter
from pointtrack.segment.small_network import (
    COMPARED,
    MASK_STRIDE,
    STRIDE,
    TRUNK_STRIDE,
    FrameMaps,
    SegmenterConfig,
    SegmenterNetwork,
)
from pointtrack.segment.small_prompts import LOW_STRIDE
from train.data.prompts import add_corrections, box_prompts, click_prompts, elsewhere, first_prompts
from train.data.segments import SegmentBatch
from train.loop import Task
from train.trunk_weights import read_package, trunk_state

FOCAL_WEIGHT = 20.0
# Share of specific prompts that are moved to where they mean nothing, and the weight of their loss.
ELSEWHERE, THERE_WEIGHT = 0.15, 0.2
# Share of the corrections that click the middle of the largest error; the others click anywhere in the error.
INTO_THE_MIDDLE = 0.6
# Largest offset of the frame from the origin of positions, in pixels.
FARTHEST_ORIGIN = 512.0
SHEET_IMAGES = 8


def new_segmenter(config: SegmenterConfig | None, init: Path | None) -> SmallSegmenter:
    """A segmenter to train: a new one on the trunk's published weights, or one from a file.

    Raises:
        ValueError: both a config and a file.
        ImportError: the package of the trunk's weights is not installed.
    """
    if init is None:
        network = SegmenterNetwork(config or SegmenterConfig())
        network.encoder.trunk.load_state_dict(trunk_state(read_package(), TRUNK_STRIDE))
        return SmallSegmenter(network)
    if config is not None:
        raise ValueError("train: expected a segmenter config or --init with a segmenter's file, got both")
    return SmallSegmenter.load(init, device="cpu")


def mask_losses(logits: Tensor, truth: Tensor) -> Tensor:
    """Focal and dice loss of every mask: (..., h, w) logits, (..., h, w) truth in [0, 1] -> (...).

    Source: Lin et al. 2017 (focal, gamma 2) and Milletari et al. 2016 (dice), weighted 20 to 1 as in SAM.
    """
    truth = truth.expand_as(logits)
    chance = logits.sigmoid()
    wrong = (chance - truth).abs()
    focal = (F.binary_cross_entropy_with_logits(logits, truth, reduction="none") * wrong.square()).mean(
        dim=(-2, -1)
    )
    both = (chance * truth).sum(dim=(-2, -1))
    dice = 1 - (2 * both + 1) / (chance.sum(dim=(-2, -1)) + truth.sum(dim=(-2, -1)) + 1)
    return FOCAL_WEIGHT * focal + dice


def overlap(logits: Tensor, truth: Tensor) -> Tensor:
    """Intersection over union of logits > 0 with truth > 0.5: (..., h, w) -> (...)."""
    got, wanted = logits > 0, (truth > 0.5).expand_as(logits)
    union = (got | wanted).sum(dim=(-2, -1))
    return (got & wanted).sum(dim=(-2, -1)) / union.clamp(min=1)


class SegmentingTask(Task):
    """Train the whole segmenter, with several rounds of prompts per object.

    Args:
        segmenter: segmenter whose network is trained.
        held_out: batches of other photographs, for validation.
        rounds: most rounds of prompts per batch; the batch's seed draws their number.
    """

    def __init__(self, segmenter: SmallSegmenter, held_out: list[SegmentBatch], rounds: int = 3):
        super().__init__()
        self.network: SegmenterNetwork = segmenter.network.requires_grad_(True).train()
        self.network.encoder.trunk.requires_grad_(False)
        self.held_out, self.rounds = held_out, rounds

    def forward(self, batch: SegmentBatch) -> tuple[Tensor, dict[str, Tensor]]:  # type: ignore[override]
        """Mean loss of all rounds; overlap of the first and of the last round's answers."""
        if batch.frames.device.type == "cpu":
            # For the few tokens of a prompt, plain products are faster in the backward pass than the fused kernel.
            with sdpa_kernel(SDPBackend.MATH):
                return self._losses(batch)
        return self._losses(batch)

    def _losses(self, batch: SegmentBatch) -> tuple[Tensor, dict[str, Tensor]]:
        # Offsets and prompts are few, and drawn on the CPU to be the same on every device.
        generator = torch.Generator().manual_seed(batch.seed)
        truth = at_mask_size(batch.masks)
        maps = self.network.encoder(batch.frames.float())
        origin = (FARTHEST_ORIGIN * torch.rand(2, generator=generator)).tolist()
        appearance = maps.appearance[COMPARED.index(STRIDE)]
        requested = first_prompts(batch.masks, batch.frame, generator, appearance)
        requested, there = elsewhere(requested, len(batch.frames), generator, ELSEWHERE)
        rounds = 1 + int(torch.randint(self.rounds, (2,), generator=generator).min())  # few are cheap
        total, overlaps = truth.new_zeros(()), []
        for i in range(rounds):
            logits, overlap_logit, there_logit = self.network.decoder(maps, requested, origin)
            losses = mask_losses(logits, truth[:, None])
            # The clear answer always learns; of the several candidates, only the nearest.
            best = losses[:, 1:].min(dim=1).values
            # From a prompt that means nothing, the network learns only that.
            right = overlap(logits.detach(), truth[:, None]) * there[:, None]
            estimated = F.mse_loss(overlap_logit.sigmoid(), right)
            present = F.binary_cross_entropy_with_logits(there_logit, there.float())
            total = total + ((losses[:, 0] + best) * there).mean() + estimated + THERE_WEIGHT * present
            # Weights instead of a selection of rows avoid waiting for the device.
            overlaps.append((right, there.float() / there.sum().clamp(min=1)))
            if i + 1 < rounds:
                answer = chosen(logits, overlap_logit, clear=i > 0)
                middle = float(torch.rand((), generator=generator)) < INTO_THE_MIDDLE
                requested = add_corrections(
                    replace(requested, frame=batch.frame), *answer, batch.masks, None if middle else generator
                )
                there = torch.ones_like(there)
        (first, weight), (last, last_weight) = overlaps[0], overlaps[-1]
        figures = {
            "first": (first[:, 0] * weight).sum(),
            "first_best": (first[:, 1:].amax(dim=1) * weight).sum(),
            "last": (last[:, 0] * last_weight).sum(),
            "judged": estimated,
            "there": present,
        }
        return total / rounds, figures

    @torch.no_grad()
    def validate(self, folder: Path) -> dict[str, float]:
        """Mean overlap (IoU, percent) after 1 click, 3 clicks, from a box, and of wrong masks that were corrected.

        A sheet of pictures goes to `folder`.

        `click1` and `click3` are the candidates that the network itself rates best, `oracle1` is the truly best one.
        """
        device = next(self.network.parameters()).device
        found: dict[str, list[Tensor]] = {}
        rows: list[np.ndarray] = []
        for batch in self.held_out:
            batch = batch.to(device)
            generator = torch.Generator().manual_seed(batch.seed)
            maps = self.network.encoder(batch.frames.float())
            answers = self._answers(maps, batch, generator)
            for name, logits in answers.items():
                right = overlap(logits, batch.masks[:, None].float())
                found.setdefault(name, []).append(right.amax(dim=1))
            if len(rows) < SHEET_IMAGES:
                rows.append(_row(batch, answers))
        if rows:
            width = max(row.shape[1] for row in rows)
            sheet = np.concatenate([np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0))) for row in rows])
            cv2.imwrite(str(folder / "validation.jpg"), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
        return {name: 100 * float(torch.cat(values).mean()) for name, values in found.items()}

    def _answers(self, maps: FrameMaps, batch: SegmentBatch, generator: torch.Generator) -> dict[str, Tensor]:
        """(m, candidates, h, w) logits for every kind of prompt that is validated."""
        requested = click_prompts(batch.masks, batch.frame)
        logits, scores, _ = self.network.decoder(maps, requested)
        answers = {"oracle1": logits[:, 1:], "click1": _best(logits, scores)}
        for clear in (False, True):
            requested = add_corrections(requested, *chosen(logits, scores, clear=clear), batch.masks, None)
            logits, scores, _ = self.network.decoder(maps, requested)
        answers["click3"] = logits[:, :1]
        answers["box"] = self.network.decoder(maps, box_prompts(batch.masks, batch.frame, generator))[0][
            :, :1
        ]
        appearance = maps.appearance[COMPARED.index(STRIDE)]
        requested = first_prompts(batch.masks, batch.frame, generator, appearance, only="corrected")
        answers["corrected"] = self.network.decoder(maps, requested)[0][:, :1]
        return {name: enlarge(values) for name, values in answers.items()}

    def save(self, path: Path) -> None:
        """The segmenter."""
        SmallSegmenter(self.network).save(path)


def at_mask_size(masks: Tensor) -> Tensor:
    """(m, h, w) bool -> (m, h / 2, w / 2) share of every cell that the object covers."""
    return F.avg_pool2d(masks[:, None].float(), MASK_STRIDE)[:, 0]


def enlarge(logits: Tensor) -> Tensor:
    """(m, k, h / 2, w / 2) logits -> (m, k, h, w)."""
    return F.interpolate(logits, scale_factor=float(MASK_STRIDE), mode="bilinear")


def chosen(logits: Tensor, overlap_logit: Tensor, *, clear: bool) -> tuple[Tensor, Tensor]:
    """Choose the answer to correct next: (m, h, w) bool, and its logits for the next prompt.

    It is the answer to a clear prompt, or the one of several candidates that the network rates best.
    """
    best = (logits[:, :1] if clear else _best(logits, overlap_logit)).detach()
    return enlarge(best)[:, 0] > 0, F.avg_pool2d(best, LOW_STRIDE // MASK_STRIDE)[:, 0]


def _best(logits: Tensor, overlap_logit: Tensor) -> Tensor:
    """(m, 1 + several, h, w) -> (m, 1, h, w): the one of the several with the highest predicted overlap."""
    best = 1 + overlap_logit[:, 1:].argmax(dim=1)
    return logits[torch.arange(len(logits), device=logits.device), best][:, None]


def _row(batch: SegmentBatch, answers: dict[str, Tensor]) -> np.ndarray:
    """The first object of a batch: truth, then each answer, outlined in red on the image."""
    image = rearrange(batch.frames[batch.frame[0]], "c h w -> h w c").cpu().numpy()
    truth = batch.masks[0].cpu().numpy()
    best = [one[0, overlap(one[0], batch.masks[0].float()).argmax()] for one in answers.values()]
    panels = [truth, *((logits > 0).cpu().numpy() for logits in best)]
    drawn = []
    for mask in panels:
        panel = image.copy()
        panel[mask] = (0.6 * panel[mask] + 0.4 * np.array([0, 160, 255])).astype(np.uint8)
        outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        drawn.append(cv2.drawContours(panel, outlines, -1, (255, 30, 30), 1))
    return np.concatenate(drawn, axis=1)
