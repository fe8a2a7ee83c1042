"""A run through frames, in slices, so that a person can do other things meanwhile."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from pointtrack.ui.project import Project

PIECE = 16  # frames of objects per request, whose masks stay in memory
SLICE_SECONDS = 0.25
DIRECTIONS = {"forward": ("forward",), "backward": ("backward",), "both": ("forward", "backward")}


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

    def __init__(self, project: Project, what: list[str], frames: range, direction: str, origin: int):
        if direction not in DIRECTIONS:
            raise ValueError(f"direction: expected {', '.join(DIRECTIONS)}, got {direction!r}")
        if not 0 <= frames.start < frames.stop <= len(project.video):
            raise ValueError(
                f"frames: expected 0 <= start < stop <= {len(project.video)}, got {frames.start} and {frames.stop}"
            )
        self.project, self.frames, self.direction = project, frames, direction
        self.what = [
            kind
            for kind in ("points", "objects")
            if kind in what and (project.points.points if kind == "points" else self._has_prompts())
        ]
        if not self.what:
            raise ValueError(
                "propagate: expected a point, or an object with a click, a box or a mask; add one first"
            )
        self._pieces = [
            (kind, piece, way)
            for kind in self.what
            for way in DIRECTIONS[direction]
            for piece in ([frames] if kind == "points" else _pieces(frames, way))
        ]
        self.at = origin
        self.new: dict[str, list[int]] = {}
        self.began = time.monotonic()
        self.total = max(self._missing(), 1)
        self.fraction = 0.0
        self._next_look = self.began

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
        deadline = time.monotonic() + SLICE_SECONDS
        before = None if kind == "points" else self._known_objects(piece)

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
            elif self._has_prompts():
                session.propagate(piece.start, piece.stop, direction=way, progress=pause)
            self._pieces.pop(0)
        except _Pause:
            pass
        finally:
            if before is not None:
                new = (self._known_objects(piece) & ~before).any(1).nonzero()[:, 0] + piece.start
                if len(new):
                    first, last = int(new[0]), int(new[-1])
                    self._tell("objects", first, last)
                    self.at = last if way == "forward" else first
        self._report()
        self.project.save_if_due()
        return not self._pieces and self._over()

    def told(self) -> dict[str, Any]:
        """The progress, ready for JSON."""
        seconds = time.monotonic() - self.began
        left = seconds * (1 - self.fraction) / self.fraction if self.fraction > 0.02 else None
        return {
            "what": self.what,
            "start": self.frames.start,
            "stop": self.frames.stop,
            "direction": self.direction,
            "at": self.at,
            "fraction": round(self.fraction, 4),
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
            self.fraction = min(max(1 - self._missing() / self.total, 0.0), 0.999)
            # Checking a long video takes a while, so spend at most a twentieth of the time on it.
            self._next_look = time.monotonic() + max(0.5, 20 * (time.monotonic() - now))
        if self.new:
            self.project.notify({"type": "run", "run": self.told(), **self._changes()})

    def _tell(self, kind: str, first: int, last: int) -> None:
        known = self.new.get(kind, [first, last])
        self.new[kind] = [min(known[0], first), max(known[1], last)]
        versions = self.project.versions
        setattr(versions, kind, getattr(versions, kind) + 1)

    def _changes(self) -> dict[str, Any]:
        new, self.new = self.new, {}
        return {"changed": new, "versions": vars(self.project.versions).copy()}

    def _has_prompts(self) -> bool:
        objects = self.project.objects
        return any(objects.keyframes(number) for number in objects.objects)

    def _known_objects(self, piece: range) -> torch.Tensor:
        """(t, o) bool: whether the quality of an object is known on a frame of a piece."""
        return torch.isfinite(self.project.objects.quality(piece.start, piece.stop))

    def _missing(self) -> int:
        """The number of unknown positions and masks."""
        missing, frames = 0, self.frames
        if "objects" in self.what:
            quality = self.project.objects.quality(frames.start, frames.stop)
            missing += int(torch.isnan(quality).sum())
        if "points" in self.what:
            for start in range(frames.start, frames.stop, 4096):
                tracked = self.project.points.known(start, min(start + 4096, frames.stop)).tracked()
                missing += int((~tracked).sum())
        return missing


def _pieces(frames: range, way: str) -> list[range]:
    starts = list(range(frames.start, frames.stop, PIECE))
    pieces = [range(start, min(start + PIECE, frames.stop)) for start in starts]
    return pieces if way == "forward" else pieces[::-1]
