"""The points of objects, frame by frame along a walk: tracked beforehand, or seeded and tracked during the walk."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from pointtrack.geometry import grid_points
from pointtrack.models.object_keys import KEY_STRIDE
from pointtrack.models.point_tracker import PointTracker
from pointtrack.objects.frame_buffer import FrameBuffer
from pointtrack.tracking.looks import window_stream
from pointtrack.tracking.stream import PointStream, restored, saved
from pointtrack.types import VISIBLE, Queries, Tracks

# The owner of support points, which only show the tracker how the scene moves.
HELPER = torch.iinfo(torch.int64).min
SUPPORT_GRID = 5
# Largest number of groups of points of one object that are tracked at a time.
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
        ids: (n,) int64 ids, which mean something only to the `ObjectPoints` that gave them.
        xy: (n, 2) pixels.
        owner: (n,) int64: o for a point of object o, -o for one around object o, 0 for one on no object.
    """

    ids: Tensor
    xy: Tensor
    owner: Tensor

    @classmethod
    def none(cls) -> FramePoints:
        """No points."""
        return cls(torch.zeros(0, dtype=torch.int64), torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64))

    def of(self, number: int) -> Tensor:
        """(n,) bool: on this object."""
        return self.owner == number

    def beside(self, number: int, rivals: bool) -> Tensor:
        """(n,) bool: around this object, on none, or with `rivals` on another; points around another may be on this."""
        other = (self.owner > 0) & (self.owner != number)
        return (self.owner == -number) | (self.owner == 0) | (other & rivals)


