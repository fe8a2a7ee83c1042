"""`TrackSession`: add points, correct their tracks where they go wrong, and keep the corrections."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pointtrack.checks import counted
from pointtrack.geometry import inside_image
from pointtrack.models.point_tracker import PointTracker, network_of
from pointtrack.pipeline.backward import track_video
from pointtrack.pipeline.inputs import progress_of, video_of
from pointtrack.sessions.doubts import APART
from pointtrack.sessions.fixes import Fix, FixedPoint, spans_of
from pointtrack.sessions.frame_numbers import checked_frame, checked_range
from pointtrack.sessions.history import History, repr_with
from pointtrack.sessions.point_walks import Part, PointWalk, Span, join, reversed_part
from pointtrack.sessions.schedule import Direction
from pointtrack.sessions.track_session_file import (
    TrackSessionContent,
    parts_to_save,
    read_track_session,
    write_track_session,
)
from pointtrack.tracker import Tracker
from pointtrack.types import VISIBLE, Queries, Source, Tracks

PIECE = 4096  # frames that are searched at a time


@dataclass(frozen=True)
class PointDoubt:
    """A frame worth checking: the point is in view there, but its confidence is low."""

    frame: int
    point: int
    confidence: float


class TrackSession:
    """Points in a video: add them, look at their tracks, correct them.

    The track passes exactly through each correction. A correction only changes the frames up to the point's neighbouring
    fixes: the session tracks these again from both sides and joins them without a jump. All other frames and points stay
    exactly as they were.

    Args:
        video: a `Video`, or anything that `read_video` takes.
        tracker: a `Tracker`, or a loaded network.

    >>> import numpy as np, pointtrack as pt
    >>> session = pt.TrackSession(pt.Video(np.zeros((5, 48, 64, 3), np.uint8)), pt.Tracker())
    >>> (point,) = session.add(pt.Queries([0], [[20.0, 20.0]])).tolist()
    >>> session.correct(point, frame=3, xy=(25, 22))
    >>> session.tracks().xy[3, 0].tolist()
    [25.0, 22.0]
    """

    __repr__ = repr_with("points")

    def __init__(self, video: Any, tracker: Tracker | PointTracker):
        self.video, self.tracker = video_of(video), network_of(tracker)
        self._history: History[tuple[FixedPoint, ...]] = History([()])
        self._serial = itertools.count(1)
        self._next_id = 0  # ids are never used twice, so entries by id need no history
        self._groups: dict[int, int] = {}
        self._names: dict[int, str] = {}
        self._parts: dict[Span, Part] = {}
        self._walks: list[PointWalk] = []  # unfinished, or waiting for the walk from the other side

    @property
    def points(self) -> dict[int, list[int]]:
        """Id of every point -> frames with a fix: its query and its corrections."""
        return {point.id: [fix.frame for fix in point.fixes] for point in self._history.state}

    @property
    def groups(self) -> dict[int, int]:
        """Id of every point -> number of the call of `add` that added it."""
        return {point.id: self._groups[point.id] for point in self._history.state}

    def add(self, queries: Any, *, follow: bool = True) -> Tensor:
        """Track more points. The points of one call are tracked together.

        Args:
            queries: the points, as `Queries` or rows of (frame, x, y). The session keeps their names, not their ids.
            follow: track them through the whole video now. Otherwise they are known on their query frames only, until
                `propagate` or `tracks` follows them.

        Returns:
            (n,) int64 new ids of the points; the session never uses an id twice.

        Raises:
            ValueError: a query lies after the last frame or outside the image. The session is then unchanged.
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
        """Take over tracks of this video that were made elsewhere, to check and correct them.

        Args:
            tracks: tracks of all frames of the video. `propagate` can follow a point where they have no position.

        Returns:
            (n,) int64 ids of the points in this session.

        Raises:
            ValueError: the tracks have another size or length. The session is then unchanged.
        """
        if tracks.wh != self.video.wh or tracks.first_frame or len(tracks) != len(self.video):
            raise ValueError(
                f"tracks: expected {counted(len(self.video), 'frame')} of {self.video.wh} like the video, got {len(tracks)} "
                f"from frame {tracks.first_frame} on, of {tracks.wh}"
            )
        ids = self.add(tracks.queries, follow=False)
        known = tracks.tracked()
        for column, number in enumerate(ids.tolist()):
            for span in spans_of(self._point(number), len(self.video)):
                here = slice(span.frames.start, span.frames.stop), column
                if known[here].all():
                    self._parts[span] = Part(
                        tracks.xy[here], tracks.visibility[here], tracks.confidence[here]
                    )
        return ids

    def correct(self, point: int, frame: int, xy: Sequence[float]) -> None:
        """Set where a point is on a frame.

        Args:
            point: its id.
            frame: number of the frame.
            xy: (x, y) in pixels of the video.

        Raises:
            ValueError: the point is unknown, the video does not have the frame, or `xy` lies outside the image. The
                session is then unchanged.
        """
        one = self._point(point)
        frame = checked_frame(frame, self.video)
        place = torch.as_tensor(xy, dtype=torch.float32)
        if place.shape != (2,) or not bool(inside_image(place, self.video.wh)):
            raise ValueError(
                f"correction: expected (x, y) inside the {self.video.wh[0]} x {self.video.wh[1]} image, got {xy!r}"
            )
        fix = Fix(frame, (float(place[0]), float(place[1])), next(self._serial))
        self._do(tuple(other.with_fix(fix) if other is one else other for other in self._history.state))

    def forget(self, point: int, frame: int) -> None:
        """Remove a point's fix on a frame. Removing its last fix removes the point.

        Raises ValueError if the point has no fix on that frame.
        """
        one = self._point(point)
        rest = tuple(fix for fix in one.fixes if fix.frame != frame)
        if len(rest) == len(one.fixes):
            raise ValueError(f"forget: expected a frame of {self.points[point]}, got {frame}")
        kept = [replace(other, fixes=rest) if other is one else other for other in self._history.state]
        self._do(tuple(other for other in kept if other.fixes))

    def remove(self, points: Iterable[int]) -> None:
        """Remove points and all their fixes. Raises ValueError for an unknown point."""
        gone = {self._point(point).id for point in points}
        self._do(tuple(point for point in self._history.state if point.id not in gone))

    def undo(self) -> bool:
        """Undo the last action and restore the tracks from before it; False if there is none."""
        return self._history.undo()

    def redo(self) -> bool:
        """Redo the action undone last; False if there is none."""
        return self._history.redo()

    def propagate(
        self,
        start: int = 0,
        stop: int | None = None,
        *,
        direction: Direction = "both",
        progress: Callable[[range], None] | bool | None = None,
    ) -> None:
        """Follow points from their fixes. Only frames that are not known yet are tracked.

        Args:
            start, stop: follow the points on frames start..stop-1; by default on all.
            direction: "forward" follows points only from a fix before these frames, "backward" only from one after them.
                Frames between two fixes of a point always follow from both.
            progress: called with the frames whose tracks are new since the last call. An exception that it raises
                stops the work; what is tracked so far is kept, and the next call continues there. True shows a bar.

        Raises:
            ValueError: the video does not have these frames.
        """
        frames = checked_range(start, stop, self.video)
        with progress_of(progress, None, "following", count=len) as step:
            for walk in self._wanted_walks(frames, direction):
                if walk.done == len(walk.frames):  # stopped between its last frame and this
                    self._settle(walk)
                while walk.done < wanted_of(walk, frames):
                    new = walk.advance(self.tracker, self.video)
                    if walk.done == len(walk.frames):
                        self._settle(walk)
                        # All change when both walks are joined.
                        new = walk.frames if walk.spans[0].two_ended else new
                    if step is not None:
                        step(new)

    def tracks(self) -> Tracks:
        """All points on all frames. Tracks whatever is not known yet.

        The queries of these tracks are the points' first fixes.
        """
        self.propagate()
        return self.known()

    def known(self, start: int = 0, stop: int | None = None) -> Tracks:
        """All points on frames start..stop-1 as far as they are known, NaN elsewhere. Tracks nothing."""
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
        """The frames where a correction would help most: the point is in view, its confidence low. No two side by side."""
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
        """Write all fixes, their history and the tracks to one .npz file: all of now, and those nearest to undo and redo."""
        parts = parts_to_save(self._history, self._parts, len(self.video))
        content = TrackSessionContent(
            self._history, parts, [walk for walk in self._walks if walk.known], self._names
        )
        return write_track_session(path, self.video, content)

    def load(self, path: str | Path) -> None:
        """Replace this session with a saved one of the same video.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file holds no such session, or one of another video. The session is then unchanged.
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
        """Enter a new state. Drops the undone states, and the parts that no state can reach any more."""
        drops = self._history.now + 1 < len(self._history.states)
        self._history.do(state)
        if not drops:
            return
        reachable = {span for point in _distinct(self._history) for span in spans_of(point, len(self.video))}
        self._parts = {span: part for span, part in self._parts.items() if span in reachable}
        # A walk continues for all of its spans, so spans that are no longer wanted stay with the others.
        self._walks = [walk for walk in self._walks if not reachable.isdisjoint(walk.spans)]

    def _known_parts(self, span: Span) -> Iterator[tuple[range, Part]]:
        """The known pieces of a span with the frames that each covers. A later piece takes precedence over an earlier one."""
        if span in self._parts:
            yield span.frames, self._parts[span]
            return
        for walk in self._walks:
            if span in walk and walk.known:
                part = walk.part(span)
                if walk.forward:
                    yield walk.frames[: walk.known], part
                else:
                    yield walk.frames[: walk.known][::-1], reversed_part(part)

    def _wanted_walks(self, frames: range, direction: Direction) -> list[PointWalk]:
        """The walks to continue or begin so that points become known on these frames; begun ones first."""
        fixes = {fix.serial: fix for point in self._history.state for fix in point.fixes}
        wanted: list[PointWalk] = []
        fresh: dict[tuple[range, int], list[tuple[Span, Fix]]] = {}
        for point in self._history.state:
            for span in spans_of(point, len(self.video)):
                if span in self._parts or not range(
                    max(span.frames.start, frames.start), min(span.frames.stop, frames.stop)
                ):
                    continue
                for serial, order in ((span.left, span.frames), (span.right, span.frames[::-1])):
                    way = "forward" if order.step > 0 else "backward"
                    if serial is None or (direction not in ("both", way) and not span.two_ended):
                        continue
                    walk = next((w for w in self._walks if w.frames == order and span in w), None)
                    if walk is None:
                        group = 0 if span.two_ended else fixes[serial].group
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
        """Store the result of a finished walk; a span between two fixes also needs the walk from its other end."""
        for span in walk.spans:
            part = walk.part(span) if walk.forward else reversed_part(walk.part(span))
            if not span.two_ended:
                self._parts[span] = part
                continue
            other = next((w for w in self._walks if span in w and w.forward != walk.forward), None)
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
    """The points of all states, each once. States share points that did not change."""
    return {id(point): point for state in history.states for point in state}.values()


def wanted_of(walk: PointWalk, frames: range) -> int:
    """Number of frames that a walk needs to cover its part of a range; between two fixes it needs all of its own."""
    order = walk.frames
    if walk.spans[0].two_ended:
        return len(order)
    last = frames.stop - 1 if order.step > 0 else frames.start
    return min(max((last - order.start) * order.step + 1, 0), len(order))
