"""Which frames are worth a look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

APART = 8  # frames between two that are named as worth a correction
DOUBTFUL = 0.6  # quality below which a frame is named


@dataclass(frozen=True)
class Doubt:
    """A frame that is worth a look: the quality of an object's mask on it is low."""

    frame: int
    object_id: int
    quality: float


def doubts_of(quality: Tensor, ids: Sequence[int], count: int) -> list[Doubt]:
    """The frames on which a correction would help most: of quality below DOUBTFUL, the lowest first, not side by side.

    Args:
        quality: (t, o) in [0, 1], NaN where nothing is known.
        ids: of the o objects.
        count: the most that are named.
    """
    doubts: list[Doubt] = []
    for place in quality.flatten().argsort().tolist():
        frame, column = divmod(place, len(ids))
        value = float(quality[frame, column])
        if len(doubts) == count or not value < DOUBTFUL:
            break
        if all(abs(frame - one.frame) >= APART for one in doubts if one.object_id == ids[column]):
            doubts.append(Doubt(frame, ids[column], value))
    return doubts
