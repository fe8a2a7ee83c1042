"""A person and tracks: points are added, corrected where they go wrong, and corrections stick."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pointtrack.geometry import grid_points, inside_image
from pointtrack.models.point_tracker import PointTracker
from pointtrack.sessions.files import read_session_npz, write_session_npz
from pointtrack.sessions.history import History
from pointtrack.tracking.window_stream import StreamTracker, track
from pointtrack.types import Queries, Tracks, Video

SUPPORT_GRID = 5  # side of the grid of helper points that goes with every point
FORMAT = "pointtrack track session 1"
# Who says where a point is on a frame.
NOBODY, MODEL, PERSON = 0, 1, 2


@dataclass(frozen=True)
class Fix:
    """Where a person saw a point: it passes through there.

    Attributes:
        frame: number of the frame.
        xy: (x, y) in pixels.
        serial: distinct from that of every other fix of the session.
    """

    frame: int
    xy: tuple[float, float]
    serial: int


@dataclass(frozen=True)
class FixedPoint:
    """A point and its fixes in the order of their frames."""

    id: int
    fixes: tuple[Fix, ...]

    def with_fix(self, fix: Fix) -> FixedPoint:
        """The same with this fix, in place of the one on its frame if there is one."""
        others = [one for one in self.fixes if one.frame != fix.frame]
        return replace(self, fixes=tuple(sorted([*others, fix], key=lambda one: one.frame)))


@dataclass(frozen=True)
class Span:
    """Frames between two fixes of a point that follow each other, or beyond its first or last one.

    Attributes:
        point: id of the point.
        left, right: serials of the fixes at the ends; None where there is none.
        frames: without those of the fixes.
    """

    point: int
    left: int | None
    right: int | None
    frames: range


@dataclass(frozen=True, eq=False)
class Part:
    """What was found on the frames of a span: xy (t, 2), visibility and confidence (t,)."""

    xy: Tensor
    visibility: Tensor
    confidence: Tensor


class TrackSession:
    """Points in a video: add them, look at their tracks, correct them.

    A correction is hard: the track passes through it. Only the frames up to the neighbouring fixes of that point are
    tracked again, from both sides, and joined without a jump; all other frames, and all other points, stay exactly as
    they were.

    Args:
        video: the frames.
        tracker: from `load_tracker`.

    >>> import pointtrack as pt
    >>> session = pt.TrackSession(pt.Video(np.zeros((5, 48, 64, 3), np.uint8)), pt.load_tracker())
    >>> (point,) = session.add(pt.Queries([0], [[20.0, 20.0]])).tolist()
    >>> session.correct(point, frame=3, xy=(25, 22))
    >>> session.tracks().xy[3, 0].tolist()
    [25.0, 22.0]
    """

    def __init__(self, video: Video, tracker: PointTracker):
        self.video, self.tracker = video, tracker
        self._history: History[tuple[FixedPoint, ...]] = History([()])
        self._serial = itertools.count(1)
        self._parts: dict[Span, Part] = {}

    @property
    def points(self) -> dict[int, list[int]]:
        """Id of every point -> frames on which a person said where it is."""
        return {point.id: [fix.frame for fix in point.fixes] for point in self._history.state}

    def add(self, queries: Queries) -> Tensor:
        """Track more points; those of one call are tracked together.

        Args:
            queries: the points. Their ids are not used.

        Returns:
            (n,) int64 ids of the points, which were never used before.

        Raises:
            ValueError: a query after the last frame or outside the image. Then nothing has changed.
        """
        queries.check_inside(len(self.video), self.video.wh)
        used = [point.id for state in self._history.states for point in state]
        first = 1 + max(used, default=-1)
        points = tuple(
            FixedPoint(first + i, (Fix(frame, (x, y), next(self._serial)),))
            for i, (frame, (x, y)) in enumerate(zip(queries.frame.tolist(), queries.xy.tolist(), strict=True))
        )
        found = track(self.tracker, self.video, queries)
        for i, point in enumerate(points):
            for span in spans_of(point, len(self.video)):
                rows = slice(span.frames.start, span.frames.stop)
                self._parts[span] = Part(
                    found.xy[rows, i], found.visibility[rows, i], found.confidence[rows, i]
                )
        self._do((*self._history.state, *points))
        return torch.tensor([point.id for point in points], dtype=torch.int64)

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

    def undo(self) -> bool:
        """Take the last action back; False if there is none. What was tracked before it counts again."""
        return self._history.undo()

    def redo(self) -> bool:
        """Do again what was undone; False if there is nothing."""
        return self._history.redo()

    def tracks(self) -> Tracks:
        """All points on all frames; tracks what is not known yet.

        The queries of the tracks are the first fixes of the points.
        """
        frames, points = len(self.video), self._history.state
        xy = torch.full((frames, len(points), 2), torch.nan)
        visibility, confidence = torch.zeros(frames, len(points)), torch.zeros(frames, len(points))
        self._track_missing()
        for column, point in enumerate(points):
            for span in spans_of(point, frames):
                rows, part = slice(span.frames.start, span.frames.stop), self._parts[span]
                xy[rows, column] = part.xy
                visibility[rows, column], confidence[rows, column] = part.visibility, part.confidence
            for fix in point.fixes:
                xy[fix.frame, column] = torch.tensor(fix.xy)
                visibility[fix.frame, column] = confidence[fix.frame, column] = 1.0
        queries = Queries(
            torch.tensor([point.fixes[0].frame for point in points], dtype=torch.int64),
            torch.tensor([point.fixes[0].xy for point in points]).reshape(-1, 2),
            torch.tensor([point.id for point in points], dtype=torch.int64),
        )
        return Tracks(xy, visibility, confidence, queries, self.video.wh, fps=self.video.fps)

    def sources(self) -> Tensor:
        """(t, n) uint8, who says where each point is: 1 the model, 2 a person; 0 where it is not tracked."""
        tracks = self.tracks()
        sources = tracks.tracked().to(torch.uint8) * MODEL
        for column, point in enumerate(self._history.state):
            sources[[fix.frame for fix in point.fixes], column] = PERSON
        return sources

    def save(self, path: str | Path) -> Path:
        """Write all that was said, its history and what was tracked to one .npz file (without the video)."""
        self.tracks()
        wanted = [span for point in self._history.state for span in spans_of(point, len(self.video))]
        parts = [self._parts[span] for span in wanted]
        told = {
            "format": FORMAT,
            "video": self.video.fingerprint(),
            "now": self._history.now,
            "states": [
                [{"id": p.id, "fixes": [[f.frame, *f.xy, f.serial] for f in p.fixes]} for p in state]
                for state in self._history.states
            ],
            "spans": [[s.point, s.left, s.right, s.frames.start, s.frames.stop] for s in wanted],
        }
        arrays = {
            "xy": torch.cat([torch.zeros(0, 2), *(part.xy for part in parts)]).numpy(),
            "visibility": torch.cat([torch.zeros(0), *(part.visibility for part in parts)]).numpy(),
            "confidence": torch.cat([torch.zeros(0), *(part.confidence for part in parts)]).numpy(),
        }
        return write_session_npz(path, told, arrays)

    def load(self, path: str | Path) -> None:
        """Go on with a saved session of the same video, in the place of this one.

        Raises:
            FileNotFoundError: no such file.
            ValueError: a file that is no such session, or one of another video. Then nothing has changed.
        """
        names = ("xy", "visibility", "confidence")
        told, arrays = read_session_npz(
            path, "a track session", names, format=FORMAT, video=self.video.fingerprint()
        )
        columns = [torch.from_numpy(array) for array in arrays.values()]
        states = [
            tuple(
                FixedPoint(p["id"], tuple(Fix(f, (x, y), serial) for f, x, y, serial in p["fixes"]))
                for p in state
            )
            for state in told["states"]
        ]
        spans = [Span(point, left, right, range(a, b)) for point, left, right, a, b in told["spans"]]
        lengths = [len(span.frames) for span in spans]
        pieces = [column.split(lengths) if lengths else () for column in columns]
        self._parts = {span: Part(*rows) for span, *rows in zip(spans, *pieces, strict=True)}
        self._history = History(states, told["now"])
        serials = [fix.serial for state in states for point in state for fix in point.fixes]
        self._serial = itertools.count(1 + max(serials, default=0))

    def _do(self, state: tuple[FixedPoint, ...]) -> None:
        """A new state; parts that no state can reach any more are dropped."""
        self._history.do(state)
        length = len(self.video)
        points = {point for known in self._history.states for point in known}
        reachable = {span for point in points for span in spans_of(point, length)}
        self._parts = {span: part for span, part in self._parts.items() if span in reachable}

    def _track_missing(self) -> None:
        """Track all spans that are not known yet, those on the same frames together."""
        fixes = {fix.serial: fix for point in self._history.state for fix in point.fixes}
        groups: dict[range, list[Span]] = {}
        for point in self._history.state:
            for span in spans_of(point, len(self.video)):
                if span not in self._parts:
                    groups.setdefault(span.frames, []).append(span)
        for frames, spans in groups.items():
            ahead = self._from({span: fixes[span.left] for span in spans if span.left is not None}, frames)
            back = self._from(
                {span: fixes[span.right] for span in spans if span.right is not None}, frames[::-1]
            )
            for span in spans:
                if span in ahead and span in back:
                    self._parts[span] = join(ahead[span], _reversed(back[span]))
                else:
                    self._parts[span] = ahead[span] if span in ahead else _reversed(back[span])

    def _from(self, starts: dict[Span, Fix], frames: range) -> dict[Span, Part]:
        """Track points from fixes on one frame along the frames next to it, in their order."""
        if not starts:
            return {}
        places = torch.tensor([fix.xy for fix in starts.values()])
        order = np.array([frames.start - frames.step, *frames])
        piece = Video(self.video.frames[order], self.video.fps)
        found = track_apart(self.tracker, piece, places)
        return {
            span: Part(found.xy[1:, i], found.visibility[1:, i], found.confidence[1:, i])
            for i, span in enumerate(starts)
        }

    def _point(self, point: int) -> FixedPoint:
        for one in self._history.state:
            if one.id == point:
                return one
        raise ValueError(f"point: expected one of {list(self.points)[:20]}, got {point!r}")


def track_apart(tracker: PointTracker, video: Video, xy: Tensor) -> Tracks:
    """Track points (n, 2) from the first frame on, each as if it were alone: no one's track depends on the others."""
    stream = StreamTracker(tracker, Queries(torch.zeros(0), torch.zeros(0, 2)), video.wh, video.fps)
    helpers = grid_points(SUPPORT_GRID, video.wh)
    group = 1 + len(helpers)
    for i, place in enumerate(xy):
        requested = torch.cat([place[None], helpers])
        stream.add(Queries(torch.zeros(group), requested, group * i + torch.arange(group)))
    rows = [stream.push(piece) for piece in video.split(tracker.config.window.step)]
    tracks = Tracks.concat([*rows, stream.finish()])
    return tracks.select(torch.arange(len(xy)) * group)


