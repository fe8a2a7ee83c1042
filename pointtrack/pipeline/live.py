"""Live tracking from a camera, a URL, a pipe, a file or any iterator: one frame in, one answer out."""

from __future__ import annotations

import logging
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import monotonic
from typing import Any, Generic, TypeVar

import numpy as np

from pointtrack.checks import counted
from pointtrack.io.live_reader import FrameReader, LiveState
from pointtrack.models.point_tracker import PointTracker
from pointtrack.objects.stream import ObjectStream
from pointtrack.pipeline.options import TrackOptions, build_stream
from pointtrack.pipeline.run import Loop
from pointtrack.pipeline.sinks import CallSink
from pointtrack.segment.base import Segmenter
from pointtrack.tracking.stream import PointStream
from pointtrack.types import Masks, Queries, Tracks

logger = logging.getLogger(__name__)

S = TypeVar("S", PointStream, ObjectStream)
F = TypeVar("F", bound="LiveAnswer")
L = TypeVar("L", bound="LiveRun[Any, Any]")
REMEMBERED = 10_000  # latencies kept per number of points


@dataclass(frozen=True, eq=False, kw_only=True)
class LiveAnswer:
    """The answer for one frame: the frame, and the figures of its tracking.

    Attributes:
        frame: (h, w, 3) uint8 RGB, the frame.
        lag: how many frames, this one included, have no final answer yet.
        latency: seconds from the arrival of the frame to this answer.
        number: number of the frame in the source, counting dropped ones.
        seconds: its time by the clock of the source.
        dropped: frames dropped so far.
    """

    frame: np.ndarray
    lag: int
    latency: float
    number: int
    seconds: float
    dropped: int


@dataclass(frozen=True, eq=False, kw_only=True)
class LiveResult(LiveAnswer):
    """The points on one frame.

    Attributes:
        tracks: one row, for this frame: a preview, which may still change. Its `first_frame` counts tracked frames
            only, not dropped ones.
    """

    tracks: Tracks


@dataclass(frozen=True, eq=False, kw_only=True)
class LiveMasks(LiveAnswer):
    """The objects on one frame.

    Attributes:
        masks: one row, for this frame: a preview, which may still change. Its `first_frame` counts as in `LiveResult`.
    """

    masks: Masks


@dataclass(frozen=True)
class LiveReport:
    """How a live run went.

    Attributes:
        frames: number of tracked frames.
        dropped: number of frames not tracked because newer ones came.
        lag: largest number of frames without a final answer.
        fps: tracked frames per second.
        latency_ms: number of points, or objects -> median and 95th percentile in milliseconds, and over how many frames.
    """

    frames: int
    dropped: int
    lag: int
    fps: float
    latency_ms: dict[int, tuple[float, float, int]]


class LiveRun(Generic[S, F]):
    """Runs a live source through a stream. Use it in a `with` block, and loop over it.

    Args:
        reader: the source.
        on_final: called with every piece of rows that has become final.

    Attributes:
        stream: None before the first frame. Between two frames you may call its methods that change what it follows.
    """

    def __init__(self, reader: FrameReader, on_final: Callable[[Any], None] | None):
        self.reader = reader
        self.stream: S | None = None
        self._sinks = [] if on_final is None else [CallSink(on_final)]
        self._loop: Loop | None = None
        self._finished = self._stopping = False
        self._why = "stopped"
        self._logged = LiveState.RUNNING
        self._began: float | None = None
        self._lag = 0
        self._ended = 0.0
        self._latencies: dict[int, deque[float]] = defaultdict(lambda: deque(maxlen=REMEMBERED))

    def __repr__(self) -> str:
        """The source, its state, and what is followed."""
        followed = "no frame yet" if self.stream is None else repr(self.stream)
        return f"{type(self).__name__}({self.reader.name!r}, {self.state.value}, {followed})"

    def _opened(self, wh: tuple[int, int]) -> S:
        """The stream for frames of this size."""
        raise NotImplementedError

    def _result(self, row: Any, **how: Any) -> F:
        """The result for a frame."""
        raise NotImplementedError

    def _late(self, stream: S) -> str:
        """A message about prompts or queries on frames that never came; empty if there are none."""
        raise NotImplementedError

    @property
    def state(self) -> LiveState:
        """State of the source."""
        return self.reader.state

    @property
    def over(self) -> bool:
        """True if no more results will come."""
        return self._finished

    def stop(self, why: str = "stopped") -> None:
        """End at the next `take`; `why` goes to the reader's message. A signal handler or another thread may call it."""
        self._stopping, self._why = True, why

    def take(self, timeout: float = 0.1) -> F | None:
        """Track the next frame; None if none came in `timeout` seconds, or the source is over."""
        if self._stopping:
            self.close()
        if self._finished:
            return None
        frame = self.reader.take(timeout)
        self._log_state()
        if frame is None:
            if self.reader.over:
                self.finish()
            return None
        if self._loop is None or self.stream is None:
            self.stream = self._opened((frame.pixels.shape[1], frame.pixels.shape[0]))
            self._loop = Loop(self.stream, self._sinks, previews=True)
        if not frame.follows:  # the source was reopened, and frames in between are unknown
            self.stream.cut()
        self._began = frame.arrived if self._began is None else self._began
        row = self._loop.take(frame.pixels, frame.seconds)
        self._ended = monotonic()
        latency = self._ended - frame.arrived
        self._latencies[len(row.object_ids if isinstance(row, Masks) else row.ids)].append(latency)
        lag = self.stream.lag
        self._lag = max(self._lag, lag)
        return self._result(
            row,
            frame=frame.pixels,
            lag=lag,
            latency=latency,
            number=frame.number,
            seconds=frame.seconds,
            dropped=self.reader.dropped,
        )

    def __iter__(self) -> Iterator[F]:
        """Results until the source is over. Waits for a source that stalls.

        If the source breaks off, the reason is logged as a warning; before the first frame it is raised as a ValueError.
        """
        while not self._finished:
            result = self.take()
            if result is not None:
                yield result
        if self.state is not LiveState.ENDED:
            if self.stream is None:
                raise ValueError(self.reader.message)
            logger.warning("%s", self.reader.message)

    def finish(self) -> None:
        """End the run and pass on the remaining final rows."""
        if not self._finished:
            self._finished = True
            if self._loop is not None and self.stream is not None:
                self._loop.finish()
                if late := self._late(self.stream):
                    last = self.stream.frames_pushed - 1
                    logger.warning("%s: %s after the last frame (%d)", self.reader.name, late, last)

    def close(self) -> None:
        """Stop reading, and `finish`."""
        self.reader.close(self._why)
        self.finish()

    def __enter__(self: L) -> L:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def report(self) -> LiveReport:
        """The figures of the run so far."""
        frames = 0 if self.stream is None else self.stream.frames_pushed
        seconds = self._ended - (self._began or 0.0)
        latency_ms = {}
        for points, latencies in sorted(self._latencies.items()):
            p50, p95 = np.percentile(np.array(latencies) * 1000, [50, 95]).tolist()
            latency_ms[points] = (p50, p95, len(latencies))
        fps = frames / seconds if frames else 0.0
        return LiveReport(frames, self.reader.dropped, self._lag, fps, latency_ms)

    def _log_state(self) -> None:
        """Log changes of the source's state."""
        state = self.reader.state
        if state is LiveState.STALLED and self._logged is not state:
            logger.warning("%s: no frame comes; waiting for it", self.reader.name)
        elif state is LiveState.RUNNING and self._logged is LiveState.STALLED:
            logger.warning("%s: goes on", self.reader.name)
        self._logged = state


