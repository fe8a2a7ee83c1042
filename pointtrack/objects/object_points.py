"""The points of objects, frame by frame along a walk: tracked beforehand, or seeded and tracked as the walk goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pointtrack.geometry import grid_points
from pointtrack.models.point_tracker import PointTracker
from pointtrack.objects.memory_only import KEY_STRIDE
from pointtrack.tracking.window_stream import WindowStream
from pointtrack.types import VISIBLE, Queries, Tracks, Video

# The owner of points that are tracked only to tell the tracker how the scene moves.
HELPER = torch.iinfo(torch.int64).min
SUPPORT_GRID = 5
# The most groups of points of one object that are tracked at a time.
MOST_GROUPS = 4


@dataclass(frozen=True)
class PointRules:
    """Which points count on a frame: those with more than this visibility and confidence, inside the frame."""

    visible: float = VISIBLE
    confident: float = 0.25

    def usable(self, tracks: Tracks) -> Tensor:
        """(t, n) bool."""
        return (tracks.visibility > self.visible) & (tracks.confidence > self.confident) & tracks.in_frame()


@dataclass(frozen=True, eq=False)
class FramePoints:
    """Points on one frame.

    Attributes:
        ids: (n,) int64 names, for as long as the feed lives.
        xy: (n, 2) pixels.
        owner: (n,) int64: o for a point of object o, -o for one of what lies around object o, 0 for one that is on
            no object.
    """

    ids: Tensor
    xy: Tensor
    owner: Tensor

    def of(self, number: int) -> Tensor:
        """(n,) bool: on this object."""
        return self.owner == number

    def beside(self, number: int, rivals: bool) -> Tensor:
        """(n,) bool: around this object, on none, or with `rivals` on another. What lies around another may be this one."""
        other = (self.owner > 0) & (self.owner != number)
        return (self.owner == -number) | (self.owner == 0) | (other & rivals)


class ObjectPoints:
    """Points along the frames of a walk, asked for frame by frame.

    Args:
        video: the frames.
        order: numbers of the frames in the order in which they are walked.
        rules: which points count.
        tracker: tracks points that are seeded on the way; without one none can be.
        tracks, owner: points that are known already on all frames of the video, and whose they are (n,).
    """

    def __init__(
        self,
        video: Video,
        order: range,
        rules: PointRules,
        tracker: PointTracker | None = None,
        tracks: Tracks | None = None,
        owner: Tensor | None = None,
    ):
        self.video, self.order, self.rules, self.tracker = video, order, rules, tracker
        # The feed's own ids: those of its points, in order.
        self._fixed = tracks and replace(tracks, queries=Queries(tracks.queries.frame, tracks.queries.xy))
        # Whose point every id is; ids count from the fixed points on.
        self._owner = torch.zeros(0, dtype=torch.int64) if owner is None else owner.long()
        self._dropped = torch.zeros(len(self._owner), dtype=torch.bool)
        self._stream: WindowStream | None = None
        self._seeing: WindowStream | None = None  # the newest stream, also after its last frame
        self._origin = 0  # position in `order` of the stream's first frame
        self._known = 0  # position up to which the stream has returned its points
        self._rows: dict[int, list[Tracks]] = {}  # position in `order` -> what streams returned for it
        self._groups: list[tuple[int, range]] = []  # per call of `seed` the object, and the ids of its points

    def on(self, frame: int) -> FramePoints:
        """The points that count on a frame, which must not lie before the last one asked for."""
        position = self.order.index(frame)
        self._advance(position)
        self._rows = {row: parts for row, parts in self._rows.items() if row >= position}
        parts = [] if self._fixed is None else [self._fixed.clip(frame, frame + 1)]
        ids, places = [torch.zeros(0, dtype=torch.int64)], [torch.zeros(0, 2)]
        for part in [*parts, *self._rows.get(position, ())]:
            usable = self.rules.usable(part)[0] & ~self._dropped[part.ids]
            ids.append(part.ids[usable])
            places.append(part.xy[0, usable])
        names, xy = torch.cat(ids), torch.cat(places)
        kept = self._owner[names] != HELPER
        return FramePoints(names[kept], xy[kept], self._owner[names[kept]])

    def features(self, frame: int) -> Tensor | None:
        """(c, h, w) what the tracker saw of a frame, as keys of a memory; None where it has not looked at it lately."""
        if self._seeing is None or frame not in self.order:
            return None
        position = self.order.index(frame)
        if not self._origin + self._seeing.earliest_frame <= position < self._known:
            return None
        level = self._seeing.network.appearance_level(KEY_STRIDE)
        return self._seeing.features(position - self._origin, level)

    def seed(self, frame: int, points: Mapping[int, Tensor]) -> None:
        """Track new points of one object from a frame on: owner -> (k, 2) pixels.

        They go as a group of their own: the points that are there do not notice, so that one object's tracks do not
        depend on another's. Of the groups of an object the first and the newest few are tracked on.
        """
        assert self.tracker is not None
        xy = torch.cat(list(points.values()))
        owner = torch.cat([torch.full((len(x),), number) for number, x in points.items()])
        helpers = grid_points(SUPPORT_GRID, self.video.wh)
        helpers = helpers if self.tracker.uses_support else helpers[:0]
        first, position = len(self._owner), self.order.index(frame)
        self._owner = torch.cat([self._owner, owner, torch.full((len(helpers),), HELPER)])
        self._dropped = torch.cat([self._dropped, torch.zeros(len(xy) + len(helpers), dtype=torch.bool)])
        if self._stream is None or not len(self._stream.queries):
            # A stream in which nobody is left was not pushed on; nor is one that has finished kept.
            nobody = Queries(torch.zeros(0), torch.zeros(0, 2))
            self._stream = self._seeing = WindowStream(self.tracker, nobody, self.video.wh, self.video.fps)
            self._origin = self._known = position
        since = torch.full((len(self._owner) - first,), position - self._origin)
        queries = Queries(since, torch.cat([xy, helpers]), torch.arange(first, len(self._owner)))
        self._take(self._stream.add(queries))
        number = abs(next(iter(points)))
        self._groups.append((number, range(first, len(self._owner))))
        mine = [ids for one, ids in self._groups if one == number]
        if len(mine) > MOST_GROUPS:
            # Not the first ones: those were seeded on the mask that a person gave.
            self.drop(torch.tensor(mine[1]))

    def drop(self, ids: Tensor) -> None:
        """These points count no more."""
        self._dropped[ids] = True
        left = []
        for number, group in self._groups:
            own = self._owner[group.start : group.stop] != HELPER
            if bool((own & ~self._dropped[group.start : group.stop]).any()):
                left.append((number, group))
            else:  # helpers alone are of no use
                self._dropped[group.start : group.stop] = True
        self._groups = left
        if self._stream is None:
            return
        here = self._stream.queries.ids
        self._stream.remove(here[self._dropped[here]])
        if not len(self._stream.queries):
            self._stream = None

    def forget(self) -> None:
        """A cut: all seeded points end here."""
        self._stream, self._seeing, self._rows, self._groups = None, None, {}, []

    def _advance(self, position: int) -> None:
        """Push frames until the streamed points are final at this position of the order."""
        while self._stream is not None and self._known <= position:
            ahead = self._origin + self._stream.frames_pushed
            # In pieces of a fixed size: what is found for a frame must not depend on who asks for more.
            piece = self.order[ahead : ahead + self._stream.network.config.window.step]
            if len(piece):
                rows = self._stream.push(self.video.frames[_slice(piece)])
            else:
                rows, self._stream = self._stream.finish(), None
            self._known += len(rows)
            self._take(rows)

    def _take(self, rows: Tracks) -> None:
        for i in range(len(rows)):
            self._rows.setdefault(self._origin + rows.first_frame + i, []).append(rows.clip(i, i + 1))


def _slice(frames: range) -> slice:
    """The same frames as a slice; a range that goes down to 0 has no whole number to stop at."""
    return slice(frames.start, None if frames.stop < 0 else frames.stop, frames.step)
