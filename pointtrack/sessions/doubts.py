"""Frames that are worth a look: those on which the quality of an object's mask is low."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pointtrack.types.masks import Masks

APART = 8  # least distance in frames between two suggestions for one object or point
DOUBTFUL = 0.6  # quality below which a frame is named


@dataclass(frozen=True)
class Doubt:
    """A frame that is worth a look: the quality of an object's mask on it is low."""

    frame: int
    object_id: int
    quality: float


def doubts_in(quality: Tensor, ids: Sequence[int], first_frame: int = 0) -> list[Doubt]:
    """All frames of quality below DOUBTFUL.

    Args:
        quality: (t, o) in [0, 1], NaN where nothing is known.
        ids: of the o objects.
        first_frame: number of the first row.
    """
    places = (quality < DOUBTFUL).nonzero().tolist()
    return [Doubt(first_frame + row, ids[column], float(quality[row, column])) for row, column in places]


def doubts_of_masks(masks: Masks) -> list[Doubt]:
    """As `doubts_in`, from masks alone, by their scores; frames without the object are left out."""
    quality = masks.scores.where(masks.present(), torch.nan)
    return doubts_in(quality, masks.object_ids.tolist(), masks.first_frame)


def worst(doubts: Iterable[Doubt], count: int) -> list[Doubt]:
    """At most `count` frames on which a correction would help most, the lowest quality first, none side by side."""
    named: list[Doubt] = []
    for doubt in sorted(doubts, key=lambda one: one.quality):
        if len(named) == count:
            break
        if all(abs(doubt.frame - one.frame) >= APART for one in named if one.object_id == doubt.object_id):
            named.append(doubt)
    return named
