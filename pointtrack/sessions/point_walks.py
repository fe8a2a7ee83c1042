"""Follows points from a frame on which they are known, piece by piece, so that a caller can stop at any time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from pointtrack.models.point_tracker import PointTracker
from pointtrack.tracking.looks import window_stream
from pointtrack.tracking.steady import steadied
from pointtrack.tracking.support import RequestedStream, named_apart, with_support
from pointtrack.types import Queries, Tracks, Video

Rows = tuple[Tensor, Tensor, Tensor]
SUPPORT_GRID = 5  # side of the grid of support points for every group of points


@dataclass(frozen=True)
class Span:
    """Frames between two consecutive fixes of a point, or beyond its first or last one.

    Attributes:
        point: id of the point.
        left, right: serials of the fixes at the ends; None if there is none.
        frames: the frames, without those of the fixes.
    """

    point: int
    left: int | None
    right: int | None
    frames: range

    @property
    def two_ended(self) -> bool:
        """Whether it lies between two fixes."""
        return self.left is not None and self.right is not None


@dataclass(frozen=True, eq=False)
class Part:
    """The track on the frames of a span: xy (t, 2), visibility and confidence (t,)."""

    xy: Tensor
    visibility: Tensor
    confidence: Tensor


def walk_points(
    tracker: PointTracker, video: Video, order: range, xy: Tensor, *, together: bool
) -> Iterator[Tracks]:
    """Track points along frames; rows come as they become final, in the order of the walk.

    Args:
        tracker: from `load_tracker`.
        video: the frames.
        order: numbers of the frames, step 1 or -1; the points are known on the first of them.
        xy: (n, 2) their positions there.
        together: track them as one group, which is faster; otherwise each on its own: no track depends on others.
    """
    stream = steadied(RequestedStream(window_stream(tracker, Queries.none(), video.wh, video.fps)))
    ids = torch.arange(len(xy))
    groups = [ids] if together else list(ids[:, None])
    queries = [Queries(torch.zeros(len(group)), xy[group], group) for group in groups]
    helped = [with_support(tracker, points, video.wh, SUPPORT_GRID) for points in queries]
    for group in named_apart(helped):
        stream.add(group)
    step = tracker.config.window.step
    for start in range(0, len(order), step):
        piece = order[start : start + step]
        frames = video.frames[_as_slice(piece)]
        yield stream.push(frames)
    yield stream.finish()


@dataclass(eq=False)
class PointWalk:
    """A walk along the frames of some spans, which can continue later.

    Attributes:
        spans: all on the same frames.
        xy: (n, 2) positions of their points on the frame before the first one of the walk.
        frames: in the order of the walk, step 1 or -1.
        together: see `walk_points`.
        rows: the tracks so far: xy (t, n, 2), visibility and confidence (t, n).
        steps: the walk itself; None before it begins. None after it was read from a file, and then it starts over.
        before: the tracks that were known when it started over, which stay until as many are found anew.
    """

    spans: tuple[Span, ...]
    xy: Tensor
    frames: range
    together: bool
    rows: list[Rows] = field(default_factory=list)
    steps: Iterator[Tracks] | None = None
    before: list[Rows] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._columns = {span: column for column, span in enumerate(self.spans)}

    def __contains__(self, span: Span) -> bool:
        """Whether it covers a span. There may be thousands, so this does not search `spans`."""
        return span in self._columns

    def __getstate__(self) -> dict[str, Any]:
        """The content to copy or pickle, without a walk under way, which starts over in the copy."""
        return {**vars(self), "steps": None}

    @property
    def forward(self) -> bool:
        """Whether it goes forward in time."""
        return self.frames.step > 0

    @property
    def done(self) -> int:
        """Number of frames found."""
        return _count(self.rows)

    @property
    def known(self) -> int:
        """Number of frames on which its tracks are known: more than are found, while it starts over."""
        return max(_count(self.rows), _count(self.before))

    def advance(self, tracker: PointTracker, video: Video) -> range:
        """Track one more piece; returns the new frames (none while the tracker still looks ahead)."""
        if self.steps is None:
            self._start_over()
            order = range(self.frames.start - self.frames.step, self.frames.stop, self.frames.step)
            self.steps = walk_points(tracker, video, order, self.xy, together=self.together)
            self._skip = 1  # the frame on which they are known
        before = self.done
        try:
            found = next(self.steps)
            skip = min(self._skip, len(found))
            self._skip -= skip
            if len(found) > skip:
                self.rows.append((found.xy[skip:], found.visibility[skip:], found.confidence[skip:]))
        except BaseException:  # an interrupted walk cannot continue; it starts over next time
            self.steps = None
            self._start_over()
            raise
        return self.frames[before : self.done]

    def part(self, span: Span) -> Part:
        """The known part of a span: its first `known` frames, in the order of the walk."""
        column = self._columns[span]
        rows = self.rows if _count(self.rows) >= _count(self.before) else self.before
        if not rows:
            return Part(torch.zeros(0, 2), torch.zeros(0), torch.zeros(0))
        if len(rows) > 1:  # so that this need not be done again
            xy, visibility, confidence = (torch.cat(values) for values in zip(*rows, strict=True))
            rows[:] = [(xy, visibility, confidence)]
        xy, visibility, confidence = rows[0]
        return Part(xy[:, column], visibility[:, column], confidence[:, column])

    def _start_over(self) -> None:
        self.before, self.rows = max(self.before, self.rows, key=_count), []


def reversed_part(part: Part) -> Part:
    """The part from its last frame to its first."""
    return Part(part.xy.flip(0), part.visibility.flip(0), part.confidence.flip(0))


def join(ahead: Part, back: Part) -> Part:
    """Join two tracks of the same frames, one from either end, into one.

    Each weighs more near the end it comes from, and where its confidence is higher. At an end the other one weighs almost
    nothing, so the track does not jump there.
    """
    count = len(ahead.xy)
    place = torch.arange(count, 0, -1) / (count + 1)  # 1 at the left fix, 0 at the right one
    near = place.square() * (3 - 2 * place)  # flat at both ends, so that the change comes in the middle
    left, right = near * (ahead.confidence + 0.01), (1 - near) * (back.confidence + 0.01)
    share = left / (left + right)
    return Part(
        share[:, None] * ahead.xy + (1 - share[:, None]) * back.xy,
        share * ahead.visibility + (1 - share) * back.visibility,
        share * ahead.confidence + (1 - share) * back.confidence,
    )


def _count(rows: list[Rows]) -> int:
    return sum(len(visibility) for _, visibility, _ in rows)


def _as_slice(frames: range) -> slice:
    """The same frames as a slice; one that goes down to 0 needs None as its stop."""
    return slice(frames.start, None if frames.stop < 0 else frames.stop, frames.step)