class LiveTracker(LiveRun[PointStream, LiveResult]):
    """Tracks points through a live source. Use it in a `with` block, and loop over it.

    Args:
        network: from `load_tracker`; one that works in windows.
        queries: the points, where frame 0 is the first frame tracked; or a function that makes them from the
            (width, height) of the frames.
        reader: the source.
        on_final: called with every piece of tracks that has become final, in order. When the run ends, for whatever reason,
            and at `close`, it gets all that remain.
        options: which stages to use; nothing is tracked backward. States in a preview are provisional: a point is
            lost there if it is lost on the latest final frame, or a cut came.

    Raises:
        ValueError: the tracker needs the whole video; or, from `take`, a point lies outside the image.

    Attributes:
        stream: tracks the points; None before the first frame. You may call its `add` and `remove` between two frames.
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
        network.check_windows()
        super().__init__(reader, on_final)
        self._network, self._queries, self._options = network, queries, options

    def _opened(self, wh: tuple[int, int]) -> PointStream:
        queries = self._queries(wh) if callable(self._queries) else self._queries
        return build_stream(self._network, queries, wh, self.reader.fps, self._options)

    def _result(self, row: Tracks, **how: Any) -> LiveResult:
        return LiveResult(tracks=row, **how)

    def _late(self, stream: PointStream) -> str:
        count = int((stream.queries.requested().frame >= stream.frames_pushed).sum())
        return f"{counted(count, 'query lies', 'queries lie')}" if count else ""


class LiveObjects(LiveRun[ObjectStream, LiveMasks]):
    """Follows objects through a live source. Use it in a `with` block, and loop over it.

    Args:
        network: from `load_tracker`; one that works in windows.
        segmenter: from `load_segmenter`.
        on_open: called with the stream before its first frame, to `prompt` objects.
        reader: the source.
        on_final: called with every piece of masks that has become final, in order. When the run ends, for whatever reason,
            and at `close`, it gets all that remain.
        exclusive: give every pixel to one object at most.

    Raises:
        ValueError: the tracker needs the whole video; or, from `take`, the segmenter finds nothing at a prompt.

    Attributes:
        stream: follows the objects; None before the first frame. You may call its `prompt`, `mark_absent` and `remove`
            between two frames.
    """

    def __init__(
        self,
        network: PointTracker,
        segmenter: Segmenter,
        on_open: Callable[[ObjectStream], None],
        reader: FrameReader,
        *,
        on_final: Callable[[Masks], None] | None = None,
        exclusive: bool = True,
    ):
        network.check_windows()
        super().__init__(reader, on_final)
        self._network, self._segmenter = network, segmenter
        self._on_open, self._exclusive = on_open, exclusive

    def _opened(self, wh: tuple[int, int]) -> ObjectStream:
        fps = self.reader.fps
        stream = ObjectStream(self._network, self._segmenter, wh, fps, exclusive=self._exclusive)
        self._on_open(stream)
        return stream

    def _result(self, row: Masks, **how: Any) -> LiveMasks:
        return LiveMasks(masks=row, **how)

    def _late(self, stream: ObjectStream) -> str:
        frames = stream.waiting
        return f"prompts on {counted(len(frames), 'frame')}, from {frames[0]} on, lie" if frames else ""
