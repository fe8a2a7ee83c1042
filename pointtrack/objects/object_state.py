"""The state of an object during a walk: its memory, last mask, points, and usual appearance."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from pointtrack.io.state_file import moved
from pointtrack.objects.boundary import ObjectColours
from pointtrack.objects.memory import ObjectMemory
from pointtrack.objects.point_prompts import area

AREAS = 12  # latest masks whose areas are kept
MOST_GROWTH = 1.6  # a mask is unusual if it is this many times as large as their median, or as small
FIRST = 3  # frames that set the usual `Signs.known`, while the object still looks as it was given


@dataclass
class ObjectState:
    """The state of one object.

    Attributes:
        memory: appearance of the object and its surroundings.
        colours: colours under the first given mask; sharpens: whether they make outlines better.
        mask, frame: the last accepted mask and its frame.
        points: (ids, xy) of its points there.
        areas: areas of its latest masks, in pixels.
        misses: id -> frames in a row on which the point was outside the mask.
        seeded: frame on which points were last taken from the mask.
        known: how much of it was recognised (`Signs.known`) on the first frames.
        first: the expected overlap of the last given mask.
    """

    memory: ObjectMemory = field(default_factory=lambda: ObjectMemory(1))
    colours: ObjectColours | None = None
    sharpens: bool = True
    mask: Tensor | None = None
    frame: int = -1
    points: tuple[Tensor, Tensor] = field(default_factory=lambda: (torch.zeros(0), torch.zeros(0, 2)))
    areas: deque[int] = field(default_factory=lambda: deque(maxlen=AREAS))
    misses: dict[int, int] = field(default_factory=dict)
    seeded: int | None = None
    known: list[float] = field(default_factory=list)
    first: float = 1.0

    def faded(self, known: float, *, note: bool) -> float:
        """`Signs.faded` of a mask with this `Signs.known`. With `note`, the first few values set the usual one."""
        if note and len(self.known) < FIRST:
            self.known.append(known)
        return float(np.mean(self.known)) - known if self.known else 0.0

    def usual(self, mask: Tensor) -> bool:
        """Whether a mask is about as large as the latest ones; a sudden change means that it leaked or lost parts."""
        if not self.areas:
            return True
        ratio = area(mask) / max(float(np.median(self.areas)), 1.0)
        return 1 / MOST_GROWTH < ratio < MOST_GROWTH

    def place(self) -> tuple[Tensor | None, int, tuple[Tensor, Tensor]]:
        """The last mask, its frame, and the points there."""
        return self.mask, self.frame, self.points

    def resume(self, place: tuple[Tensor | None, int, tuple[Tensor, Tensor]]) -> None:
        """Start over from what `place` returned."""
        self.lose()
        self.mask, self.frame, self.points = place

    def lose(self) -> None:
        """Forget where the object is, but not what it looks like."""
        self.mask, self.frame, self.seeded = None, -1, None
        self.areas.clear()
        self.points, self.misses = (torch.zeros(0), torch.zeros(0, 2)), {}

    def moved_mask(self, ids: Tensor, xy: Tensor) -> Tensor | None:
        """The last mask (h, w), moved as its points have moved since; None if none of them is left.

        Args:
            ids, xy: (n,) and (n, 2) pixels of the points on the present frame.
        """
        if self.mask is None:
            return None
        before, xy_before = self.points
        here = torch.isin(ids, before)
        if not here.any():
            return None
        order = torch.searchsorted(before, ids[here])
        dx, dy = (xy[here] - xy_before[order]).median(dim=0).values.tolist()
        shift = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
        h, w = self.mask.shape
        shifted = cv2.warpAffine(self.mask.numpy().astype(np.uint8), shift, (w, h), flags=cv2.INTER_NEAREST)
        return torch.from_numpy(shifted > 0)

    def state_dict(self) -> dict[str, Any]:
        """The whole state as tensors and plain values, which later changes do not affect."""
        colours = self.colours and {
            "mixture": torch.from_numpy(self.colours.mixture),
            "thin": self.colours.thin,
        }
        return {
            **vars(self),
            "memory": self.memory.state_dict(),
            "colours": colours,
            "areas": list(self.areas),
            "misses": dict(self.misses),
            "known": list(self.known),
        }

    @classmethod
    def from_state_dict(cls, state: dict[str, Any], device: torch.device) -> ObjectState:
        """The object as it was when `state` was taken; its memory moves to `device`, where keys are read."""
        colours = state["colours"]
        return cls(
            memory=ObjectMemory.from_state_dict(moved(state["memory"], device)),
            colours=colours and ObjectColours(colours["mixture"].numpy(), colours["thin"]),
            sharpens=state["sharpens"],
            mask=state["mask"],
            frame=state["frame"],
            points=state["points"],
            areas=deque(state["areas"], maxlen=AREAS),
            misses=dict(state["misses"] if "misses" in state else state["max_misses"]),  # in older files
            seeded=state["seeded"],
            known=list(state["known"]),
            first=state["first"],
        )
