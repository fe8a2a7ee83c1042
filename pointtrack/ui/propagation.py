"""A run through frames, in slices, so that a person can do other things meanwhile."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from pointtrack.sessions.moments import frames_to_track
from pointtrack.sessions.schedule import Direction
from pointtrack.ui.progress import Progress

if TYPE_CHECKING:
    from pointtrack.sessions.keyframes import Side
    from pointtrack.ui.project import Project

PIECE = 16  # frames of objects per request, whose masks stay in memory
SLICE_SECONDS = 0.25
LOOK_AHEAD = 128  # frames after the last wanted one that following objects may look at
DIRECTIONS: dict[Direction, tuple[Direction, ...]] = {
    "forward": ("forward",),
    "backward": ("backward",),
    "both": ("forward", "backward"),
}


class _Pause(Exception):
    """Raised when a slice is over, or a call waits."""


class Propagation:
    """Follows points and objects of a project through frames.

    Args:
        project: the project.
        what: "points", "objects", or both.
        frames: the frames to cover, start..stop-1.
        direction: forward, backward or both.
        origin: the frame that the person is viewing, where work begins.

    Raises:
        ValueError: there is nothing to follow, or the video does not have these frames.
    """

    def __init__(self, project: Project, what: list[str], frames: range, direction: Direction, origin: int):
        if direction not in DIRECTIONS:
            raise ValueError(f"direction: expected {', '.join(DIRECTIONS)}, got {direction!r}")
        if not 0 <= frames.start < frames.stop <= len(project.video):
            raise ValueError(
                f"frames: expected 0 <= start < stop <= {len(project.video)}, got {frames.start} and {frames.stop}"
            )
        self.project, self.frames, self.direction = project, frames, direction
        self._asked = what
        self._plan()
        if not self.what:
            raise ValueError(
                "propagate: expected a point, or an object with a click, a box or a mask; add one first"
            )
        self.at = origin
        self.new: dict[str, list[int]] = {}
        self._progress = Progress(project.pace, self._steps_left())
        self._looked = self._acts
        self._next_look = time.monotonic()

    def covers(self, other: Propagation) -> bool:
        """Whether this run does everything that another one would."""
        frames = self.frames.start <= other.frames.start and other.frames.stop <= self.frames.stop
        return frames and set(other.what) <= set(self.what) and self.direction in ("both", other.direction)

    def step(self) -> bool:
        """Run one slice."""
        if not self._pieces:
            return self._over()
        kind, piece, way = self._pieces[0]
        session = getattr(self.project, kind)
        if kind == "objects" and self.project.look_for_cuts(self._seen_by(piece, way)):
            return False
        began = time.monotonic()
        deadline = began + SLICE_SECONDS
        before = {} if kind == "points" else self.project.objects.reached()

        def pause(*_: Any) -> None:
            if time.monotonic() > deadline or self.project.worker.wanted:
                raise _Pause

        def got(new: range) -> None:
            if len(new):
                self._tell("points", min(new[0], new[-1]), max(new[0], new[-1]))
                self.at = new[-1]
            pause()

        try:
            if kind == "points":
                session.propagate(piece.start, piece.stop, direction=way, progress=got)
            elif self._has_prompts() and session.steps_left(piece.start, piece.stop, way):
                session.propagate(piece.start, piece.stop, direction=way, progress=pause)
            self._pieces.pop(0)
        except _Pause:
            pass
        finally:
            self._progress.spend(kind, time.monotonic() - began)
            if before:
                self._tell_masks(before, way)
        if not self._pieces:
            self._plan_again()
        self._report()
        self.project.save_if_due()
        return not self._pieces and self._over()

    def _seen_by(self, piece: range, way: Direction) -> int:
        """The frame up to which following objects through a piece looks at the video."""
        objects = self.project.objects
        keys = (frame for number in objects.objects for frame in objects.keyframes(number))
        return piece.stop + LOOK_AHEAD if way == "forward" else max([piece.stop, *keys]) + 1

    def _plan(self) -> None:
        """Divide the work into pieces, by what there is to follow now."""
        self._acts = self.project.store.serial
        self.what = [
            kind
            for kind in ("points", "objects")
            if kind in self._asked
            and (self.project.points.points if kind == "points" else self._has_prompts())
        ]
        self._pieces = [
            (kind, piece, way)
            for kind in self.what
            for way in DIRECTIONS[self.direction]
            for piece in ([self.frames] if kind == "points" else _pieces(self.frames, way))
        ]

    def _plan_again(self) -> None:
        """Go back to what a person changed after the run had passed it."""
        if self._acts != self.project.store.serial:
            self._plan()
            if not self._missing():
                self._pieces = []

    def told(self) -> dict[str, Any]:
        """The progress, ready for JSON."""
        left = self._progress.seconds_left()
        return {
            "what": self.what,
            "start": self.frames.start,
            "stop": self.frames.stop,
            "direction": self.direction,
            "at": self.at,
            "fraction": round(min(self._progress.fraction, 0.999), 4),
            "left": None if left is None else round(left, 1),
        }

    def failed(self, error: Exception) -> None:
        """Report the error; results stay."""
        self.project.notify({"type": "problem", "message": f"the run ended: {error}"})
        self.project.notify({"type": "run", "run": None, **self._changes()})

    def _over(self) -> bool:
        self.project.notify({"type": "run", "run": None, "done": True, **self._changes()})
        self.project.worker.runs = [run for run in self.project.worker.runs if run is not self]
        self.project.notify({"type": "state", "state": self.project.state()})
        return True

    def _report(self) -> None:
        now = time.monotonic()
        if now > self._next_look:
            acts = self.project.store.serial
            self._progress.look(self._steps_left(), measures=acts == self._looked)
            self._looked = acts
            # Checking a long video takes a while, so spend at most a twentieth of the time on it.
            self._next_look = time.monotonic() + max(0.5, 20 * (time.monotonic() - now))
        if self.new:
            self.project.notify({"type": "run", "run": self.told(), **self._changes()})

    def _tell(self, kind: str, first: int, last: int) -> None:
        known = self.new.get(kind, [first, last])
        self.new[kind] = [min(known[0], first), max(known[1], last)]
        versions = self.project.versions
        setattr(versions, kind, getattr(versions, kind) + 1)

    def _tell_masks(self, before: dict[Side, int], way: Direction) -> None:
        """Tell of the masks of this slice, also of those that lie on the way to the frames of the run."""
        reached = self.project.objects.reached().items()
        pieces = [new for side, done in reached if len(new := side.frames[before.get(side, 0) : done])]
        if pieces:
            first, last = min(map(min, pieces)), max(map(max, pieces))
            self._tell("objects", first, last)
            self.at = last if way == "forward" else first

    def _changes(self) -> dict[str, Any]:
        new, self.new = self.new, {}
        return {"changed": new, "versions": vars(self.project.versions).copy()}

    def _has_prompts(self) -> bool:
        objects = self.project.objects
        return any(objects.keyframes(number) for number in objects.objects)

    def _missing(self) -> int:
        """The number of frames of points and of masks that the run has to compute."""
        return sum(self._steps_left().values())

    def _steps_left(self) -> dict[str, int]:
        """Kind -> what the run has to compute: masks, each of one object, and frames of points added together."""
        frames, left = self.frames, {}
        if "objects" in self.what:
            left["objects"] = self.project.objects.steps_left(frames.start, frames.stop, self.direction)
        if "points" in self.what:
            left["points"] = frames_to_track(self.project.points, frames, self.direction)
        return left


def _pieces(frames: range, way: Direction) -> list[range]:
    starts = list(range(frames.start, frames.stop, PIECE))
    pieces = [range(start, min(start + PIECE, frames.stop)) for start in starts]
    return pieces if way == "forward" else pieces[::-1]
