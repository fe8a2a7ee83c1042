"""Tracks that say what became of every point: `StateTracker` for frames as they come, `track_states` for a whole video.

Stands above the network, so it is the same for every tracker: it reads positions, visibility, confidence, and the features
of the frames (`StreamTracker.features`).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from pointtrack.models.point_tracker import PointTracker
from pointtrack.states.estimator import StateEstimator, columns, states_of
from pointtrack.states.memory import PointMemory
from pointtrack.states.redetect import Redetection
from pointtrack.states.rules import StateRules
from pointtrack.tracking.backward import flipped_queries, joined_both_ways, without
from pointtrack.tracking.shots import CutFinder
from pointtrack.tracking.support import support_queries
from pointtrack.tracking.window_stream import Progress, StreamTracker
from pointtrack.types import Queries, Tracks, Video
from pointtrack.types.point_states import PointState, PointStates

# Frames on which a new shot begins, a function that says so of every frame, or "auto": they are looked for.
Cuts = Sequence[int] | Callable[[np.ndarray], bool] | Literal["auto"]


@dataclass(frozen=True)
class StateOptions:
    """How states are told, for what tracks with or without them.

    Args:
        rules, cuts, redetect: as in `StateTracker`.
    """

    rules: StateRules | None = None
    cuts: Cuts = "auto"
    redetect: bool = False


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
        cuts: frames on which a new shot begins; by default they are found as `CutFinder` does. Or a function that is given
            every frame (h, w, 3) uint8 RGB in turn and says so.
        redetect: search for lost points all over the frame, and go on with them where they are found. Keeps a map of
            features for every frame that points are asked for on.
        support_grid: side of the grid of helper points, as in `track`.

    Raises:
        ValueError: a query outside the image, a negative id, or an unknown word for the cuts.

    Attributes:
        redetected: the points that were found again on the frames that the latest `push`, or `finish`, gave.
    """

    def __init__(
        self,
        tracker: PointTracker,
        queries: Queries,
        image_wh: tuple[int, int],
        fps: float = 30.0,
        *,
        rules: StateRules | None = None,
        cuts: Cuts = "auto",
        redetect: bool = False,
        support_grid: int = 5,
    ):
        helpers = support_queries(_checked(queries), image_wh, global_size=support_grid)
        everyone = Queries.concat([queries, helpers])
        self.tracker, self.redetect = tracker, redetect
        self.redetected: list[Redetection] = []
        self._stream = StreamTracker(tracker, everyone, image_wh, fps)
        self._judge = StateEstimator(tracker, rules or StateRules(), redetect)
        self._memory = self._judge.fresh(everyone, image_wh)
        self._pending: list[Tracks] = []  # judged rows that the next push will return
        self._redetections: list[Redetection] = []  # on frames that were not returned yet
        if isinstance(cuts, str) and cuts != "auto":
            raise ValueError(f"cuts: expected 'auto', frames, or a function, got {cuts!r}")
        self._cut_finder = CutFinder() if isinstance(cuts, str) else None
        self._told_by = self._cut_finder.push if self._cut_finder else cuts if callable(cuts) else None
        if not (isinstance(cuts, str) or callable(cuts)):
            self._judge.cuts = {int(frame) for frame in cuts}

    @property
    def cuts(self) -> set[int]:
        """The frames on which a new shot begins, as far as they are known."""
        return self._judge.cuts

    @property
    def queries(self) -> Queries:
        """The points that are tracked now, in the order of the tracks."""
        return self._memory.queries.select(self._memory.requested)

    @property
    def frames_pushed(self) -> int:
        """Number of frames taken in so far."""
        return self._stream.frames_pushed

    @property
    def lag(self) -> int:
        """Number of frames pushed of which no final answer was given yet."""
        return self._stream.lag + sum(len(rows) for rows in self._pending)

    @property
    def earliest_frame(self) -> int:
        """The first frame on which points can still be added."""
        return self._stream.earliest_frame

    def push(self, frames: np.ndarray | Tensor) -> Tracks:
        """As `StreamTracker.push`, with states."""
        self._catch_up()
        parts, self._pending = self._pending, []
        for frame in frames[None] if frames.ndim == 3 else frames:
            # One at a time: the features of a frame are there when it becomes final, and gone soon after.
            rows = self._stream.push(frame)
            if self._told_by is not None and self._told_by(np.asarray(frame)):
                self.cuts.add(self._stream.frames_pushed - 1)
            parts.append(self._settled(rows))
        self.redetected, self._redetections = self._redetections, []
        return Tracks.concat(parts)

    def preview(self) -> Tracks:
        """As `StreamTracker.newest`, with states that are not judged yet, and without likeness.

        Lost is what is lost on the latest final frame, and everything after a cut; of the rest the tracker's word is taken.
        """
        row = self._stream.preview()
        self._catch_up()
        if not bool(torch.isin(self._memory.names, row.ids).all()):  # found again just now
            row = self._stream.preview()
        memory = self._memory
        row = replace(row.select(columns(row, memory)), queries=memory.queries)
        blank = PointStates.blank(1, len(memory.queries))
        state = torch.full_like(blank.state, PointState.HIDDEN)
        state[row.visibility > memory.judge.rules.visible] = PointState.VISIBLE
        state[~row.in_frame()] = PointState.OUT_OF_FRAME
        final = row.first_frame - self._stream.lag
        lost = memory.judge.state == PointState.LOST
        state[:, lost | any(final < cut <= row.first_frame for cut in self.cuts)] = PointState.LOST
        state[~row.tracked()] = PointState.NOT_TRACKED
        states = replace(
            blank,
            state=state,
            times_redetected=memory.times_redetected[None],
            raw_xy=row.xy,
            raw_visibility=row.visibility,
        )
        visibility = torch.where(state == PointState.LOST, 0.0, row.visibility)
        return replace(row, visibility=visibility, states=states).select(memory.requested)

    def finish(self) -> Tracks:
        """As `StreamTracker.finish`, with states."""
        planned: list[Redetection] = []
        stream, memory = self._stream, self._memory
        while True:
            if self.redetect:
                # Points can only be added before the end, so the end is tried on a copy.
                stream = StreamTracker.from_state_dict(self.tracker, self._stream.state_dict())
                memory = copy.deepcopy(self._memory)
            rows = stream.finish()
            tracks, new = self._judge.estimated(rows, stream, memory, planned)
            if not new:
                break
            self._follow(new)
            planned += new
        self._stream = stream  # from now on it refuses more frames
        self.redetected, self._redetections = self._redetections + planned, []
        if self.tracker.config.window.length is None:  # then the frames before the queries are tracked too
            tracks = self._judge.before_queries(rows, stream, tracks, memory.queries)
        return Tracks.concat([*self._pending, tracks])

    def add(self, queries: Queries) -> Tracks:
        """Track more points, as `StreamTracker.add`: what the tracker says of the others stays the same.

        They may become partners of others, whose states may change with that. On the frames that were returned already they
        are judged among themselves, and not searched for.

        Args:
            queries: on the frame `earliest` or later, with ids that no other point has or had.

        Returns:
            The new points alone, with states, on those frames from `earliest` on that were returned before.

        Raises:
            ValueError: as `StreamTracker.add`, or a negative id.
        """
        rows = self._stream.add(_checked(queries))
        memory = self._judge.fresh(queries, self._stream.image_wh)
        tracks, _ = self._judge.estimated(rows, self._stream, memory, None)
        self._memory = PointMemory.concat([self._memory, memory])
        return tracks

    def remove(self, ids: Tensor | Sequence[int]) -> None:
        """Stop to track some points, which are no partners of others any more.

        What the tracker says of the others stays the same exactly; states of these may change.

        Raises:
            ValueError: an id that no point has.
        """
        ids = self.queries.known_ids(ids, "StateTracker")
        gone = torch.isin(self._memory.queries.ids, ids)
        self._stream.remove(self._memory.names[gone])
        self._memory = self._memory.select(~gone)
        needed = set(self.queries.frame.tolist())
        self._judge.maps = {frame: level for frame, level in self._judge.maps.items() if frame in needed}

    def state_dict(self) -> dict[str, Any]:
        """All that `restored` needs to go on exactly from here: tensors and plain values, for `torch.save`.

        Raises:
            ValueError: after `finish`, or where a function tells the cuts, which cannot be saved.
        """
        if self._told_by is not None and self._cut_finder is None:
            raise ValueError("cuts: expected frames, or 'auto', in a state to be saved, got a function")
        return {
            "stream": self._stream.state_dict(),
            "memory": self._memory.state_dict(),
            "redetect": self.redetect,
            "maps": dict(self._judge.maps),
            "cuts": sorted(self.cuts),
            "cut_finder": self._cut_finder and self._cut_finder.state_dict(),
            "pending": [asdict(rows) for rows in self._pending],
            "redetections": [asdict(one) for one in self._redetections],
        }

    @classmethod
    def from_state_dict(cls, tracker: PointTracker, state: dict[str, Any]) -> StateTracker:
        """The stream as it was when `state` was asked for, on the same tracker; push what came behind it."""
        stream = StreamTracker.from_state_dict(tracker, state["stream"])
        memory = PointMemory.from_state_dict(state["memory"])
        nobody, rules = memory.queries.select(slice(0, 0)), memory.judge.rules
        options = {"rules": rules, "redetect": state["redetect"], "support_grid": 0}
        again = cls(tracker, nobody, stream.image_wh, stream.fps, cuts=state["cuts"], **options)
        again._stream, again._memory = stream, memory
        again._judge.maps = {frame: level.cpu() for frame, level in state["maps"].items()}
        again._pending = [Tracks.from_dict(rows) for rows in state["pending"]]
        again._redetections = [Redetection(**one) for one in state["redetections"]]
        if state["cut_finder"] is not None:
            again._cut_finder = CutFinder.from_state_dict(state["cut_finder"])
            again._told_by = again._cut_finder.push
        return again

    def _catch_up(self) -> None:
        """Judge what became final without a frame pushed, which the next push will return."""
        empty = np.empty((0, *self._stream.image_wh[::-1], 3), np.uint8)
        self._pending.append(self._settled(self._stream.push(empty)))

    def _settled(self, rows: Tracks) -> Tracks:
        """Rows of the stream, of all points, as final tracks of those asked for."""
        planned: list[Redetection] = []
        while True:
            memory = copy.deepcopy(self._memory) if self.redetect and len(rows) else self._memory
            tracks, new = self._judge.estimated(rows, self._stream, memory, planned)
            if not new:
                break
            more = self._follow(new)
            rows = _beside(rows, more.clip(rows.first_frame - more.first_frame))
            planned += new
        replaced = self._memory.names[~torch.isin(self._memory.names, memory.names)]
        if len(replaced):
            self._stream.remove(replaced)
        self._memory = memory
        self._redetections += planned
        return tracks

    def _follow(self, found: list[Redetection]) -> Tracks:
        """Follow points from where they were found."""
        return self._stream.add(
            Queries(
                torch.tensor([find.frame for find in found]),
                torch.tensor([find.xy for find in found]).reshape(-1, 2),
                torch.tensor([find.name for find in found]),
            )
        )