def spans_of(point: FixedPoint, length: int) -> list[Span]:
    """All spans of a point in a video of so many frames; together they hold every frame without a fix once."""
    spans = []
    ends: Sequence[Fix | None] = [None, *point.fixes, None]
    for left, right in zip(ends[:-1], ends[1:], strict=True):
        frames = range(left.frame + 1 if left else 0, right.frame if right else length)
        if len(frames):
            spans.append(
                Span(point.id, left.serial if left else None, right.serial if right else None, frames)
            )
    return spans


def join(ahead: Part, back: Part) -> Part:
    """Two tracks of the same frames, one from either end, as one.

    Each counts more the nearer its end is, and the surer it is; next to an end the other one counts next to nothing, so
    the track does not jump there.
    """
    count = len(ahead.xy)
    place = torch.arange(count, 0, -1) / (count + 1)  # 1 at the left fix, 0 at the right one
    near = place.square() * (3 - 2 * place)  # and level there, so that the change comes in the middle
    left, right = near * (ahead.confidence + 0.01), (1 - near) * (back.confidence + 0.01)
    share = left / (left + right)
    return Part(
        share[:, None] * ahead.xy + (1 - share[:, None]) * back.xy,
        share * ahead.visibility + (1 - share) * back.visibility,
        share * ahead.confidence + (1 - share) * back.confidence,
    )


def _reversed(part: Part) -> Part:
    return Part(part.xy.flip(0), part.visibility.flip(0), part.confidence.flip(0))
