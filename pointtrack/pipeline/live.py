"""Live tracking: one frame in, one answer out, from a camera, a URL, a pipe, a file or any iterator."""

from __future__ import annotations

import logging
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import monotonic

import numpy as np
import torch

from pointtrack.io.live_reader import FrameReader, LiveState
from pointtrack.models.point_tracker import PointTracker
from pointtrack.states.stream import StateOptions, StateTracker
from pointtrack.tracking.support import support_queries
from pointtrack.tracking.window_stream import StreamTracker
from pointtrack.types import Queries, Tracks

logger = logging.getLogger(__name__)

REMEMBERED = 10_000  # latencies per number of points


@dataclass(frozen=True, eq=False)
class LiveResult:
    """The answer for one frame.

    Attributes:
        frame: (h, w, 3) uint8 RGB, the frame.
        tracks: one row, for this frame: a first answer, which may still change. Its `first_frame` counts the frames
            that were tracked, dropped ones left out.
        lag: how many frames, this one included, have no final answer yet.
        latency: seconds from when the frame came to this answer.
        number: which frame of the source it is, dropped ones counted.
        seconds: its time by the clock of the source.
        dropped: frames dropped so far.
    """

    frame: np.ndarray
    tracks: Tracks
    lag: int
    latency: float
    number: int
    seconds: float
    dropped: int


@dataclass(frozen=True)
class LiveReport:
    """How a live run went.

    Attributes:
        frames: that were tracked.
        dropped: that were not, because newer ones came.
        lag: most frames that ever were without a final answer.
        fps: tracked frames per second.
        latency_ms: by number of points: median and 95th percentile in milliseconds, of how many frames.
    """

    frames: int
    dropped: int
    lag: int
    fps: float
    latency_ms: dict[int, tuple[float, float, int]]


class LiveTracker:
    """Tracks points through a live source; use it in a `with` block, and loop over it.

    Args:
        tracker: from `load_tracker`; one that works in windows.
        queries: the points, frames counted from the first one tracked; or a function that makes them for the size
            (width, height) of the frames.
        reader: the source.
        on_final: called with every piece of tracks that has become final, one following the other; all of them are
            given when the run is over, whatever the reason, and at `close`.
        support_grid: side of a grid of helper points, as in `track`.
        states: say what became of the points, in this way; all tracks have `states` then. Those of a first answer are not judged
            yet: a point is lost there once that is known of the latest final frame, or a cut came.

    Raises:
        ValueError: a tracker whose one window is the whole video; and, by `take`, a point outside the image.

    Attributes:
        stream: tracks; None before the first frame. Its `add` and `remove` may be called between two frames.
    """

    def __init__(
        self,
        tracker: PointTracker,
        queries: Queries | Callable[[tuple[int, int]], Queries],
        reader: FrameReader,
        *,
        on_final: Callable[[Tracks], None] | None = None,
        support_grid: int = 5,
        states: StateOptions | None = None,
    ):
        if tracker.config.window.length is None:
            raise ValueError(
                f"{tracker.config.name} needs the whole video at once: expected a tracker of windows, such as small"
            )
        self.reader = reader
        self.stream: StreamTracker | StateTracker | None = None
        self._tracker, self._queries, self._support_grid = tracker, queries, support_grid
        self._states = states
        self._on_final = on_final or (lambda tracks: None)
        self._helpers = torch.zeros(0, dtype=torch.int64)
        self._finished = self._stopping = False
        self._told = LiveState.RUNNING
        self._began: float | None = None
        self._lag = 0
        self._ended = 0.0
        self._latencies: dict[int, deque[float]] = defaultdict(lambda: deque(maxlen=REMEMBERED))

    @property
    def state(self) -> LiveState:
        """How the source is."""
        return self.reader.state

    @property
    def over(self) -> bool:
        """No result will come any more."""
        return self._finished

    def stop(self) -> None:
        """End at the next `take`; may be called from a signal handler or another thread."""
        self._stopping = True

    def take(self, timeout: float = 0.1) -> LiveResult | None:
        """Track the next frame; None where none came in `timeout` seconds, or the source is over."""
        if self._stopping:
            self.close()
        if self._finished:
            return None
        frame = self.reader.take(timeout)
        self._tell()
        if frame is None:
            if self.reader.over:
                self.finish()
            return None
        wh = (frame.pixels.shape[1], frame.pixels.shape[0])
        if self.stream is None:
            self.stream = self._begin(wh)
        self._began = frame.arrived if self._began is None else self._began
        self._give(self.stream.push(frame.pixels))
        row = self._wanted(self.stream.preview())
        self._ended = monotonic()
        latency = self._ended - frame.arrived
        self._latencies[len(row.ids)].append(latency)
        lag = self.stream.lag
        self._lag = max(self._lag, lag)
        return LiveResult(frame.pixels, row, lag, latency, frame.number, frame.seconds, self.reader.dropped)

    def __iter__(self) -> Iterator[LiveResult]:
        """Results until the source is over; a source that stalls is waited for."""
        while not self._finished:
            result = self.take()
            if result is not None:
                yield result

    def finish(self) -> None:
        """Give the rest of the final tracks; no more frames are taken."""
        if not self._finished:
            self._finished = True
            if self.stream is not None:
                self._give(self.stream.finish())

    def close(self) -> None:
        """Stop reading, and `finish`."""
        self.reader.close()
        self.finish()

    def __enter__(self) -> LiveTracker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def report(self) -> LiveReport:
        """How it went so far."""
        frames = 0 if self.stream is None else self.stream.frames_pushed
        seconds = self._ended - (self._began or 0.0)
        latency_ms = {}
        for points, latencies in sorted(self._latencies.items()):
            p50, p95 = np.percentile(np.array(latencies) * 1000, [50, 95]).tolist()
            latency_ms[points] = (p50, p95, len(latencies))
        fps = frames / seconds if frames else 0.0
        return LiveReport(frames, self.reader.dropped, self._lag, fps, latency_ms)

    def _begin(self, wh: tuple[int, int]) -> StreamTracker | StateTracker:
        queries = self._queries(wh) if callable(self._queries) else self._queries
        if self._states is not None:
            options = {"support_grid": self._support_grid, **vars(self._states)}
            return StateTracker(self._tracker, queries, wh, self.reader.fps, **options)
        helpers = support_queries(queries, wh, global_size=self._support_grid)
        self._helpers = helpers.ids
        return StreamTracker(self._tracker, Queries.concat([queries, helpers]), wh, self.reader.fps)

    def _wanted(self, rows: Tracks) -> Tracks:
        return rows.select(~torch.isin(rows.ids, self._helpers))

    def _give(self, rows: Tracks) -> None:
        if len(rows):
            self._on_final(self._wanted(rows))

    def _tell(self) -> None:
        """Log what has changed."""
        state = self.reader.state
        if state is LiveState.STALLED and self._told is not state:
            logger.warning("%s: no frame comes; waiting for it", self.reader.name)
        elif state is LiveState.RUNNING and self._told is LiveState.STALLED:
            logger.warning("%s: goes on", self.reader.name)
        self._told = state
