"""Tracks that say what became of every point: `StateTracker` for frames as they come, `track_states` for a whole video.

Stands above the network, so it is the same for every tracker: it reads positions, visibility, confidence, and the features
of the frames (`StreamTracker.features`).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from pointtrack.both_ways import flipped_queries, joined_both_ways, without
from pointtrack.geometry import inside_image, rescale_points
from pointtrack.judge import Judge, StateRules
from pointtrack.looks import likeness, read_looks, settle, unit_cells
from pointtrack.models.tracker import CELL, PointTracker
from pointtrack.point_states import PointStates, State
from pointtrack.predict import Progress, StreamTracker
from pointtrack.queries import support_queries
from pointtrack.redetect import Found, QueryMaps, find_again
from pointtrack.types import Queries, Tracks, Video

Cuts = Sequence[int] | Callable[[np.ndarray], bool]
SEARCH_EVERY = 4  # frames
LEVEL = 1  # of the pyramid; cells of 8 pixels at the tracker's size of frames


@dataclass
class _Memory:
    """What is known of n points so far.

    Attributes:
        judge: says what became of them.
        looks: (n, c, 9) of the queries.
        names: (n,) ids by which the stream knows them now.
        starts: (n,) frame from which on they are followed under this name.
        found: (n,) how often they were found again.
    """

    judge: Judge
    looks: Tensor
    names: Tensor
    starts: Tensor
    found: Tensor

    def follow(self, point: int, find: Found) -> None:
        """From now on a point is the one that the stream follows from where it was found."""
        self.names[point], self.starts[point] = find.name, find.frame
        self.found[point] += 1


class StateTracker:
    """Tracks points through frames as `StreamTracker` does, and says what became of each: `Tracks.states`.

    Where a point is lost its visibility is 0; it counts as seen again only when it looks as it did and is where the points say
    that moved along with it. From a cut on every point is lost.

    Args:
        tracker: from `load_tracker`.
        queries: points to track, as in `StreamTracker`; their ids must not be negative.
        image_wh: size of the frames as (width, height).
        fps: only noted in the tracks.
        rules: when a point counts as lost.
        cuts: frames on which a new shot begins, or a function that is given every frame (h, w, 3) uint8 RGB in turn and says
            so, as `pointtrack.objects.shots.CutFinder().push`.
        redetect: search for lost points all over the frame, and go on with them where they are found. Keeps a map of
            features for every frame that points are asked for on.
        support_grid: side of the grid of helper points, as in `track`.

    Raises:
        ValueError: a query outside the image, or a negative id.

    Attributes:
        found: the points that were found again, in order.
        cuts: the frames on which a new shot begins, as far as they are known.
    """

    def __init__(
        self,
        tracker: PointTracker,
        queries: Queries,
        image_wh: tuple[int, int],
        fps: float = 30.0,
        *,
        rules: StateRules | None = None,
        cuts: Cuts = (),
        redetect: bool = False,
        support_grid: int = 5,
    ):
        if len(queries) and int(queries.ids.min()) < 0:
            raise ValueError(f"query ids: expected 0 or more, got {int(queries.ids.min())}")
        helpers = support_queries(queries, image_wh, global_size=support_grid)
        self._everyone = Queries.concat([queries, helpers])
        self.tracker, self.queries, self.redetect = tracker, queries, redetect
        self.rules = rules or StateRules()
        self.found: list[Found] = []
        self._stream = StreamTracker(tracker, self._everyone, image_wh, fps)
        self._level = min(LEVEL, tracker.config.correlation.levels - 1)
        self._memory = self._fresh()
        self._query_maps = QueryMaps(self._cells(self._everyone.xy), self._everyone.frame)
        self._finder = cuts if callable(cuts) else None
        self.cuts: set[int] = set() if callable(cuts) else {int(frame) for frame in cuts}

    @property
    def frames_pushed(self) -> int:
        """Number of frames taken in so far."""
        return self._stream.frames_pushed

    @property
    def lag(self) -> int:
        """Number of frames pushed of which no final answer was given yet."""
        return self._stream.lag

    def push(self, frames: np.ndarray | Tensor) -> Tracks:
        """As `StreamTracker.push`, with states."""
        empty = np.empty((0, *self._stream.image_wh[::-1], 3), np.uint8)
        parts = [self._settled(self._stream.push(empty))]
        for frame in frames[None] if frames.ndim == 3 else frames:
            if self._finder is not None and self._finder(np.asarray(frame)):
                self.cuts.add(self._stream.frames_pushed)
            # One at a time: the features of a frame are there when it becomes final, and gone soon after.
            parts.append(self._settled(self._stream.push(frame)))
        return Tracks.concat(parts)

    def newest(self) -> Tracks:
        """As `StreamTracker.newest`, with states that are not judged yet, and without likeness.

        Lost is what is lost on the latest final frame, and everything after a cut; of the rest the tracker's word is taken.
        """
        row = self._stream.newest()
        row = replace(row.select(self._columns(row, self._memory)), queries=self._everyone)
        blank = PointStates.blank(1, len(self._everyone))
        state = torch.full_like(blank.state, State.HIDDEN)
        state[row.visibility > self.rules.visible] = State.VISIBLE
        state[~row.in_frame()] = State.OUT_OF_FRAME
        final = row.first_frame - self.lag
        lost = self._memory.judge.state == State.LOST
        state[:, lost | any(final < cut <= row.first_frame for cut in self.cuts)] = State.LOST
        state[~row.tracked()] = State.NOT_TRACKED
        states = replace(
            blank, state=state, found=self._memory.found[None], raw_xy=row.xy, raw_visibility=row.visibility
        )
        visibility = torch.where(state == State.LOST, 0.0, row.visibility)
        return replace(row, visibility=visibility, states=states).select(slice(0, len(self.queries)))

    def finish(self) -> Tracks:
        """As `StreamTracker.finish`, with states."""
        planned: list[Found] = []
        stream, memory = self._stream, self._memory
        while True:
            if self.redetect:
                # Points can only be added before the end, so the end is tried on a copy.
                stream = StreamTracker.restored(self.tracker, self._stream.state())
                memory = copy.deepcopy(self._memory)
            rows = stream.finish()
            tracks, new = self._judged(rows, stream, memory, planned)
            if not new:
                break
            self._add(new)
            planned += new
        self._stream = stream  # from now on it refuses more frames
        self.found += planned
        once = self.tracker.config.window.length is None  # then the frames before the queries are tracked too
        return self._before_queries(rows, stream, tracks) if once else tracks

    def _settled(self, rows: Tracks) -> Tracks:
        """Rows of the stream, of all points, as final tracks of those asked for."""
        planned: list[Found] = []
        while True:
            memory = copy.deepcopy(self._memory) if self.redetect and len(rows) else self._memory
            tracks, new = self._judged(rows, self._stream, memory, planned)
            if not new:
                break
            more = self._add(new)
            rows = _beside(rows, more.clip(rows.first_frame - more.first_frame))
            planned += new
        replaced = self._memory.names[~torch.isin(self._memory.names, memory.names)]
        if len(replaced):
            self._stream.remove(replaced)
        self._memory = memory
        self.found += planned
        return tracks

    def _add(self, found: list[Found]) -> Tracks:
        """Follow points from where they were found."""
        return self._stream.add(
            Queries(
                torch.tensor([find.frame for find in found]),
                torch.tensor([find.xy for find in found]).reshape(-1, 2),
                torch.tensor([find.name for find in found]),
            )
        )

    def _judged(
        self, rows: Tracks, stream: StreamTracker, memory: _Memory, planned: list[Found]
    ) -> tuple[Tracks, list[Found]]:
        """Judge frame after frame, up to the first one on which lost points are found that nobody knew of.

        Args:
            rows: of all points, under the names of the stream.
            stream: has the features of the frames.
            memory: what is known so far; it is changed.
            planned: what was found on these frames already; `rows` has these points too.

        Returns:
            The tracks of the points that were asked for, and what is newly found; with that, the tracks are of no use.
        """
        parts = []
        for frame in range(rows.first_frame, rows.first_frame + len(rows)):
            if frame in self.cuts:
                memory.judge.cut()
            for find in planned:
                if find.frame == frame:
                    memory.follow(int((self.queries.ids == find.id).nonzero()), find)
            level = unit_cells(stream.features(frame, self._level))
            parts.append(
                self._judge(rows.clip(frame - rows.first_frame, frame - rows.first_frame + 1), level, memory)
            )
            if self.redetect and frame % SEARCH_EVERY == 0:
                new = self._search(frame, level, memory)
                if new:
                    return rows, new
        none = replace(
            rows.clip(0, 0).select(self._columns(rows, memory)),
            queries=self._everyone,
            states=PointStates.blank(0, len(memory.names)),
        )
        return Tracks.concat([none, *parts]).select(slice(0, len(self.queries))), []

    def _before_queries(self, rows: Tracks, stream: StreamTracker, tracks: Tracks) -> Tracks:
        """Judge what a tracker of one window says about the frames before the queries, from these backward."""
        memory = self._fresh()
        parts: list[Tracks] = []
        for frame in range(len(rows) - 1, -1, -1):
            if frame + 1 in self.cuts:
                memory.judge.cut()
            level = unit_cells(stream.features(frame, self._level))
            parts.insert(0, self._judge(rows.clip(frame, frame + 1), level, memory))
        back = Tracks.concat(parts).select(slice(0, len(self.queries)))
        early = torch.arange(len(rows))[:, None] < self.queries.frame
        return replace(
            tracks,
            xy=torch.where(early[..., None], back.xy, tracks.xy),
            visibility=torch.where(early, back.visibility, tracks.visibility),
            states=_states(back).where(early, _states(tracks)),
        )

    def _judge(self, row: Tracks, level: Tensor, memory: _Memory) -> Tracks:
        """One frame of the stream's rows, with states, in the order of the points."""
        frame, judge = row.first_frame, memory.judge
        row = replace(row.select(self._columns(row, memory)), queries=self._everyone)
        xy, visibility = row.xy[0], row.visibility[0]
        # Where it only repeats the visibility it says nothing about where a hidden point is.
        confidence = row.confidence[0] if self.tracker.tells_confidence else torch.ones_like(visibility)
        cells = self._cells(xy)
        looks = read_looks(level, cells)
        starting = memory.starts == frame
        asked = starting & (memory.found == 0)
        memory.looks[asked] = looks[asked]
        if self.redetect and bool(asked.any()):
            self._query_maps.keep(frame, level, asked, cells)
        alike = likeness(looks, memory.looks)
        judge.begin(starting, xy, alike)
        judge.step(xy, visibility, confidence, alike)
        off = inside_image(xy, row.wh) | ((xy - judge.expected).norm(dim=-1) > judge.limit())
        away = (judge.state == State.OUT_OF_FRAME) & judge.known & off
        believed = judge.state == State.VISIBLE
        believed |= (visibility <= self.rules.visible) & (judge.state != State.LOST)
        tracked = judge.state != State.NOT_TRACKED
        states = PointStates(
            judge.state[None].clone(),  # both change in place later
            torch.where(tracked, alike, torch.nan)[None],
            memory.found[None].clone(),
            row.xy,
            row.visibility,
        )
        return replace(
            row,
            xy=torch.where(away[:, None], judge.expected, xy)[None],
            visibility=torch.where(believed | ~tracked, visibility, 0.0)[None],
            states=states,
        )

    def _columns(self, rows: Tracks, memory: _Memory) -> Tensor:
        """(n,) where the points are among those of the stream."""
        places = {name: column for column, name in enumerate(rows.ids.tolist())}
        return torch.tensor([places[name] for name in memory.names.tolist()], dtype=torch.int64)

    def _search(self, frame: int, level: Tensor, memory: _Memory) -> list[Found]:
        """Lost points that are found on a frame."""
        judge = memory.judge
        missing = (judge.state == State.LOST) | ((judge.state == State.OUT_OF_FRAME) & ~judge.known)
        missing[len(self.queries) :] = False  # helpers are not worth it
        if not bool(missing.any()):
            return []
        which, cells, score = find_again(level, memory.looks, missing.nonzero()[:, 0], self._query_maps)
        stream = self._stream
        cells = settle(level, memory.looks[which], cells) * (CELL << self._level)
        xy = rescale_points(cells, stream.wh, stream.image_wh, stream.rule)
        off = (xy - judge.expected[which]).norm(dim=-1)
        fine = inside_image(xy, stream.image_wh) & ~(judge.guided[which] & (off > judge.limit()[which]))
        first_name = 1 + max(int(memory.names.max()), int(self._everyone.ids.max()))
        found = zip(which[fine].tolist(), xy[fine].tolist(), score[fine].tolist(), strict=True)
        return [
            Found(int(self.queries.ids[point]), frame, (x, y), score, first_name + i)
            for i, (point, (x, y), score) in enumerate(found)
        ]

    def _fresh(self) -> _Memory:
        """Nothing known yet."""
        n = len(self._everyone)
        return _Memory(
            Judge(n, self._stream.image_wh, self.rules),
            torch.zeros(n, self.tracker.config.encoder.channels, 9),
            self._everyone.ids.clone(),
            self._everyone.frame.clone(),
            torch.zeros(n, dtype=torch.int64),
        )

    def _cells(self, xy: Tensor) -> Tensor:
        """Pixels of the video as cells of the features."""
        stream = self._stream
        return rescale_points(xy, stream.image_wh, stream.wh, stream.rule) / (CELL << self._level)


