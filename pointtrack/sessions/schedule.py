"""Schedules the work of a session: it walks each missing side once, and several together if possible."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pointtrack.objects.engine import Engine, ObjectResult, said
from pointtrack.objects.point_prompts import KnownMask
from pointtrack.sessions.keyframes import SessionObject, Side, sides_of
from pointtrack.sessions.mask_store import Results, places
from pointtrack.types import Video

Direction = Literal["forward", "backward", "both"]


@dataclass
class _Walk:
    """A walk of the engine that may continue later; all its sides lie on the same frames."""

    sides: tuple[Side, ...]
    steps: Iterator[dict[int, ObjectResult]]


class Schedule:
    """Results of walks, and unfinished walks.

    Args:
        video: the frames.
        engine: follows the objects.
        results: the results known already.
    """

    def __init__(self, video: Video, engine: Engine, results: Results | None = None):
        self.video, self.engine = video, engine
        self.results = results or Results()
        self._walks: dict[Side, _Walk] = {}

    def __getstate__(self) -> dict[str, Any]:
        """The content to copy or pickle, without walks under way, which start over in the copy."""
        return {**vars(self), "_walks": {}}

    def known(self, one: SessionObject, frames: range) -> Iterator[tuple[int, ObjectResult]]:
        """The frames of a range on which an object's mask is known, with the results."""
        for key in one.keys:
            if key.frame in frames:
                yield key.frame, said(key.mask, key.score)
        for side in sides_of(one, len(self.video)):
            yield from self.results.of(side, frames)

    def measures(self, one: SessionObject, frames: range) -> Iterator[tuple[int, float, float]]:
        """Frame, quality and score where an object's mask is known in a range; this unpacks no stored masks."""
        for key in one.keys:
            if key.frame in frames:
                found = said(key.mask, key.score)
                yield key.frame, found.quality, found.score
        for side in sides_of(one, len(self.video)):
            for frame, packed in self.results.packed(side, frames):
                yield frame, packed.quality, packed.score

    def missing(self, objects: Iterable[SessionObject], frames: range, direction: Direction) -> list[Side]:
        """Sides that reach into a range of frames and are not computed that far."""
        sides = [side for one in objects for side in sides_of(one, len(self.video))]
        return [
            side
            for side in sides
            if (direction == "both" or side.forward == (direction == "forward"))
            and self.results.done(side) < _wanted(side, frames)
        ]

    def steps(self, missing: Sequence[Side], frames: range) -> int:
        """Number of frames, summed over objects, that `walk` computes for these sides."""
        return sum(_wanted(side, frames) - self.results.done(side) for side in missing)

    def walk(
        self,
        missing: Mapping[Side, Sequence[KnownMask]],
        frames: range,
        cuts: Sequence[int],
        progress: Callable[[int], None],
    ) -> None:
        """Walk sides as far as a range of frames needs it.

        Args:
            missing: the sides, with the masks that each follows from.
            frames: the wanted range.
            cuts: of the video.
            progress: called with the number of frames done since the last call, per object.
        """
        for sides in self._together(missing):
            walk = self._walks.get(sides[0])
            if walk is None:
                for side in sides:  # results from a file cannot be continued
                    self.results.restart(side)
                known = {side.object_id: missing[side] for side in sides}
                walk = _Walk(sides, iter(self.engine.walk(self.video, known, sides[0].frames, cuts)))
                self._walks |= dict.fromkeys(sides, walk)
            for _ in range(_wanted(sides[0], frames) - self.results.done(sides[0])):
                try:
                    found = next(walk.steps)
                except BaseException:  # an interrupted walk cannot continue; its sides start over
                    self._drop(walk)
                    raise
                for side in walk.sides:
                    self.results.add(side, found[side.object_id])
                progress(len(walk.sides))
            if self.results.done(sides[0]) == len(sides[0].frames):
                self._drop(walk)

    def _drop(self, walk: _Walk) -> None:
        self._walks = {side: other for side, other in self._walks.items() if other is not walk}

    def keep(self, sides: set[Side]) -> None:
        """Forget all sides but these."""
        self._walks = {side: walk for side, walk in self._walks.items() if side in sides}
        # A walk continues for all of its sides, so sides that are no longer wanted stay with the others.
        walked = {side for walk in self._walks.values() for side in walk.sides}
        self.results = self.results.select(sides | walked)

    def _together(self, sides: Iterable[Side]) -> list[tuple[Side, ...]]:
        """Groups of sides that one walk can do: on the same frames, and either all new or all of one begun walk."""
        groups: dict[Any, list[Side]] = {}
        for side in sides:
            begun = self._walks.get(side)
            groups.setdefault(begun.sides if begun else side.frames, []).append(side)
        return [tuple(group) for group in groups.values()]


def _wanted(side: Side, frames: range) -> int:
    """Number of frames of a side to walk to cover its part of a range."""
    begin, end = places(side.frames, frames)
    return end if begin < end else 0
