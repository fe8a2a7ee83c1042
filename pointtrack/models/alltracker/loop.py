"""Flow from the query frames onwards, through features that arrive in pieces, in bounded memory."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from pointtrack.models.alltracker.flow import Flow, carried
from pointtrack.models.window import Estimate
from pointtrack.models.window_loop import TrackedWindow, WindowLoop, parted

MEMO = 4  # windows that are kept for other loops


@dataclass(frozen=True)
class Anchor:
    """A frame that has queries, and its flow so far.

    Attributes:
        features: (h, w, c) of the frame.
        points: (k,) indices of the points with queries on it.
        next: first frame of its next window.
        start: flow that this window starts from; None for the first.
        rows: frame -> (k, 4) position (x, y) and two logits of its points, for frames that are not final yet.
    """

    features: Tensor
    points: Tensor
    next: int
    start: Flow | None = None
    rows: dict[int, Tensor] = field(default_factory=dict)


class FlowLoop(WindowLoop):
    """Tracks points by the flow from their query frames, one run for all points of a frame.

    Every query frame has windows of its own, starting from itself. The first window that contains a frame gives its
    flow, as in the paper. To have that window for every query of a step, the loop keeps one window and one step of
    features.

    Arguments as in `WindowLoop`; b is 1.
    """

    tracker: Any

    def __init__(
        self, tracker: Any, frame: Tensor, xy: Tensor, *, length: int | None = None, step: int | None = None
    ):
        window = tracker.config.window
        super().__init__(tracker, frame, xy, length=length or window.length + window.step, step=step)
        self._anchors: dict[int, Anchor] = {}
        # The newest windows, shared with loops that hold the same frames and ask for the same anchor.
        self._memo: dict[tuple[int, int, int], Flow] = {}  # by anchor, first frame and end

    def branch(self, frame: Tensor, xy: Tensor) -> tuple[WindowLoop, list[TrackedWindow]]:
        """Other points on the same features; see `WindowLoop.branch`."""
        loop = FlowLoop(self.tracker, frame, xy, length=self.length, step=self.step)
        loop.start, loop._join, loop._memo = self.earliest_frame, self._join, self._memo
        return loop, [window for piece in self._held() for window in loop.push(piece)]

    def state_dict(self) -> dict[str, Any]:
        """The complete state between pieces, without the network, as tensors and plain values."""
        kept = super().state_dict()
        del kept["_memo"]
        kept["_anchors"] = {frame: asdict(anchor) for frame, anchor in self._anchors.items()}
        return kept

    @classmethod
    def from_state_dict(cls, tracker: Any, state: dict[str, Any]) -> FlowLoop:
        """The loop as it was when `state` was saved; it continues with the next piece."""
        loop = super().from_state_dict(tracker, state)
        assert isinstance(loop, FlowLoop)
        loop._anchors = {
            frame: Anchor(**{**saved, "start": None if saved["start"] is None else Flow(**saved["start"])})
            for frame, saved in state["_anchors"].items()
        }
        return loop

    def _track(self, length: int) -> TrackedWindow:
        """Rows of the next step, or of all remaining frames."""
        final = self.step if length == self.length else length
        end = self.start + length
        frames = [frame for piece in self._pieces for frame in piece[0][0]]
        due = (self.frame[0] < self.start + final).nonzero()[:, 0]
        anchors = {}
        for number in self.frame[0, due].unique().tolist():
            anchor = self._anchors.get(number)
            if anchor is None:
                # A query from before the stream is read on its first frame.
                features = frames[max(number - self.start, 0)]
                anchor = Anchor(features, (self.frame[0] == number).nonzero()[:, 0], max(number, self.start))
            anchors[number] = self._known_until(anchor, number, frames, self.start + final, end)
        window = TrackedWindow(self.start, [self._estimate(anchors, due, final)], due)
        kept = self.start + self.step
        self._anchors = {
            number: replace(anchor, rows={i: row for i, row in anchor.rows.items() if i >= kept})
            for number, anchor in anchors.items()
        }
        self._former, self._pieces = parted(self._pieces, self.step)
        self.start += self.step
        self._shared = 0
        return window

    def _known_until(
        self, anchor: Anchor, number: int, frames: list[Tensor], wanted: int, end: int
    ) -> Anchor:
        """The anchor with rows for all frames before `wanted`, where frames reach up to `end`.

        All complete windows run now, as final frames are not kept for long.
        """
        length = self.tracker.config.window.length
        wh = self.tracker.config.input_wh
        while anchor.next + length <= end or max([*anchor.rows, number]) < wanted - 1:
            flow = self._window(anchor, number, frames, end)
            xy = self.xy[0, anchor.points]
            # The last window may extend beyond the video, with copies of its last frame.
            count = min(length, end - anchor.next)
            move, logits = self.tracker.points(flow[:count], xy, wh)
            found = torch.cat([xy + move, logits], dim=-1)
            rows = {anchor.next + i: row for i, row in enumerate(found)}
            anchor = replace(
                anchor,
                next=anchor.next + self.step,
                start=carried(flow, self.step),
                rows={**rows, **anchor.rows},  # the first window of a frame counts
            )
        return anchor

    def _window(self, anchor: Anchor, number: int, frames: list[Tensor], end: int) -> Flow:
        """The next window of an anchor, reused if another loop has just run it."""
        length = self.tracker.config.window.length
        key = number, anchor.next, min(end, anchor.next + length)
        if key in self._memo:
            return self._memo[key]
        numbers = (min(i, end - 1) - self.start for i in range(anchor.next, anchor.next + length))
        start = self.tracker.start(anchor.features, length) if anchor.start is None else anchor.start
        flow = self.tracker(anchor.features, [frames[i] for i in numbers], start)
        self._memo[key] = flow
        if len(self._memo) > MEMO:
            del self._memo[next(iter(self._memo))]
        return flow

    def _estimate(self, anchors: dict[int, Anchor], due: Tensor, frames: int) -> Estimate:
        """Rows from `start` on of the points that are due; before its query frame a point is at its query position."""
        values = torch.zeros(frames, self.frame.shape[1], 4, device=self.xy.device)
        values[..., :2] = self.xy[0]
        for anchor in anchors.values():
            for number, row in anchor.rows.items():
                if 0 <= number - self.start < frames:
                    values[number - self.start, anchor.points] = row
        values = values[None, :, due]
        return Estimate(values[..., :2], values[..., 2], values[..., 3])