def track_states(
    tracker: PointTracker,
    video: Video,
    queries: Queries,
    *,
    backward: bool = True,
    rules: StateRules | None = None,
    cuts: Cuts = "auto",
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
        return replace(without(tracks, early), states=states_of(tracks).where(~early, blank))
    late, points = flipped_queries(queries)
    if not late or tracker.config.window.length is None:
        return tracks
    # A shot that begins on frame c ends, seen backward, with c: the next one begins on c - 1.
    turned = [late - cut + 1 for cut in ahead.cuts if 0 < cut <= late]
    stream = StateTracker(tracker, points, video.wh, video.fps, rules=rules, cuts=turned, redetect=redetect)
    back = _whole(stream, video.frames[late::-1], progress)
    joined = joined_both_ways(tracks, back)
    states = PointStates.blank(*early.shape)
    states.put((slice(0, late + 1), queries.frame > 0), states_of(back)[torch.arange(late, -1, -1)])
    return replace(joined, states=states_of(tracks).where(~early, states))


def _whole(stream: StateTracker, frames: np.ndarray, progress: Progress | None) -> Tracks:
    parts = []
    step = stream.tracker.config.window.step
    for start in range(0, len(frames), step):
        piece = frames[start : start + step]
        parts.append(stream.push(piece))
        if progress is not None:
            progress(len(piece))
    return Tracks.concat([*parts, stream.finish()])


def _beside(rows: Tracks, more: Tracks) -> Tracks:
    """The points of both, which are of the same frames."""
    return replace(
        rows,
        xy=torch.cat([rows.xy, more.xy], dim=1),
        visibility=torch.cat([rows.visibility, more.visibility], dim=1),
        confidence=torch.cat([rows.confidence, more.confidence], dim=1),
        queries=Queries.concat([rows.queries, more.queries]),
    )


def _checked(queries: Queries) -> Queries:
    """The points; ValueError for a negative id, as helpers and points found again have them."""
    if len(queries) and int(queries.ids.min()) < 0:
        raise ValueError(f"query ids: expected 0 or more, got {int(queries.ids.min())}")
    return queries