class ObjectPoints:
    """Points along the frames of a walk, read frame by frame.

    Memory does not grow with the walk: it holds the points that count, and one window of frames and features.

    Args:
        frames: frames of the walk; frame numbers here are places in it.
        rules: which points count.
        tracker: tracks points seeded during the walk; without it none can be seeded.
        tracks, owner: points tracked beforehand, with one row per frame of the walk, and the object of each (n,).
    """

    def __init__(
        self,
        frames: FrameBuffer,
        rules: PointRules,
        tracker: PointTracker | None = None,
        tracks: Tracks | None = None,
        owner: Tensor | None = None,
    ):
        # The surroundings of an object move differently, so an unmatched point must not follow its neighbours.
        self.frames, self.rules, self.tracker = frames, rules, tracker and tracker.unled()
        # The points get ids in order here, whatever ids the tracks have.
        self._fixed = tracks and replace(tracks, queries=Queries(tracks.queries.frame, tracks.queries.xy))
        # Owners and ids of the points that count, in the order of the ids; the fixed points have the first ids.
        self._owner = torch.zeros(0, dtype=torch.int64) if owner is None else owner.long()
        self._ids = torch.arange(len(self._owner))
        self._next_id = self._first_seeded = len(self._owner)
        self._stream: PointStream | None = None
        self._seeing: PointStream | None = None  # the newest stream, even after its last frame
        self._origin = 0  # place of the stream's first frame
        self._known = 0  # place up to which the stream has returned rows
        self._rows: dict[int, list[Tracks]] = {}  # place -> what streams returned for it
        self._groups: list[tuple[int, range]] = []  # per `seed`: the object, the ids of its points

    @property
    def next_frame(self) -> float:
        """The place of the frame that is tracked next; infinity if nothing is tracked."""
        return math.inf if self._stream is None else self._origin + self._stream.frames_pushed

    def ready(self, place: int) -> bool:
        """Track as far as the buffer has frames, and return whether the points of this frame are known now."""
        while self._stream is not None and self._known <= place:
            # In pieces of a fixed size, so that a frame's result does not depend on how far a caller reads ahead.
            step, pushed = self._stream.network.config.window.step, self._stream.frames_pushed
            piece = self.frames.piece(self._origin + pushed, step - pushed % step)
            if len(piece) == step - pushed % step or (len(piece) and self.frames.ended):
                rows = self._stream.push(piece)
            elif self.frames.ended:
                rows, self._stream = self._stream.finish(), None
            else:
                return False
            self._known += len(rows)
            self._take(rows)
        return True

    def on(self, place: int) -> FramePoints:
        """The points that count on a frame; it must be `ready`, and not lie before the one of the previous call."""
        assert self.ready(place)
        self._rows = {row: parts for row, parts in self._rows.items() if row >= place}
        fixed = [] if self._fixed is None else [self._fixed.clip(place, place + 1)]
        return self._counting([*fixed, *self._rows.get(place, ())])

    def preview(self) -> FramePoints:
        """The points that count on the newest frame, by the tracker's preview."""
        if self._stream is None:
            return self._counting([])
        behind = self.frames.piece(self._origin + self._stream.frames_pushed, self.frames.stop)
        if len(behind):
            rows = self._stream.push(behind)
            self._known += len(rows)
            self._take(rows)
        return self._counting([self._stream.preview()])

    def features(self, place: int, *, final: bool = True) -> Tensor | None:
        """(c, h, w) the tracker's features of a frame, as keys of a memory; None if it no longer holds them.

        With `final`, only for frames whose points are known; otherwise for the newest one too, after its `preview`.
        """
        if self._seeing is None:
            return None
        stop = self._known if final else self._origin + self._seeing.frames_pushed
        if not self._origin + self._seeing.earliest_frame <= place < stop:
            return None
        level = self._seeing.network.appearance_level(KEY_STRIDE)
        return self._seeing.features(place - self._origin, level)

    def seed(self, place: int, points: Mapping[int, Tensor]) -> None:
        """Track new points of one object from a frame on: owner -> (k, 2) pixels.

        They form a group of their own and do not affect the other points, so that one object's tracks do not depend on
        another's. The first and the newest few groups of an object stay tracked.
        """
        assert self.tracker is not None
        xy = torch.cat(list(points.values()))
        owner = torch.cat([torch.full((len(x),), number) for number, x in points.items()])
        helpers = grid_points(SUPPORT_GRID, self.frames.wh)
        helpers = helpers if self.tracker.uses_support else helpers[:0]
        first, self._next_id = self._next_id, self._next_id + len(xy) + len(helpers)
        ids = torch.arange(first, self._next_id)
        self._ids = torch.cat([self._ids, ids])
        self._owner = torch.cat([self._owner, owner, torch.full((len(helpers),), HELPER)])
        if self._stream is None or not len(self._stream.queries):
            # A stream without points was not pushed further, and a finished one is not kept.
            wh, fps = self.frames.wh, self.frames.fps
            self._stream = self._seeing = window_stream(self.tracker, Queries.none(), wh, fps)
            self._origin = self._known = place
        since = torch.full((len(ids),), place - self._origin)
        self._take(self._stream.add(Queries(since, torch.cat([xy, helpers]), ids)))
        number = abs(next(iter(points)))
        self._groups.append((number, range(first, self._next_id)))
        mine = [ids for one, ids in self._groups if one == number]
        if len(mine) > MOST_GROUPS:
            # The first group stays, as it was seeded on the mask that a person gave.
            self.drop(torch.tensor(mine[1]))

    def drop(self, ids: Tensor) -> None:
        """Stop tracking these points."""
        self._keep(~torch.isin(self._ids, ids))
        left = []
        for number, group in self._groups:
            inside = (self._ids >= group.start) & (self._ids < group.stop)
            if bool((self._owner[inside] != HELPER).any()):
                left.append((number, group))
            else:  # support points alone are of no use
                self._keep(~inside)
        self._groups = left
        if self._stream is None:
            return
        here = self._stream.queries.ids
        self._stream.remove(here[~self.counting(here)])
        if not len(self._stream.queries):
            self._stream = None

    def drop_object(self, number: int) -> None:
        """Stop tracking all points on an object and around it."""
        self.drop(self._ids[self._owner.abs() == number])

    def forget(self) -> None:
        """Drop all seeded points, at a cut."""
        self._stream, self._seeing, self._rows, self._groups = None, None, {}, []
        self._keep(self._ids < self._first_seeded)

    def state_dict(self) -> dict[str, Any]:
        """The complete state of the seeded points, as tensors and plain values."""
        assert self._fixed is None, "tracks that were given are the caller's to keep"
        return {
            "owner": self._owner,
            "ids": self._ids,
            "next_id": self._next_id,
            # The stream whose features are read, and whether it still tracks points.
            "stream": self._seeing and saved(self._seeing),
            "tracks": self._stream is not None,
            "origin": self._origin,
            "known": self._known,
            "rows": {place: [asdict(rows) for rows in parts] for place, parts in self._rows.items()},
            "groups": [(number, ids.start, ids.stop) for number, ids in self._groups],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state`; this must be new and have the same tracker."""
        assert self.tracker is not None and not self._next_id
        self._owner, self._ids = state["owner"], state["ids"]
        self._next_id, self._origin, self._known = state["next_id"], state["origin"], state["known"]
        if state["stream"] is not None:
            self._seeing = restored(self.tracker, state["stream"])
            self._stream = self._seeing if state["tracks"] else None
        self._rows = {
            place: [Tracks.from_dict(rows) for rows in parts] for place, parts in state["rows"].items()
        }
        self._groups = [(number, range(start, stop)) for number, start, stop in state["groups"]]

    def counting(self, ids: Tensor) -> Tensor:
        """(n,) bool: which of these points still count."""
        return torch.isin(ids, self._ids)

    def _keep(self, kept: Tensor) -> None:
        self._ids, self._owner = self._ids[kept], self._owner[kept]

    def _counting(self, parts: list[Tracks]) -> FramePoints:
        """The points that count among the rows of one frame."""
        ids, places = [torch.zeros(0, dtype=torch.int64)], [torch.zeros(0, 2)]
        for part in parts:
            usable = self.rules.usable(part)[0] & self.counting(part.ids)
            ids.append(part.ids[usable])
            places.append(part.xy[0, usable])
        names, xy = torch.cat(ids), torch.cat(places)
        owner = self._owner[torch.searchsorted(self._ids, names)]
        kept = owner != HELPER
        return FramePoints(names[kept], xy[kept], owner[kept])

    def _take(self, rows: Tracks) -> None:
        for i in range(len(rows)):
            self._rows.setdefault(self._origin + rows.first_frame + i, []).append(rows.clip(i, i + 1))
