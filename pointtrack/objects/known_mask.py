"""What follows from a given mask: points on and around it, and whether its colours may move outlines."""

from __future__ import annotations

from dataclasses import replace

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

INSIDE, AROUND = 16, 16  # points on an object, and on what lies close around it
BELT = 0.3  # width of that belt, in square roots of the object's area


def points_of(mask: Tensor) -> tuple[Tensor, Tensor]:
    """(h, w) bool -> (k, 2) pixels on an object, and (l, 2) close around it; none of these where it fills the frame."""
    own, belt = points_inside(mask, INSIDE), belt_around(mask, BELT)
    return own, points_inside(belt, AROUND) if belt.any() else own[:0]


def told_by_others(memory: ObjectMemory, grid: Embedding, weight: float) -> Tensor | None:
    """(h, w) logits of an object's pixels on a frame by what is remembered of other frames; None where it is not known again.

    Args:
        memory: of the object.
        grid: the frame's cells, as the memory knows them.
        weight: of what it says; 0 where it has no say.
    """
    if not (len(memory) and weight):
        return None
    share = memory.read(grid.features, note=False).share[0]
    # Of frames on which the object is absent a memory knows nothing of it.
    return weight * as_logits(share, grid) if bool((share > 0.5).any()) else None


def tried_colours(
    segmenter: Segmenter,
    embedding: Embedding,
    picture: np.ndarray,
    mask: Tensor,
    colours: ObjectColours,
    prior: Tensor | None,
    config: ObjectOptions,
) -> ObjectColours | None:
    """How to draw an object's outlines, tried where its mask is known, on the segmenter's answer to points and memory.

    Where its surroundings have its colours thin parts must be kept; elsewhere that would keep what is wrong. None where
    colours do not find nearly the whole object, clearly better than the segmenter: what they get wrong, the memory
    learns.

    Args:
        segmenter: asked for the mask.
        embedding, picture: the frame, as it sees it and (h, w, 3).
        mask: (h, w) bool what is known there.
        colours: those under the mask.
        prior: (h, w) logits by what is known of other frames. On its way the segmenter has this help, so without it
            colours look better than they are; an object that is known on one frame alone is tried without.
        config: how points become masks.
    """
    own, beside = points_of(mask)
    evidence = Evidence(own, beside, torch.zeros(mask.shape) if prior is None else prior, None)
    answer = answer_points(segmenter, embedding, evidence, config)
    if answer is None:
        return colours
    ways = (colours, replace(colours, thin=True))  # of equally good ones the first
    rules = config.outline
    drawn = [
        refine_outline(picture, answer.mask, way, inside=own, outside=beside, rules=rules) for way in ways
    ]
    right = [overlap(one, mask) for one in drawn]
    proved = max(rules.proved, overlap(answer.mask, mask) + rules.gain)
    return ways[int(np.argmax(right))] if max(right) >= proved else None
