"""Live tracking: one frame in, one answer out, from a camera, a URL, a pipe, a file or any iterator."""

from __future__ import annotations

import logging
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import monotonic

import numpy as np

from pointtrack.io.live_reader import FrameReader, LiveState
from pointtrack.models.point_tracker import PointTracker
from pointtrack.pipeline.options import TrackOptions, build_stream
from pointtrack.pipeline.run import Loop
from pointtrack.pipeline.sinks import CallSink
from pointtrack.tracking.stream import PointStream
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
        network: from `load_tracker`; one that works in windows.
        queries: the points, frames counted from the first one tracked; or a function that makes them for the size
            (width, height) of the frames.
        reader: the source.
        on_final: called with every piece of tracks that has become final, one following the other; all of them are
            given when the run is over, whatever the reason, and at `close`.
        options: which stages there are; nothing is tracked backward. States of a first answer are not judged
            yet: a point is lost there once that is known of the latest final frame, or a cut came.

    Raises:
        ValueError: a tracker that needs the whole video; and, by `take`, a point outside the image.

    Attributes:
        stream: tracks; None before the first frame. Its `add` and `remove` may be called between two frames.
    """

    def __init__(
        self,
        network: PointTracker,
        queries: Queries | Callable[[tuple[int, int]], Queries],
        reader: FrameReader,
        *,
        on_final: Callable[[Tracks], None] | None = None,
        options: TrackOptions | None = None,
    ):
        if network.needs_whole_video:
            raise ValueError(
                f"{network.config.name} needs the whole video at once: expected a tracker of windows, such as small"
            )
        self.reader = reader
        self.stream: PointStream | None = None
        self._network, self._queries, self._options = network, queries, options
        self._sinks = [] if on_final is None else [CallSink(on_final)]
        self._loop: Loop | None = None
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
        if self._loop is None or self.stream is None:
            queries = self._queries(wh) if callable(self._queries) else self._queries
            self.stream = build_stream(self._network, queries, wh, self.reader.fps, self._options)
            self._loop = Loop(self.stream, self._sinks, previews=True)
        if not frame.follows:  # nobody knows what happened meanwhile
            self.stream.cut()
        self._began = frame.arrived if self._began is None else self._began
        row = self._loop.take(frame.pixels, frame.seconds)
        assert row is not None
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
            if self._loop is not None:
                self._loop.finish()

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

    def _tell(self) -> None:
        """Log what has changed."""
        state = self.reader.state
        if state is LiveState.STALLED and self._told is not state:
            logger.warning("%s: no frame comes; waiting for it", self.reader.name)
        elif state is LiveState.RUNNING and self._told is LiveState.STALLED:
            logger.warning("%s: goes on", self.reader.name)
        self._told = state
