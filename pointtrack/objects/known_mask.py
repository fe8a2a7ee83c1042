"""Uses of known masks: points on and around them, what they tell of other frames, and whether their colours help."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from pointtrack.objects.answer import (
    Evidence,
    ObjectOptions,
    answer_points,
    as_logits,
    belt_around,
    points_inside,
)
from pointtrack.objects.boundary import ObjectColours, refine_outline
from pointtrack.objects.memory import ObjectMemory
from pointtrack.objects.point_prompts import overlap
from pointtrack.segment.base import Embedding, Segmenter

INSIDE, AROUND = 16, 16  # points on an object, and close around it
DOUBTFUL = 0.4  # expected overlap of a mask from which nothing is expected on other frames
BELT = 0.3  # width of that belt, in square roots of the object's area


def points_of(mask: Tensor) -> tuple[Tensor, Tensor]:
    """(h, w) bool -> (k, 2) pixels on an object, and (l, 2) close around it; l is 0 if it fills the frame."""
    own, belt = points_inside(mask, INSIDE), belt_around(mask, BELT)
    return own, points_inside(belt, AROUND) if belt.any() else own[:0]


def prior_from_memory(memory: ObjectMemory, grid: Embedding, weight: float) -> Tensor | None:
    """(h, w) logits of an object on a frame, from the memory of other frames; None if it does not recognise the object.

    Args:
        memory: of the object.
        grid: the frame's cells, with the features that the memory uses.
        weight: factor on the memory's logits; 0 turns the memory off.
    """
    if not (len(memory) and weight):
        return None
    share = memory.read(grid.features, note=False).share[0]
    # A memory of frames without the object cannot recognise it.
    return weight * as_logits(share, grid) if bool((share > 0.5).any()) else None


@dataclass(frozen=True, eq=False)
class Expected:
    """What masks on other frames tell of an object on a frame.

    Attributes:
        logits: (h, w) of the frame's pixels.
        trust: in [0, 1], how far to follow them.
    """

    logits: Tensor
    trust: float


def expected_mask(memory: ObjectMemory, grid: Embedding, weight: float, score: float) -> Expected | None:
    """What an object's memory tells of it on a frame; None if it does not recognise the object, or knows it badly.

    Args:
        memory, grid, weight: as of `prior_from_memory`.
        score: the expected overlap (IoU) of the masks that the memory holds.
    """
    trust = max(0.0, (score - DOUBTFUL) / (1 - DOUBTFUL))
    logits = prior_from_memory(memory, grid, weight) if trust else None
    return None if logits is None else Expected(logits, trust)


def tried_colours(
    segmenter: Segmenter,
    embedding: Embedding,
    picture: np.ndarray,
    mask: Tensor,
    colours: ObjectColours,
    prior: Tensor | None,
    config: ObjectOptions,
) -> ObjectColours | None:
    """Choose how to refine an object's outlines, by a test on the segmenter's answer where the true mask is known.

    If the surroundings share the object's colours, thin parts must be kept; otherwise that would keep wrong pixels.
    None if colours do not find nearly the whole object, clearly better than the segmenter: the memory would learn their
    errors.

    Args:
        segmenter: draws the mask to refine.
        embedding, picture: the segmenter's embedding of the frame, and the frame (h, w, 3).
        mask: (h, w) bool, the known mask there.
        colours: those under the mask.
        prior: (h, w) logits from the memory of other frames. The segmenter has this help during the walk, so a test
            without it makes colours look better than they are; an object known on one frame only is tested without.
        config: how points become masks.
    """
    own, beside = points_of(mask)
    evidence = Evidence(own, beside, torch.zeros(mask.shape) if prior is None else prior, None)
    answer = answer_points(segmenter, embedding, evidence, config)
    if answer is None:
        return colours
    ways = (colours, replace(colours, thin=True))  # the first wins a tie
    rules = config.outline
    drawn = [
        refine_outline(picture, answer.mask, way, inside=own, outside=beside, rules=rules) for way in ways
    ]
    right = [overlap(one, mask) for one in drawn]
    proved = max(rules.proved, overlap(answer.mask, mask) + rules.gain)
    return ways[int(np.argmax(right))] if max(right) >= proved else None
