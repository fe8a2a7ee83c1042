"""Determines the states of a stream's points, frame by frame, from the frames' features; searches for lost points."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from pointtrack.geometry import inside_image, rescale_points
from pointtrack.models.point_tracker import PointTracker
from pointtrack.states.memory import PointMemory
from pointtrack.states.redetect import QueryMaps, Redetection, RedetectionRules, find_again
from pointtrack.states.rules import StateRules
from pointtrack.tracking.appearance import STRIDE, settle, similarity, unit_cells
from pointtrack.tracking.stream import PointStream
from pointtrack.tracking.window_stream import model_wh
from pointtrack.types import Queries, Tracks
from pointtrack.types.point_states import PointState, PointStates


class StateEstimator:
    """Estimates the states in all rows of a stream.

    Args:
        tracker: the tracker of the stream.
        rules: when a point counts as lost.
        redetect: rules of the search for lost points; None for no search.

    Attributes:
        cuts: the frames on which a new shot begins.
        maps: frame -> (c, h, w) unit cells of the query frames of points that may be searched for.
    """

    def __init__(self, tracker: PointTracker, rules: StateRules, redetect: RedetectionRules | None):
        self.tracker, self.rules, self.redetect = tracker, rules, redetect
        self.cuts: set[int] = set()
        self.maps: dict[int, Tensor] = {}
        self._level = tracker.appearance_level(STRIDE)

    def fresh(self, queries: Queries, stream: PointStream) -> PointMemory:
        """An empty memory for some points."""
        shape = (stream.views, self.tracker.appearance_channels, 9)
        return PointMemory.fresh(queries, stream.image_wh, self.rules, shape)

    def estimated(
        self, rows: Tracks, stream: PointStream, memory: PointMemory, planned: list[Redetection] | None
    ) -> tuple[Tracks, list[Redetection]]:
        """Estimate frame by frame, up to the first one on which the search finds lost points that are not planned.

        Args:
            rows: of all points, under the stream's names.
            stream: has the features of the frames.
            memory: of the points so far; changed here.
            planned: points found again on these frames already; `rows` has them too. None turns the search off.

        Returns:
            The tracks under the points' own ids, and the new finds. If there are any, ignore the tracks.
        """
        none = replace(
            rows.clip(0, 0).select(columns(rows, memory)),
            queries=memory.queries,
            states=PointStates.blank(0, len(memory.queries)),
        )
        parts = [none]
        for frame in range(rows.first_frame, rows.first_frame + len(rows)):
            if frame in self.cuts:
                memory.machine.cut()
            for find in planned or ():
                if find.frame == frame:
                    memory.follow(find)
            row = rows.clip(frame - rows.first_frame, frame - rows.first_frame + 1)
            parts.append(self._estimated_row(row, stream, memory))
            if self.redetect and planned is not None and frame % self.redetect.every == 0:
                new = self._search(frame, stream, memory)
                if new:
                    return rows, new
        return Tracks.concat(parts), []

    def before_queries(self, rows: Tracks, stream: PointStream, tracks: Tracks, queries: Queries) -> Tracks:
        """Estimate the states on the frames before the queries, backward, for a tracker that takes the video in one window.

        Args:
            rows: of all points, from the first frame on.
            stream: has the features of the frames.
            tracks: the tracks that `estimated` returned for them.
            queries: the points.
        """
        memory = self.fresh(queries, stream)
        parts: list[Tracks] = []
        for frame in range(len(rows) - 1, -1, -1):
            if frame + 1 in self.cuts:
                memory.machine.cut()
            parts.insert(0, self._estimated_row(rows.clip(frame, frame + 1), stream, memory))
        back = Tracks.concat(parts)
        early = torch.arange(len(rows))[:, None] < back.queries.frame
        return replace(
            tracks,
            xy=torch.where(early[..., None], back.xy, tracks.xy),
            visibility=torch.where(early, back.visibility, tracks.visibility),
            states=states_of(back).where(early, states_of(tracks)),
        )

    def _estimated_row(self, row: Tracks, stream: PointStream, memory: PointMemory) -> Tracks:
        """One frame of the stream's rows, with states, in the order of the points."""
        frame, machine = row.first_frame, memory.machine
        row = replace(row.select(columns(row, memory)), queries=memory.queries)
        xy, visibility = row.xy[0], row.visibility[0]
        # A confidence that only repeats the visibility tells nothing about the position of a hidden point.
        confidence = row.confidence[0] if self.tracker.tells_confidence else torch.ones_like(visibility)
        appearance = stream.appearance(frame, xy, memory.names)
        starting = memory.starts == frame
        requested = starting & (memory.times_redetected == 0)
        memory.appearance[requested] = appearance[requested]
        if self.redetect and bool((requested & memory.requested).any()):
            self.maps[frame] = self._map(frame, stream)
        alike = _most_magnified(similarity(appearance, memory.appearance))
        machine.begin(starting, xy, alike)
        machine.step(xy, visibility, confidence, alike)
        off = inside_image(xy, row.wh) | ((xy - machine.expected).norm(dim=-1) > machine.limit())
        away = (machine.state == PointState.OUT_OF_FRAME) & machine.known & off
        believed = machine.state == PointState.VISIBLE
        believed |= (visibility <= self.rules.visible) & (machine.state != PointState.LOST)
        tracked = machine.state != PointState.NOT_TRACKED
        states = PointStates(
            machine.state[None].clone(),  # both change in place later
            torch.where(tracked, alike, torch.nan)[None],
            memory.times_redetected[None].clone(),
            row.xy,
            row.visibility,
        )
        return replace(
            row,
            xy=torch.where(away[:, None], machine.expected, xy)[None],
            visibility=torch.where(believed | ~tracked, visibility, 0.0)[None],
            states=states,
        )

    def _search(self, frame: int, stream: PointStream, memory: PointMemory) -> list[Redetection]:
        """Search a whole frame for lost points."""
        machine, points = memory.machine, memory.queries
        missing = (machine.state == PointState.LOST) | (
            (machine.state == PointState.OUT_OF_FRAME) & ~machine.known
        )
        missing &= memory.requested  # support points are not worth a search
        if not bool(missing.any()):
            return []
        assert self.redetect is not None
        known = QueryMaps(self._cells(points.xy, stream), points.frame, self.maps, self.redetect)
        level, whole = self._map(frame, stream), memory.appearance[:, 0]
        which, cells, score = find_again(level, whole, missing.nonzero()[:, 0], known)
        cells = settle(level, whole[which], cells) * self.tracker.level_stride(self._level)
        config = self.tracker.config
        xy = rescale_points(cells, model_wh(stream.image_wh, config), stream.image_wh, config.resize_rule)
        off = (xy - machine.expected[which]).norm(dim=-1)
        fine = inside_image(xy, stream.image_wh) & ~(machine.guided[which] & (off > machine.limit()[which]))
        # Below those of the support points, as points added later may have any id from 0 on.
        name = min(-1, int(memory.names.min())) - 1
        found = zip(which[fine].tolist(), xy[fine].tolist(), score[fine].tolist(), strict=True)
        return [
            Redetection(int(points.ids[point]), frame, (x, y), score, name - i)
            for i, (point, (x, y), score) in enumerate(found)
        ]

    def _cells(self, xy: Tensor, stream: PointStream) -> Tensor:
        """Pixels of the video as cells of the features."""
        config = self.tracker.config
        seen = rescale_points(xy, stream.image_wh, model_wh(stream.image_wh, config), config.resize_rule)
        return seen / self.tracker.level_stride(self._level)

    def _map(self, frame: int, stream: PointStream) -> Tensor:
        """(c, h, w) unit cells of a whole frame."""
        return unit_cells(stream.features(frame, self._level))


def _most_magnified(alike: Tensor) -> Tensor:
    """(n, v) similarities -> (n,) those in the last view in which both appearances were read."""
    best = alike[:, 0]
    for view in alike.unbind(dim=1)[1:]:
        best = torch.where(view.isfinite(), view, best)
    return best


def columns(rows: Tracks, memory: PointMemory) -> Tensor:
    """(n,) the points' columns in rows of the stream."""
    places = {name: column for column, name in enumerate(rows.ids.tolist())}
    return torch.tensor([places[name] for name in memory.names.tolist()], dtype=torch.int64)


def states_of(tracks: Tracks) -> PointStates:
    """The states of tracks that have some."""
    assert tracks.states is not None
    return tracks.states
