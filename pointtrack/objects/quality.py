"""The quality of a mask: the evidence for and against it, as one number in [0, 1].

`python -m evaluation.cli_calibrate` compares this number with the true overlap (IoU), and fits the weights. The weights below
are fitted on objects of clips drawn by `train.rays`, followed from the true mask and from one click. Real sequences had no
part in the fit and test it: docs/results/masks.md. A mask that has moved to another object shows in how little of the object
is recognised.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass

import torch
from torch import Tensor

from pointtrack.objects.memory import Recollection
from pointtrack.objects.point_prompts import area

OFFSET = -4.80
# In the order of the attributes of `Signs`.
WEIGHTS = (0.63, 2.18, 0.17, 0.26, 0.05, 1.82, -0.51, -0.15, 1.09, -0.45, 1.67)


@dataclass(frozen=True)
class Signs:
    """Evidence for and against a mask.

    Attributes:
        agrees: share of the object's points inside, minus that of others' points.
        predicted: overlap that the segmenter predicts.
        there: the segmenter's probability that one object is under the prompt.
        kept: overlap with the last mask, moved as the points have moved.
        changed: how much larger or smaller it is than the latest masks, as an absolute logarithm; at most 2.
        recalled: share of its cells that the memory takes for the object.
        leaked: area around it that the memory takes for the object, in areas of the mask; at most 1.
        settled: overlap of the mask before and after its outline was refined.
        known: how well it and the frames with a person's masks recognise each other; `known_again`.
        faded: by how much `known` is below its value on the first frames.
        first: the expected overlap of the mask from which the object is followed; 1 for a drawn one.
    """

    agrees: float = 1.0
    predicted: float = 1.0
    there: float = 1.0
    kept: float = 1.0
    changed: float = 0.0
    recalled: float = 1.0
    leaked: float = 0.0
    settled: float = 1.0
    known: float = 1.0
    faded: float = 0.0
    first: float = 1.0

    def row(self) -> tuple[float, ...]:
        """The attributes in their order."""
        return astuple(self)

    def recognised(self, least: float) -> bool:
        """Whether `known` is at least this share of what it was on the first frames."""
        return self.known >= least * (self.known + self.faded)


def quality(signs: Signs, offset: float = OFFSET, weights: Sequence[float] = WEIGHTS) -> float:
    """The expected overlap (IoU) with the true mask, in [0, 1]."""
    value = offset + sum(weight * sign for weight, sign in zip(weights, signs.row(), strict=True))
    return 1 / (1 + math.exp(-value))


def change_of_size(mask: Tensor, areas: list[int]) -> float:
    """`Signs.changed` of a mask after masks of these areas."""
    if not areas or not (pixels := area(mask)):
        return 0.0
    usual = float(torch.tensor(areas).float().median())
    return min(abs(math.log(pixels / max(usual, 1.0))), 2.0)


def agreement_of_memory(share: Tensor | None, cells: Tensor) -> tuple[float, float]:
    """`Signs.recalled` and `Signs.leaked`.

    Args:
        share: (h, w) in [0, 1], the object's share of every cell by the memory; None without a memory.
        cells: (h, w) in [0, 1], how much of every cell the mask covers.
    """
    size = float(cells.sum())
    if share is None or size == 0:
        return 1.0, 0.0
    inside = float((share * cells).sum()) / size
    outside = float((share * (1 - cells)).clamp(min=0).sum()) / size
    return inside, min(outside, 1.0)


def known_again(recollection: Recollection, cells: Tensor) -> float:
    """`Signs.known`: how well the mask and the given masks match by appearance, in [0, 1].

    A mask that has moved to another object still looks right to its points, to the segmenter and to a memory of its own
    latest frames. Only the given masks reveal the error.

    Args:
        recollection: the memory's answer for the frame, of one object.
        cells: (h, w) in [0, 1], how much of every cell the mask covers.

    Returns:
        The harmonic mean of two shares: of the mask's cells that look like the given object, and of the given object's
        cells whose look-alike here lies in the mask. 1 if no mask was given.
    """
    if recollection.certain is None or recollection.to_given is None or recollection.given is None:
        return 1.0
    cells = cells.to(recollection.certain)
    here = float((recollection.certain[0] * cells).sum() / cells.sum().clamp(min=1e-6))
    held = recollection.given[:, 0].nonzero()[
        :, 0
    ]  # most cells of the given frames show nothing of the object
    covered, look_alike = recollection.given[held, 0], recollection.to_given[:, held].argmax(0)
    there = float((covered * cells.flatten()[look_alike]).sum() / covered.sum().clamp(min=1e-6))
    return 2 * here * there / max(here + there, 1e-6)
