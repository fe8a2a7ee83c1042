"""Compact results of a session: masks as run lengths."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from pycocotools import mask as coco

from pointtrack.objects.engine import ObjectResult
from pointtrack.sessions.keyframes import Side


@dataclass(frozen=True)
class Packed:
    """An `ObjectResult` with its mask as COCO run lengths."""

    counts: bytes
    size: tuple[int, int]  # (h, w)
    score: float
    quality: float

    @classmethod
    def of(cls, found: ObjectResult) -> Packed:
        """Pack a result."""
        encoded = coco.encode(np.asfortranarray(found.mask.numpy().astype(np.uint8)))
        h, w = found.mask.shape
        return cls(encoded["counts"], (h, w), found.score, found.quality)

    def found(self) -> ObjectResult:
        """Unpack the result."""
        mask = coco.decode({"counts": self.counts, "size": list(self.size)})
        return ObjectResult(torch.from_numpy(np.ascontiguousarray(mask)).bool(), self.score, self.quality)


@dataclass
class Results:
    """Per side, the results of its object on its first frames, in the order of the walk.

    Attributes:
        sides: the results of each side, as far as it was walked.
    """

    sides: dict[Side, list[Packed]] = field(default_factory=dict)

    def done(self, side: Side) -> int:
        """Number of known frames of a side."""
        return len(self.sides.get(side, ()))

    def put(self, side: Side, place: int, found: ObjectResult) -> None:
        """Set the result for a frame of a side: a known one, or the next."""
        self.sides.setdefault(side, [])[place : place + 1] = [Packed.of(found)]

    def select(self, sides: Iterable[Side]) -> Results:
        """The results of these sides alone."""
        return Results({side: self.sides[side] for side in sides if side in self.sides})


def places(order: range, frames: range) -> tuple[int, int]:
    """Start and stop positions, in a range of step 1 or -1, of the numbers that a range of step 1 also holds.

    >>> places(range(9, 2, -1), range(4, 8))
    (2, 6)
    """
    first, last = frames.start, frames.stop - 1
    if order.step < 0:
        first, last = -last, -first
    begin, end = first - order.start * order.step, last - order.start * order.step + 1
    return max(begin, 0), max(min(end, len(order)), 0)
