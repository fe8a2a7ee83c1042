"""Schedules the work of a session: it walks each missing side once, and several together if possible."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from pointtrack.objects.engine import Engine, ObjectResult, prompted_result
from pointtrack.sessions.carried import Carried
from pointtrack.sessions.history import History
from pointtrack.sessions.keyframes import SURE, SessionObject, Side, known_masks, sides_of
from pointtrack.sessions.mask_store import Packed, Results, places
from pointtrack.types import Video

Direction = Literal["forward", "backward", "both"]
MOST_EARLIER = 10_000  # masks of other steps than the present one in a file; they take some 4 MB, and a session is saved often


@dataclass
class _Walk:
    """A walk of the engine that may continue later; all its sides lie on the same frames, of which `done` are walked."""

    sides: tuple[Side, ...]
    steps: Iterator[dict[int, ObjectResult]]
    done: int = 0


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
        self._carried = Carried(video, engine.corrector)

    def __getstate__(self) -> dict[str, Any]:
        """The content to copy or pickle, without walks under way, which start over in the copy."""
        return {**vars(self), "_walks": {}, "_carried": Carried(self.video, self.engine.corrector)}

    def sides_of(self, one: SessionObject) -> tuple[Side, ...]:
        """All sides of an object; see `keyframes.sides_of`."""
        return sides_of(one, len(self.video), self.engine.corrector is not None)

    def known(self, one: SessionObject, frames: range) -> Iterator[tuple[int, ObjectResult]]:
        """The frames of a range on which an object's mask is known, with the results.

        Where a correction did not arrive yet, that is the mask of before.
        """
        best, _ = self._best(one, frames)
        for key in one.keys:
            if key.frame in frames and key.frame not in best:
                yield key.frame, prompted_result(key.mask, key.score)
        for frame, (_, packed) in best.items():
            yield frame, packed.found()

    def measures(self, one: SessionObject, frames: range) -> Iterator[tuple[int, float, float]]:
        """Frame, quality and score where an object's mask is settled in a range; this unpacks no stored masks."""
        best, unsettled = self._best(one, frames)
        corrected = best.keys() | unsettled
        for key in one.keys:
            if key.frame in frames and key.frame not in corrected:
                found = prompted_result(key.mask, key.score)
                yield key.frame, found.quality, found.score
        for frame, (_, packed) in best.items():
            if frame not in unsettled:
                yield frame, packed.quality, packed.score

    def way(self, one: SessionObject, frame: int) -> int:
        """1 or -1 if the mask on a frame comes from following the object forward or backward in time, 0 otherwise."""
        best, _ = self._best(one, range(frame, frame + 1))
        return best[frame][0].frames.step if frame in best else 0

    def _best(self, one: SessionObject, frames: range) -> tuple[dict[int, tuple[Side, Packed]], set[int]]:
        """Frame -> the side of an object whose result counts there, and that result; and frames that miss some result."""
        best: dict[int, tuple[Side, Packed]] = {}
        unsettled = set()
        prompted = {key.frame for key in one.keys}
        for side in self.sides_of(one):
            states = self._states(side)
            for place in range(*places(side.frames, frames)):
                frame = side.frames[place]
                if frame in prompted and not side.own:
                    continue
                count, rows = next((state for state in states if len(state[1]) > place), (-1, ()))
                if count != len(side.carried):
                    unsettled.add(frame)
                if rows and (frame not in best or _outweighs(rows[place], best[frame][1])):
                    best[frame] = side, rows[place]
        return best, unsettled

    def _states(self, side: Side) -> list[tuple[int, Sequence[Packed]]]:
        """The results of a side with all of the corrections that are carried to it, with one fewer, and so on to none."""
        counts = range(len(side.carried), -1, -1)
        return [(n, self.results.sides.get(replace(side, carried=side.carried[:n]), ())) for n in counts]

    def missing(self, objects: Iterable[SessionObject], frames: range, direction: Direction) -> list[Side]:
        """Sides that reach into a range of frames and are not computed that far."""
        sides = [side for one in objects for side in self.sides_of(one)]
        return [
            side
            for side in sides
            if (direction == "both" or side.own or side.forward == (direction == "forward"))
            and self._lacks(side, frames)
        ]

    def steps(self, missing: Sequence[Side], frames: range) -> int:
        """Number of frames, summed over objects, that `walk` computes for these sides."""
        # A side to which corrections are carried is walked first.
        both = {one for side in missing for one in ((side,) if side.own else (side, side.walked))}
        return sum(_wanted(side, frames) - self._start(side) for side in both if self._lacks(side, frames))

    def _lacks(self, side: Side, frames: range) -> bool:
        """Whether some result of a side is not known in a range."""
        return self.results.done(side) < _wanted(side, frames)

    def _start(self, side: Side) -> int:
        """The place where work on a side continues: its beginning, unless a walk is under way."""
        if side.carried or side.own:
            return self.results.done(side)
        walk = self._walks.get(side)
        return 0 if walk is None else walk.done

    def reached(self, objects: Iterable[SessionObject]) -> dict[Side, int]:
        """The number of known frames of all sides of some objects, as they were walked and as they were corrected."""
        sides = {side for one in objects for side in self.sides_of(one)}
        return {side: self.results.done(side) for side in sides | {side.walked for side in sides}}

    def walk(
        self,
        missing: Sequence[Side],
        objects: Iterable[SessionObject],
        frames: range,
        cuts: Sequence[int],
        progress: Callable[[int], None],
    ) -> None:
        """Walk sides as far as a range of frames needs it, and carry corrections to them.

        Args:
            missing: the sides.
            objects: theirs, at least.
            frames: the wanted range.
            cuts: of the video.
            progress: called with the number of frames done since the last call, per object; with 0 where points of a
                correction are tracked.
        """
        by_id = {one.id: one for one in objects}
        walked = (side.walked for side in missing if not side.own)
        for sides in self._together(side for side in walked if self._lacks(side, frames)):
            walk = self._walks.get(sides[0])
            if walk is None:  # results from a file cannot be continued; they stay until they are found anew
                known = {side.object_id: known_masks(by_id[side.object_id], side) for side in sides}
                walk = _Walk(sides, iter(self.engine.walk(self.video, known, sides[0].frames, cuts)))
                self._walks |= dict.fromkeys(sides, walk)
            while walk.done < _wanted(sides[0], frames):
                try:
                    found = next(walk.steps)
                    for side in walk.sides:
                        self.results.put(side, walk.done, found[side.object_id])
                    walk.done += 1
                except BaseException:  # an interrupted walk cannot continue; its sides start over
                    self._drop(walk)
                    raise
                progress(len(walk.sides))
            if walk.done == len(sides[0].frames):
                self._drop(walk)
        for side in missing:
            if side.carried:
                self._carry(side, by_id[side.object_id], frames, cuts, progress)

    def _carry(
        self,
        side: Side,
        one: SessionObject,
        frames: range,
        cuts: Sequence[int],
        progress: Callable[[int], None],
    ) -> None:
        """Carry corrections to the masks of a side that was walked, as far as a range of frames needs it."""
        keys = {key.serial: key for key in one.keys}
        prompted = {keys[serial].frame for serial in side.carried}
        answers = keys[side.start] if side.own else None
        states = self._states(side)[1:]
        if answers is not None:
            states[-1] = 0, (Packed.of(prompted_result(answers.mask, answers.score)),)
        for place in range(self.results.done(side), _wanted(side, frames)):
            count, packed = next((n, rows[place]) for n, rows in states if len(rows) > place)
            found, frame = packed.found(), side.frames[place]
            if frame not in prompted:
                more = [keys[serial] for serial in side.carried[count:]]
                found = self._carried.correct(frame, found, more, cuts, answers, lambda: progress(0))
            self.results.put(side, place, found)
            progress(1)

    def _drop(self, walk: _Walk) -> None:
        self._walks = {side: other for side, other in self._walks.items() if other is not walk}

    def keep(self, sides: set[Side]) -> None:
        """Forget all sides but these, and what they come from."""
        self._carried.keep({serial for side in sides for serial in side.carried})
        sides = sides | {side.walked for side in sides}
        self._walks = {side: walk for side, walk in self._walks.items() if side in sides}
        # A walk continues for all of its sides, so sides that are no longer wanted stay with the others.
        walked = {side for walk in self._walks.values() for side in walk.sides}
        self.results = self.results.select(sides | walked)

    def to_save(self, history: History[tuple[SessionObject, ...]]) -> Results:
        """The results of the present step of a history, and of the steps nearest to it, up to `MOST_EARLIER` masks."""
        kept: dict[Side, None] = {}
        earlier = 0
        for place, state in enumerate(history.nearest_first()):
            sides = [side for one in state for side in self.sides_of(one)]
            new = dict.fromkeys(side for both in sides for side in (both, both.walked) if side not in kept)
            if place:
                earlier += sum(self.results.done(side) for side in new)
                if earlier > MOST_EARLIER:
                    break
            kept |= new
        return self.results.select(kept)

    def _together(self, sides: Iterable[Side]) -> list[tuple[Side, ...]]:
        """Groups of sides that one walk can do: on the same frames, and either all new or all of one begun walk."""
        groups: dict[Any, list[Side]] = {}
        for side in sides:
            begun = self._walks.get(side)
            groups.setdefault(begun.sides if begun else side.frames, []).append(side)
        return [tuple(group) for group in groups.values()]


def _outweighs(older: Packed, newer: Packed) -> bool:
    """Whether a result counts instead of a newer one. An absence never does; instead of a newer absence, a mask above SURE does."""
    return bool(older.score) and older.quality > (newer.quality if newer.score else SURE)


def _wanted(side: Side, frames: range) -> int:
    """Number of frames of a side to walk to cover its part of a range."""
    begin, end = places(side.frames, frames)
    return end if begin < end else 0
