"""Cuts a stream of features into overlapping windows and tracks the points through each."""

from __future__ import annotations

import copy
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pointtrack.models.feature_buffer import Joiner
from pointtrack.models.window import Estimate, Templates, WindowQueries, WindowState

if TYPE_CHECKING:
    from pointtrack.models.tracking_network import TrackingNetwork


@dataclass
class TrackedWindow:
    """The result of one window.

    Attributes:
        start: number of its first frame, counted from the first frame of the stream.
        estimates: estimates of the first guess and each round, over the frames of the window that exist.
        points: (k,) indices, among the n points, of the points in the estimates.
    """

    start: int
    estimates: list[Estimate]
    points: Tensor

    @property
    def frames(self) -> int:
        """Number of frames."""
        return self.estimates[-1].xy.shape[1]


class WindowLoop:
    """Tracks points through features that arrive in pieces of any size.

    Files, cameras and training all drive the network through it. It keeps one window of features and one step before
    it, so that points can still be added on the frames that became final last (`branch`).

    Args:
        tracker: the network.
        frame: (b, n) int64 query frames, counted from the first frame of the stream.
        xy: (b, n, 2) query positions in pixels of the model's input.
        length, step: of the windows; by default those of the tracker. `length` None: one window at the end.
    """

    def __init__(
        self,
        tracker: TrackingNetwork,
        frame: Tensor,
        xy: Tensor,
        *,
        length: int | None = None,
        step: int | None = None,
    ):
        window = tracker.config.window
        self.tracker, self.frame, self.xy = tracker, frame, xy
        self.length, self.step = length or window.length, step or window.step
        self.start = 0  # first frame of the next window
        self._shared = 0  # frames at the front of `_pieces` that the last window tracked too
        self._pieces: list[list[Tensor]] = []  # pyramids of the frames from `start` on
        self._former: list[Tensor] | None = None  # pyramid of the step before `start`
        self._seen = torch.zeros_like(frame, dtype=torch.bool)  # (b, n) the query frame has arrived
        # The points that have a place in the templates and the state, in that order.
        self._points = torch.zeros(0, dtype=torch.int64, device=xy.device)
        self._templates: Templates | None = None
        self._state: WindowState | None = None
        # Shared by loops that hold the same pieces; not part of the state, as it can be rebuilt.
        self._join = Joiner(self.length if self.length and 4 * self.step <= self.length else 0)

    @property
    def held(self) -> int:
        """Number of frames whose features are now in memory."""
        return sum(piece[0].shape[1] for piece in self._pieces)

    @property
    def earliest_frame(self) -> int:
        """The first frame whose features are still in memory."""
        return self.start - (self._former[0].shape[1] if self._former else 0)

    def features(self, frame: int) -> list[Tensor]:
        """The pyramid (b, 1, h, w, c) of a frame that is still in memory. Raises ValueError for any other."""
        first = self.earliest_frame
        for piece in self._held():
            if first <= frame < first + piece[0].shape[1]:
                return [level[:, frame - first : frame - first + 1] for level in piece]
            first += piece[0].shape[1]
        raise ValueError(
            f"frame: expected one of {self.earliest_frame}..{first - 1}, got {frame}; others are not kept"
        )

    def branch(self, frame: Tensor, xy: Tensor) -> tuple[WindowLoop, list[TrackedWindow]]:
        """Track other points on the same features, in a loop of their own that advances in step with this one.

        Args:
            frame, xy: (b, n) and (b, n, 2) as in the constructor; `earliest_frame` or later.

        Returns:
            The loop, and the window that is already complete, if there is one. From now on, push the same pieces to
            both loops.
        """
        loop = type(self)(self.tracker, frame, xy, length=self.length, step=self.step)
        loop.start, loop._join = self.earliest_frame, self._join
        return loop, [window for piece in self._held() for window in loop.push(piece)]

    def sharing(self) -> AbstractContextManager[None]:
        """While this is open, this loop and those from `branch` join the features that they share only once."""
        return self._join.sharing()

    def state_dict(self) -> dict[str, Any]:
        """The complete state between pieces, without the network, as tensors and plain values."""
        kept = {name: value for name, value in vars(self).items() if name not in ("tracker", "_join")}
        kept.update(_pieces=list(self._pieces), _seen=self._seen.clone())  # all else is replaced, not changed
        for name in ("_templates", "_state"):
            kept[name] = None if kept[name] is None else asdict(kept[name])
        return kept

    @classmethod
    def from_state_dict(cls, tracker: TrackingNetwork, state: dict[str, Any]) -> WindowLoop:
        """The loop as it was when `state` was saved; it continues with the next piece."""
        loop = cls(tracker, state["frame"], state["xy"], length=state["length"], step=state["step"])
        templates, handed = state["_templates"], state["_state"]
        if templates is not None:
            templates = Templates(**templates)
        if handed is not None:
            handed = WindowState(Estimate(**handed["overlap"]), handed["latest"])
        vars(loop).update({**state, "_pieces": list(state["_pieces"]), "_seen": state["_seen"].clone()})
        loop._templates, loop._state = templates, handed
        return loop

    def _held(self) -> list[list[Tensor]]:
        return [*([self._former] if self._former else []), *self._pieces]

    def push(self, pyramid: list[Tensor]) -> list[TrackedWindow]:
        """Take in features (b, t, h, w, c) per level; track every window that they complete."""
        self._pieces.append(pyramid)
        windows = []
        while self.length is not None and self.held >= self.length:
            windows.append(self._track(self.length))
        return windows

    def peek(self) -> TrackedWindow | None:
        """The window that `finish` would return, without ending; None if the last window covered all frames."""
        if self.held <= self._shared:
            return None
        ghost = copy.copy(self)
        ghost._seen = self._seen.clone()  # all else is replaced, never modified
        return ghost._track(self.held)

    def finish(self) -> list[TrackedWindow]:
        """Track the frames that no window covered, if there are any, in a window with frames that the last one had."""
        return [self._track(self.held)] if self.held > self._shared else []

    def _track(self, length: int) -> TrackedWindow:
        pyramid = [level[:, :length] for level in self._join(self._pieces)]
        if self.tracker.config.window.pad and self.length is not None:
            last = torch.arange(self.length, device=self.xy.device).clamp(max=length - 1)
            pyramid = [level[:, last] for level in pyramid]
        self._read_templates(pyramid, length)
        once = self.length is None
        self._former, self._pieces = (None, []) if once else parted(self._pieces, self.step)
        window = TrackedWindow(self.start, [self._no_estimate(length)], self._points)
        if self._templates is not None and len(self._points):
            queries = WindowQueries(
                self.frame[:, self._points] - self.start, self.xy[:, self._points], self._templates
            )
            estimates, self._state = self.tracker(pyramid, queries, self._state, self.step)
            window.estimates = [estimate.frames(0, length) for estimate in estimates]
        self.start += self.step
        self._shared = max(length - self.step, 0)
        return window

    def _read_templates(self, pyramid: list[Tensor], length: int) -> None:
        """Read the templates of points whose query frame has arrived, and make room for points that join."""
        due = (self.frame < self.start + length) & ~self._seen
        new = due.any(0).nonzero()[:, 0]
        joining = new
        if self.tracker.config.window.late == "absent":
            assert bool(due[:, new].all()), "clips of a batch must have the same points late"
        else:
            joining = torch.arange(self.frame.shape[1], device=self.xy.device)[len(self._points) :]
        if not len(new) and not len(joining):
            return
        # A query from before the stream is read on its first frame.
        inside = (self.frame[:, new] - self.start).clamp(min=0)
        appearance = self.tracker.remember(pyramid, inside, self.xy[:, new])
        complete = torch.equal(joining, new) and bool(due[:, new].all())  # all that join were just read
        if len(joining):
            room = appearance if complete else appearance.zeros(len(joining))
            self._templates = room if self._templates is None else Templates.concat([self._templates, room])
            self._points = torch.cat([self._points, joining])
            self._state = None if self._state is None else self._state.joined_by(len(joining))
        if len(new) and not complete and self._templates is not None:
            places = torch.isin(self._points, new).nonzero()[:, 0]
            order = torch.searchsorted(new, self._points[places])
            self._templates = self._templates.put(places, appearance.select(order), due[:, new[order]])
        self._seen |= due

    def _no_estimate(self, length: int) -> Estimate:
        """The estimate of no points, (b, length, 0)."""
        none = self.xy.new_zeros(len(self.xy), length, 0)
        return Estimate(none[..., None].expand(-1, -1, -1, 2), none, none)


def parted(pieces: list[list[Tensor]], count: int) -> tuple[list[Tensor], list[list[Tensor]]]:
    """The first frames of some pieces as one pyramid, and the remaining pieces.

    Whole pieces are passed on, not copied: loops with other points hold the same ones. If a piece is split, both
    parts are copies, so that dropped frames are freed.
    """
    first, rest = [], []
    for piece in pieces:
        frames = piece[0].shape[1]
        taken = min(count, frames)
        count -= taken
        if 0 < taken < frames:
            first.append([level[:, :taken].clone() for level in piece])
            rest.append([level[:, taken:].clone() for level in piece])
        else:
            (first if taken else rest).append(piece)
    joined = first[0] if len(first) == 1 else [torch.cat(level, dim=1) for level in zip(*first, strict=True)]
    return joined, rest
