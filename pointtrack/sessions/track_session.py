"""A person and tracks: points are added, corrected where they go wrong, and corrections stick."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pointtrack.geometry import inside_image
from pointtrack.models.point_tracker import PointTracker, network_of
from pointtrack.pipeline.backward import track_video
from pointtrack.pipeline.inputs import progress_of
from pointtrack.sessions.fixes import Fix, FixedPoint, spans_of
from pointtrack.sessions.history import History
from pointtrack.sessions.point_walks import Part, PointWalk, Span, join, reversed_part
from pointtrack.sessions.schedule import Direction
from pointtrack.sessions.track_session_file import (
    TrackSessionContent,
    read_track_session,
    write_track_session,
)
from pointtrack.tracker import Tracker
from pointtrack.types import VISIBLE, Queries, Source, Tracks, Video

APART = 8  # frames between two that are named as worth a correction
PIECE = 4096  # frames that are looked at together


@dataclass(frozen=True)
class PointDoubt:
    """A frame that is worth a look: the confidence of a point in view is low on it."""

    frame: int
    point: int
    confidence: float


class TrackSession:
    """Points in a video: add them, look at their tracks, correct them.

    A correction is hard: the track passes through it. Only the frames up to the neighbouring fixes of that point are
    tracked again, from both sides, and joined without a jump; all other frames, and all other points, stay exactly as
    they were.

    Args:
        video: the frames.
        tracker: a `Tracker`, or a loaded network.

    >>> import numpy as np
    >>> import pointtrack as pt
    >>> session = pt.TrackSession(pt.Video(np.zeros((5, 48, 64, 3), np.uint8)), pt.Tracker())
    >>> (point,) = session.add(pt.Queries([0], [[20.0, 20.0]])).tolist()
    >>> session.correct(point, frame=3, xy=(25, 22))
    >>> session.tracks().xy[3, 0].tolist()
    [25.0, 22.0]
    """

    def __init__(self, video: Video, tracker: Tracker | PointTracker):
        self.video, self.tracker = video, network_of(tracker)
        self._history: History[tuple[FixedPoint, ...]] = History([()])
        self._serial = itertools.count(1)
        # Ids are never used twice, so what is known by them needs no history.
        self._next_id = 0
        self._groups: dict[int, int] = {}
        self._names: dict[int, str] = {}
        self._parts: dict[Span, Part] = {}
        self._walks: list[PointWalk] = []  # not at their end, or waiting for the one from the other side

    @property
    def points(self) -> dict[int, list[int]]:
        """Id of every point -> frames on which a person said where it is."""
        return {point.id: [fix.frame for fix in point.fixes] for point in self._history.state}

    @property
    def groups(self) -> dict[int, int]:
        """Id of every point -> number of the call of `add` that brought it."""
        return {point.id: self._groups[point.id] for point in self._history.state}

    def add(self, queries: Any, *, follow: bool = True) -> Tensor:
        """Track more points; those of one call are tracked together.

        Args:
            queries: the points, as `Queries` or rows of (frame, x, y). Their ids are not used; their names are kept.
            follow: through the whole video, now. Otherwise they are known on their frames only, until `propagate` or
                `tracks` follows them.

        Returns:
            (n,) int64 ids of the points, which were never used before.

        Raises:
            ValueError: a query after the last frame or outside the image. Then nothing has changed.
        """
        queries = Queries.of(queries)
        queries.check_inside(len(self.video), self.video.wh)
        ids = range(self._next_id, self._next_id + len(queries))
        group = 1 + max(self._groups.values(), default=0)
        points = tuple(
            FixedPoint(number, (Fix(frame, (x, y), next(self._serial), group),))
            for number, frame, (x, y) in zip(ids, queries.frame.tolist(), queries.xy.tolist(), strict=True)
        )
        if follow:
            found = track_video(self.tracker, self.video, queries)
            for i, point in enumerate(points):
                for span in spans_of(point, len(self.video)):
                    rows = slice(span.frames.start, span.frames.stop)
                    self._parts[span] = Part(
                        found.xy[rows, i], found.visibility[rows, i], found.confidence[rows, i]
                    )
        self._next_id = ids.stop
        self._groups |= dict.fromkeys(ids, group)
        self._names |= dict(zip(ids, queries.names, strict=False))
        self._do((*self._history.state, *points))
        return torch.tensor(ids, dtype=torch.int64)

    def adopt(self, tracks: Tracks) -> Tensor:
        """Take over tracks of this video that were made elsewhere, to look at and to correct them.

        Args:
            tracks: of all its frames. Where a point is not tracked it is not known, and can be followed.

        Returns:
            (n,) int64 ids of the points here.

        Raises:
            ValueError: tracks of another size or length. Then nothing has changed.
        """
        if tracks.wh != self.video.wh or tracks.first_frame or len(tracks) != len(self.video):
            raise ValueError(
                f"tracks: expected {len(self.video)} frames of {self.video.wh} as the video, got {len(tracks)} from "
                f"{tracks.first_frame} on, of {tracks.wh}"
            )
        ids = self.add(tracks.queries, follow=False)
        known = tracks.tracked()
        for column, number in enumerate(ids.tolist()):
            for span in spans_of(self._point(number), len(self.video)):
                rows = slice(span.frames.start, span.frames.stop)
                if known[rows, column].all():
                    self._parts[span] = Part(
                        tracks.xy[rows, column],
                        tracks.visibility[rows, column],
                        tracks.confidence[rows, column],
                    )
        return ids

    def correct(self, point: int, frame: int, xy: Sequence[float]) -> None:
        """Say where a point is on a frame.

        Args:
            point: its id.
            frame: number of the frame.
            xy: (x, y) in pixels of the video.

        Raises:
            ValueError: an unknown point, a frame that the video does not have, or a place outside the image. Then nothing
                has changed.
        """
        one = self._point(point)
        if isinstance(frame, bool) or int(frame) != frame or not 0 <= frame < len(self.video):
            raise ValueError(f"frame: expected a whole number in 0..{len(self.video) - 1}, got {frame!r}")
        place = torch.as_tensor(xy, dtype=torch.float32)
        if place.shape != (2,) or not bool(inside_image(place, self.video.wh)):
            raise ValueError(f"correction: expected (x, y) inside the {self.video.wh} image, got {xy!r}")
        fix = Fix(int(frame), (float(place[0]), float(place[1])), next(self._serial))
        self._do(tuple(other.with_fix(fix) if other is one else other for other in self._history.state))

    def forget(self, point: int, frame: int) -> None:
        """Take back what was said about a point on a frame; with its last fix the point goes.

        Raises ValueError where nothing was said.
        """
        one = self._point(point)
        rest = tuple(fix for fix in one.fixes if fix.frame != frame)
        if len(rest) == len(one.fixes):
            raise ValueError(f"forget: expected a frame of {self.points[point]}, got {frame}")
        kept = [replace(other, fixes=rest) if other is one else other for other in self._history.state]
        self._do(tuple(other for other in kept if other.fixes))

    def remove(self, points: Iterable[int]) -> None:
        """Forget points and all that was said about them. Raises ValueError for an unknown one."""
        gone = {self._point(point).id for point in points}
        self._do(tuple(point for point in self._history.state if point.id not in gone))

    def undo(self) -> bool:
        """Take the last action back; False if there is none. What was tracked before it counts again."""
        return self._history.undo()

    def redo(self) -> bool:
        """Do again what was undone; False if there is nothing."""
        return self._history.redo()

    def propagate(
        self,
        start: int = 0,
        stop: int | None = None,
        *,
        direction: Direction = "both",
        progress: Callable[[range], None] | bool | None = None,
    ) -> None:
        """Follow points from what was said of them; only what is not known yet is tracked.

        Args:
            start, stop: frames start..stop-1 are wanted; by default all.
            direction: "forward" follows points only from a fix before these frames, "backward" only from one after them.
                What lies between two fixes of a point follows from both.
            progress: called with the frames that some points have got since the last call. What it raises ends the
                work, and all that was tracked stays: the next call goes on from there. True shows a bar.

        Raises:
            ValueError: frames that the video does not have.
        """
        stop = len(self.video) if stop is None else stop
        if not 0 <= start < stop <= len(self.video):
            raise ValueError(
                f"frames: expected 0 <= start < stop <= {len(self.video)}, got start {start} and stop {stop}"
            )
        with progress_of(progress, None, "following", count=len) as step:
            for walk in self._wanted_walks(range(start, stop), direction):
                two_ended = walk.spans[0].left is not None and walk.spans[0].right is not None
                wanted = len(walk.frames) if two_ended else _reach(walk.frames, range(start, stop))
                while walk.done < wanted:
                    new = walk.advance(self.tracker, self.video)
                    if walk.done == len(walk.frames):
                        self._settle(walk)
                    if step is not None:
                        step(new)

    def tracks(self) -> Tracks:
        """All points on all frames; tracks what is not known yet.

        The queries of the tracks are the first fixes of the points.
        """
        self.propagate()
        return self.known()

    def known(self, start: int = 0, stop: int | None = None) -> Tracks:
        """All points on frames start..stop-1 as far as they are known, NaN elsewhere; tracks nothing."""
        stop = len(self.video) if stop is None else stop
        frames, points = range(start, stop), self._history.state
        xy = torch.full((len(frames), len(points), 2), torch.nan)
        visibility, confidence = torch.zeros(len(frames), len(points)), torch.zeros(len(frames), len(points))
        for column, point in enumerate(points):
            for span in spans_of(point, len(self.video)):
                for covered, part in self._known_parts(span):
                    first, last = max(covered.start, start), min(covered.stop, stop)
                    if first < last:
                        here = slice(first - start, last - start)
                        there = slice(first - covered.start, last - covered.start)
                        xy[here, column] = part.xy[there]
                        visibility[here, column] = part.visibility[there]
                        confidence[here, column] = part.confidence[there]
            for fix in point.fixes:
                if fix.frame in frames:
                    xy[fix.frame - start, column] = torch.tensor(fix.xy)
                    visibility[fix.frame - start, column] = confidence[fix.frame - start, column] = 1.0
        queries = Queries(
            torch.tensor([point.fixes[0].frame for point in points], dtype=torch.int64),
            torch.tensor([point.fixes[0].xy for point in points]).reshape(-1, 2),
            torch.tensor([point.id for point in points], dtype=torch.int64),
            tuple(self._names.get(point.id, "") for point in points),
        )
        sources = torch.isfinite(xy).all(dim=-1).to(torch.uint8) * int(Source.MODEL)
        for column, point in enumerate(points):
            rows = [fix.frame - start for fix in point.fixes if fix.frame in frames]
            sources[rows, column] = int(Source.PERSON)
        tracks = Tracks(
            xy, visibility, confidence, queries, self.video.wh, start, self.video.fps, sources=sources
        )
        return tracks.with_times(self.video.times[frames.start : frames.stop])

    def suggest_corrections(self, count: int = 5) -> list[PointDoubt]:
        """The frames on which a correction would help most: in view, but of low confidence; not side by side."""
        doubts: list[PointDoubt] = []
        length = len(self.video)
        for start in range(0, length, PIECE):
            tracks = self.known(start, min(start + PIECE, length))
            sure = torch.where(tracks.tracked() & (tracks.visibility > VISIBLE), tracks.confidence, 1.0)
            for place in sure.flatten().argsort()[: 8 * count * APART].tolist():
                row, column = divmod(place, len(tracks.ids))
                value, point = float(sure[row, column]), int(tracks.ids[column])
                if not value < 1:
                    break
                if all(abs(start + row - one.frame) >= APART for one in doubts if one.point == point):
                    doubts.append(PointDoubt(start + row, point, value))
        return sorted(doubts, key=lambda one: one.confidence)[:count]

    def save(self, path: str | Path) -> Path:
        """Write all that was said, its history and what was tracked to one .npz file (without the video)."""
        wanted = [span for point in self._history.state for span in spans_of(point, len(self.video))]
        parts = {span: self._parts[span] for span in wanted if span in self._parts}
        content = TrackSessionContent(
            self._history, parts, [walk for walk in self._walks if walk.done], self._names
        )
        return write_track_session(path, self.video, content)

    def load(self, path: str | Path) -> None:
        """Go on with a saved session of the same video, in the place of this one.

        Raises:
            FileNotFoundError: no such file.
            ValueError: a file that is no such session, or one of another video. Then nothing has changed.
        """
        content = read_track_session(path, self.video)
        self._history, self._parts = content.history, content.parts
        self._walks, self._names = content.walks, content.names
        points = _distinct(content.history)
        fixes = [(point.id, fix) for point in points for fix in point.fixes]
        self._serial = itertools.count(1 + max((fix.serial for _, fix in fixes), default=0))
        self._next_id = 1 + max([*self._names, *(point.id for point in points)], default=-1)
        self._groups = {point: fix.group for point, fix in fixes if fix.group}

    def _do(self, state: tuple[FixedPoint, ...]) -> None:
        """A new state; what was undone is gone, and with it what no state can reach any more."""
        drops = self._history.now + 1 < len(self._history.states)
        self._history.do(state)
        if not drops:
            return
        reachable = {span for point in _distinct(self._history) for span in spans_of(point, len(self.video))}
        self._parts = {span: part for span, part in self._parts.items() if span in reachable}
        # A walk goes on for all of its spans; those that nobody wants any more stay with the others.
        self._walks = [walk for walk in self._walks if not reachable.isdisjoint(walk.spans)]

    def _known_parts(self, span: Span) -> Iterator[tuple[range, Part]]:
        """What is known of a span, with the frames that each piece covers; later ones go before earlier ones."""
        if span in self._parts:
            yield span.frames, self._parts[span]
            return
        for walk in self._walks:
            if span in walk and walk.done:
                part = walk.part(span)
                if walk.forward:
                    yield walk.frames[: walk.done], part
                else:
                    yield walk.frames[: walk.done][::-1], reversed_part(part)

    def _wanted_walks(self, frames: range, direction: Direction) -> list[PointWalk]:
        """The walks that have to go on, or begin, for points to be known on frames: those that are begun first."""
        fixes = {fix.serial: fix for point in self._history.state for fix in point.fixes}
        wanted: list[PointWalk] = []
        fresh: dict[tuple[range, int], list[tuple[Span, Fix]]] = {}
        for point in self._history.state:
            for span in spans_of(point, len(self.video)):
                if span in self._parts or not range(
                    max(span.frames.start, frames.start), min(span.frames.stop, frames.stop)
                ):
                    continue
                two_ended = span.left is not None and span.right is not None
                for serial, order in ((span.left, span.frames), (span.right, span.frames[::-1])):
                    way = "forward" if order.step > 0 else "backward"
                    if serial is None or (direction not in ("both", way) and not two_ended):
                        continue
                    walk = next((w for w in self._walks if w.frames == order and span in w), None)
                    if walk is None:
                        group = 0 if two_ended else fixes[serial].group
                        fresh.setdefault((order, group), []).append((span, fixes[serial]))
                    elif walk not in wanted:
                        wanted.append(walk)
        for (order, group), starts in fresh.items():
            xy = torch.tensor([fix.xy for _, fix in starts])
            walk = PointWalk(tuple(span for span, _ in starts), xy, order, together=group > 0)
            self._walks.append(walk)
            wanted.append(walk)
        return wanted

    def _settle(self, walk: PointWalk) -> None:
        """A walk has come to its end: its spans are known, or half of them is."""
        for span in walk.spans:
            part = walk.part(span) if walk.forward else reversed_part(walk.part(span))
            if span.left is None or span.right is None:
                self._parts[span] = part
                continue
            other = next(
                (w for w in self._walks if w is not walk and span in w and w.forward != walk.forward),
                None,
            )
            if other is not None and other.done == len(other.frames):
                back = other.part(span) if other.forward else reversed_part(other.part(span))
                self._parts[span] = join(part, back) if walk.forward else join(back, part)
        self._walks = [w for w in self._walks if not all(span in self._parts for span in w.spans)]

    def _point(self, point: int) -> FixedPoint:
        for one in self._history.state:
            if one.id == point:
                return one
        raise ValueError(f"point: expected one of {list(self.points)[:20]}, got {point!r}")


def _distinct(history: History[tuple[FixedPoint, ...]]) -> Collection[FixedPoint]:
    """The points of all states, each once: states share those that did not change."""
    return {id(point): point for state in history.states for point in state}.values()


def _reach(order: range, frames: range) -> int:
    """How many frames of a walk cover its part of a range."""
    last = frames.stop - 1 if order.step > 0 else frames.start
    return min(max((last - order.start) * order.step + 1, 0), len(order))