def track_states(
    tracker: PointTracker,
    video: Video,
    queries: Queries,
    *,
    backward: bool = True,
    rules: StateRules | None = None,
    cuts: Cuts = (),
    redetect: bool = False,
    progress: Progress | None = None,
) -> Tracks:
    """Track points through a whole video as `track` does, and say what became of each: `Tracks.states`.

    Args:
        tracker, video, queries, backward, progress: as in `track`.
        rules, cuts, redetect: as in `StateTracker`.

    Returns:
        Tracks over all frames with states.

    Raises:
        ValueError: a query after the last frame or outside the image, or a negative id.
    """
    queries.check_inside(len(video), video.wh)
    ahead = StateTracker(tracker, queries, video.wh, video.fps, rules=rules, cuts=cuts, redetect=redetect)
    tracks = _whole(ahead, video.frames, progress)
    early = torch.arange(len(video))[:, None] < queries.frame
    if not backward:
        blank = PointStates.blank(*early.shape)
        return replace(without(tracks, early), states=_states(tracks).where(~early, blank))
    late, points = flipped_queries(queries)
    if not late or tracker.config.window.length is None:
        return tracks
    # A shot that begins on frame c ends, seen backward, with c: the next one begins on c - 1.
    turned = [late - cut + 1 for cut in ahead.cuts if 0 < cut <= late]
    stream = StateTracker(tracker, points, video.wh, video.fps, rules=rules, cuts=turned, redetect=redetect)
    back = _whole(stream, video.frames[late::-1], progress)
    joined = joined_both_ways(tracks, back)
    states = PointStates.blank(*early.shape)
    states.put((slice(0, late + 1), queries.frame > 0), _states(back)[torch.arange(late, -1, -1)])
    return replace(joined, states=_states(tracks).where(~early, states))


def _whole(stream: StateTracker, frames: np.ndarray, progress: Progress | None) -> Tracks:
    parts = []
    step = stream.tracker.config.window.step
    for start in range(0, len(frames), step):
        piece = frames[start : start + step]
        parts.append(stream.push(piece))
        if progress is not None:
            progress(len(piece))
    return Tracks.concat([*parts, stream.finish()])


def _states(tracks: Tracks) -> PointStates:
    """Those of tracks that were judged."""
    assert tracks.states is not None
    return tracks.states


def _beside(rows: Tracks, more: Tracks) -> Tracks:
    """The points of both, which are of the same frames."""
    return replace(
        rows,
        xy=torch.cat([rows.xy, more.xy], dim=1),
        visibility=torch.cat([rows.visibility, more.visibility], dim=1),
        confidence=torch.cat([rows.confidence, more.confidence], dim=1),
        queries=Queries.concat([rows.queries, more.queries]),
    )
