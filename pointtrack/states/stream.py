"""`StateStream`, the stage that classifies points as visible, hidden, out of frame or lost, and finds lost ones again.

It stands above the network, so it works for every tracker: it reads positions, visibility, confidence, and appearance
(`PointStream.appearance`).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from pointtrack.checks import array_of
from pointtrack.models.point_tracker import PointTracker
from pointtrack.states.estimator import StateEstimator, columns
from pointtrack.states.memory import PointMemory
from pointtrack.states.redetect import Redetection, RedetectionRules
from pointtrack.states.rules import StateRules
from pointtrack.tracking.shots import CutFinder
from pointtrack.tracking.stream import PointStream, WrappingStream, restored, saved, stage
from pointtrack.types import Queries, Tracks
from pointtrack.types.frames import pushed_frames
from pointtrack.types.point_states import PointState, PointStates

# Frames on which a new shot begins, a function that tells whether a frame is one, or "auto" to look for them.
Cuts = Sequence[int] | Callable[[np.ndarray], bool] | Literal["auto"]


@dataclass(frozen=True)
class StateOptions:
    """How the states of points are determined.

    Args:
        rules: when a point counts as lost.
        cuts: frames on which a new shot begins; by default `CutFinder` finds them. Or a function that takes every frame
            (h, w, 3) uint8 RGB in turn and returns whether a shot begins there.
        redetect: search the whole frame for lost points, and track them on from where they are found. Keeps a feature map
            for every frame with queries.
        redetection: when a lost point counts as found again.

    Raises:
        ValueError: `cuts` is an unknown word.
    """

    rules: StateRules = field(default_factory=StateRules)
    cuts: Cuts = "auto"
    redetect: bool = False
    redetection: RedetectionRules = field(default_factory=RedetectionRules)

    def __post_init__(self) -> None:
        if isinstance(self.cuts, str) and self.cuts != "auto":
            raise ValueError(f"cuts: expected 'auto', frames, or a function, got {self.cuts!r}")


@stage
class StateStream(WrappingStream):
    """A stage that adds states to tracks: `Tracks.states`.

    A lost point has visibility 0. It counts as visible again only if it looks as it did before and lies where its partners
    say. From a cut on every point is lost.

    Args:
        inner: tracks the points. Only support points may have negative ids.
        options: how the states are determined.

    Raises:
        ValueError: an id is negative.

    Attributes:
        redetected: the points found again on the frames that the latest `push` or `finish` returned.
    """

    def __init__(self, inner: PointStream, options: StateOptions):
        _check_ids(inner.queries)
        super().__init__(inner)
        self.redetect = options.redetect
        self._redetected: list[Redetection] = []
        self._estimator = StateEstimator(
            self.network, options.rules, options.redetection if options.redetect else None
        )
        self._redetection = options.redetection
        self._memory = self._estimator.fresh(inner.queries, inner)
        cuts = options.cuts
        self._cut_finder = CutFinder() if isinstance(cuts, str) else None
        self._is_cut = self._cut_finder.push if self._cut_finder else cuts if callable(cuts) else None
        if not (isinstance(cuts, str) or callable(cuts)):
            self._estimator.cuts = {int(frame) for frame in cuts}

    @property
    def cuts(self) -> set[int]:
        """The frames on which a new shot begins, as far as they are known."""
        return self._estimator.cuts

    @property
    def redetected(self) -> list[Redetection]:
        """The points found again on the frames that the latest `push` or `finish` returned."""
        return self._redetected

    def cut(self) -> None:
        """As `PointStream.cut`: from that frame on every point is lost."""
        self.cuts.add(self.inner.frames_pushed)
        self.inner.cut()

    @property
    def queries(self) -> Queries:
        """The points tracked now, in the order of the tracks."""
        return self._memory.queries

    def push(self, frames: np.ndarray | Tensor) -> Tracks:
        """As `PointStream.push`, with states."""
        frames = pushed_frames(frames, self.image_wh)
        self._redetected = []
        parts = [self._settled(self.inner.push(frames[:0]))]  # rows that removing points made final
        for frame in frames:
            # One at a time, as a frame's features are there when it becomes final, and gone soon after.
            rows = self.inner.push(frame)
            if self._is_cut is not None and self._is_cut(array_of(frame)):
                self.cuts.add(self.inner.frames_pushed - 1)
            parts.append(self._settled(rows))
        return Tracks.concat(parts)

    def preview(self) -> Tracks:
        """As `PointStream.preview`, with provisional states and without similarity.

        Points lost on the latest final frame are lost, and so are all points after a cut. For the others the states follow
        from what the tracker says.
        """
        row, memory = self.inner.preview(), self._memory
        row = replace(row.select(columns(row, memory)), queries=memory.queries)
        blank = PointStates.blank(1, len(memory.queries))
        state = torch.full_like(blank.state, PointState.HIDDEN)
        state[row.visibility > memory.machine.rules.visible] = PointState.VISIBLE
        state[~row.in_frame()] = PointState.OUT_OF_FRAME
        final = row.first_frame - self.inner.lag
        lost = memory.machine.state == PointState.LOST
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
        return replace(row, visibility=visibility, states=states)

    def finish(self) -> Tracks:
        """As `PointStream.finish`, with states."""
        planned: list[Redetection] = []
        stream, memory = self.inner, self._memory
        while True:
            if self.redetect:
                # Points can only be added before the end, so try the end on a copy.
                stream = restored(self.network, saved(self.inner))
                memory = copy.deepcopy(self._memory)
            rows = stream.finish()
            tracks, new = self._estimator.estimated(rows, stream, memory, planned)
            if not new:
                break
            self._follow(new)
            planned += new
        self.inner = stream  # from now on it refuses more frames
        self._redetected = planned
        if self.network.needs_whole_video:  # such a tracker also tracks the frames before the queries
            tracks = self._estimator.before_queries(rows, stream, tracks, memory.queries)
        return tracks

    def add(self, queries: Queries) -> Tracks:
        """As `PointStream.add`, with states. The tracker's output for the other points does not change.

        New points may become partners of others, which may change the states of those. On frames already returned, their
        states depend on the new points alone, and they are not searched for.
        """
        queries = Queries.of(queries)
        _check_ids(queries)
        rows = self.inner.add(queries)
        memory = self._estimator.fresh(queries, self.inner)
        tracks, _ = self._estimator.estimated(rows, self.inner, memory, None)
        self._memory = PointMemory.concat([self._memory, memory])
        return tracks

    def remove(self, ids: Tensor | Sequence[int]) -> None:
        """Stop tracking some points. They are no partners of others any more.

        The tracker's output for the others stays exactly the same, but their states may change.

        Raises:
            ValueError: no point has one of the ids.
        """
        ids = self.queries.known_ids(ids, "remove")
        gone = torch.isin(self._memory.queries.ids, ids)
        self.inner.remove(self._memory.names[gone])
        self._memory = self._memory.select(~gone)
        needed = set(self.queries.frame.tolist())
        self._estimator.maps = {
            frame: level for frame, level in self._estimator.maps.items() if frame in needed
        }

    def state_dict(self) -> dict[str, Any]:
        """All that `restored` needs to continue exactly from here: tensors and plain values, for `torch.save`.

        Raises:
            ValueError: after `finish`, or if the cuts come from a function, which cannot be saved.
        """
        if self._is_cut is not None and self._cut_finder is None:
            raise ValueError("cuts: expected frames, or 'auto', in a state to be saved, got a function")
        return {
            "inner": saved(self.inner),
            "memory": self._memory.state_dict(),
            "redetect": self.redetect,
            "redetection": asdict(self._redetection),
            "maps": dict(self._estimator.maps),
            "cuts": sorted(self.cuts),
            "cut_finder": self._cut_finder and self._cut_finder.state_dict(),
        }

    @classmethod
    def from_state_dict(cls, network: PointTracker, state: dict[str, Any]) -> StateStream:
        """The stream as it was when `state_dict` was called, on the same network."""
        memory = PointMemory.from_state_dict(state["memory"])
        rules = RedetectionRules(**state.get("redetection", {}))
        options = StateOptions(memory.machine.rules, state["cuts"], state["redetect"], rules)
        again = cls(restored(network, state["inner"]), options)
        again._memory = memory
        again._estimator.maps = dict(state["maps"])
        if state["cut_finder"] is not None:
            again._cut_finder = CutFinder.from_state_dict(state["cut_finder"])
            again._is_cut = again._cut_finder.push
        return again

    def appearance(self, frame: int, xy: Tensor, ids: Tensor) -> Tensor:
        """As `PointStream.appearance`, with the ids that the caller knows."""
        names = dict(zip(self.queries.ids.tolist(), self._memory.names.tolist(), strict=True))
        return self.inner.appearance(frame, xy, torch.tensor([names[point] for point in ids.tolist()]))

    def _settled(self, rows: Tracks) -> Tracks:
        """Rows of the inner stream, which hold all points -> final tracks of the requested ones."""
        planned: list[Redetection] = []
        while True:
            memory = copy.deepcopy(self._memory) if self.redetect and len(rows) else self._memory
            tracks, new = self._estimator.estimated(rows, self.inner, memory, planned)
            if not new:
                break
            more = self._follow(new)
            rows = rows.beside(more.clip(rows.first_frame - more.first_frame))
            planned += new
        replaced = self._memory.names[~torch.isin(self._memory.names, memory.names)]
        if len(replaced):
            self.inner.remove(replaced)
        self._memory = memory
        self._redetected += planned
        return tracks

    def _follow(self, found: list[Redetection]) -> Tracks:
        """Track points from where they were found again."""
        return self.inner.add(
            Queries(
                torch.tensor([find.frame for find in found]),
                torch.tensor([find.xy for find in found]).reshape(-1, 2),
                torch.tensor([find.name for find in found]),
                support=torch.ones(len(found)),  # not requested: each continues a requested point
            )
        )


def _check_ids(queries: Queries) -> None:
    """Raise ValueError if a requested point has a negative id: these are kept for points found again."""
    ids = queries.requested().ids
    if len(ids) and int(ids.min()) < 0:
        raise ValueError(f"query ids: expected 0 or more, got {int(ids.min())}")
