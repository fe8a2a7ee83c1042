"""A person's fixes of points, and which frames follow from them. Pure: no models, no pixels of the video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pointtrack.sessions.point_walks import Span


@dataclass(frozen=True)
class Fix:
    """A position that a person set for a point; its track passes through it.

    Attributes:
        frame: number of the frame.
        xy: (x, y) in pixels.
        serial: unique among the fixes of the session.
        group: number of the call that added the point together with others; 0 for a correction, from which a point
            is tracked alone.
    """

    frame: int
    xy: tuple[float, float]
    serial: int
    group: int = 0


@dataclass(frozen=True)
class FixedPoint:
    """A point and its fixes in the order of their frames."""

    id: int
    fixes: tuple[Fix, ...]

    def with_fix(self, fix: Fix) -> FixedPoint:
        """The same point with this fix, which replaces one on the same frame."""
        others = [one for one in self.fixes if one.frame != fix.frame]
        return replace(self, fixes=tuple(sorted([*others, fix], key=lambda one: one.frame)))


def spans_of(point: FixedPoint, length: int) -> list[Span]:
    """All spans of a point in a video of `length` frames; together they hold every frame without a fix once."""
    spans = []
    ends: Sequence[Fix | None] = [None, *point.fixes, None]
    for left, right in zip(ends[:-1], ends[1:], strict=True):
        frames = range(left.frame + 1 if left else 0, right.frame if right else length)
        if len(frames):
            spans.append(
                Span(point.id, left.serial if left else None, right.serial if right else None, frames)
            )
    return spans
