"""The only loop: frames go into a stream; its rows go to every sink, with their frames."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

from pointtrack.io.sources import TimedFrame
from pointtrack.pipeline.sinks import Piece, Sink
from pointtrack.tracking.stream import PointStream, Progress
from pointtrack.types import Tracks

if TYPE_CHECKING:
    from pointtrack.pipeline.resume import Resume


class RowStream(Protocol):
    """A stream as the loop needs it: a `PointStream`, with rows of `Tracks`, or an `ObjectStream`, with `Masks`."""

    @property
    def frames_pushed(self) -> int:
        """Number of frames taken in so far."""

    @property
    def lag(self) -> int:
        """Number of frames pushed whose final rows were not returned yet."""

    def push(self, frames: np.ndarray) -> Any:
        """Take frames, and return the rows that are final now."""

    def preview(self) -> Any:
        """The preview of the newest frame."""

    def finish(self) -> Any:
        """End the stream, and return the remaining rows."""


class Loop:
    """One step of the loop at a time, for callers that take frames from the source themselves.

    Args:
        stream: tracks points, or follows objects.
        sinks: take the rows.
        previews: also give every sink a preview of each frame.
    """

    def __init__(self, stream: RowStream, sinks: Sequence[Sink], *, previews: bool = False):
        self.stream, self.sinks, self.previews = stream, sinks, previews
        # Frames that are not final, with their numbers: a window and a step of them.
        self._buffer: deque[tuple[int, TimedFrame]] = deque()
        self._keeps = any(sink.needs_frames for sink in sinks)
        # Times of the frames that are not final, the earliest first.
        self._times: deque[float] = deque()

    def pass_over(self, seconds: float) -> None:
        """Skip a frame that the stream has already, but whose row is still to come."""
        self._times.append(seconds)

    def take(self, frame: np.ndarray, seconds: float = math.nan) -> Any:
        """Track the next frame; its row gets the time `seconds`. With `previews`, return the frame's preview."""
        self._times.append(seconds)
        if self._keeps:
            copy = np.array(frame)  # as a camera may reuse its memory
            self._buffer.append((self.stream.frames_pushed, (copy, seconds)))
        self._emit(self.stream.push(frame))
        if not self.previews:
            return None
        row = self.stream.preview()
        for sink in self.sinks:
            sink.preview(Piece(row, [(frame, seconds)]))
        return row

    def finish(self) -> None:
        """End the stream, and pass on the remaining rows."""
        self._emit(self.stream.finish())

    def _emit(self, rows: Any) -> None:
        if not len(rows):
            return
        times = np.array([self._times.popleft() for _ in range(len(rows))])
        if np.isfinite(times).all() and np.all(np.diff(times) > 0):
            rows = replace(rows, times=times)
        frames: list[TimedFrame] = []
        while self._buffer and self._buffer[0][0] < rows.first_frame + len(rows):
            frames.append(self._buffer.popleft()[1])
        piece = Piece(rows, frames if len(frames) == len(rows) else [])
        for sink in self.sinks:
            sink.write(piece)


def run(
    source: Iterable[TimedFrame],
    stream: RowStream,
    sinks: Sequence[Sink],
    *,
    resume: Resume | None = None,
    progress: Progress | None = None,
) -> int:
    """Take all frames of a source through a stream.

    Args:
        source: frames (h, w, 3) uint8 RGB with their times in seconds, which go to the rows; NaN if no sink needs them.
        stream: tracks points, or follows objects. The source's first frames are skipped if the stream has them already.
        sinks: take the rows; they are not closed.
        resume: saves the state every so often, in case the run is killed.
        progress: called with the number of frames that each step has done.

    Returns:
        The number of frames, including skipped ones.
    """
    loop = Loop(stream, sinks)
    seen, lag = stream.frames_pushed, stream.lag
    for number, (frame, seconds) in enumerate(source):
        if number < seen:
            if number >= seen - lag:
                loop.pass_over(seconds)
            continue
        loop.take(frame, seconds)
        if resume is not None:
            resume.save_if_due(cast(PointStream, stream))
        if progress is not None:
            progress(1)
    frames = stream.frames_pushed
    loop.finish()
    return frames


def replay(source: Iterable[TimedFrame], pieces: Iterable[Tracks], sinks: Sequence[Sink]) -> None:
    """Give sinks finished pieces, with frames from a second reading of the source."""
    frames = iter(source)
    for rows in pieces:
        piece = Piece(rows, list(islice(frames, len(rows))))
        for sink in sinks:
            sink.write(piece)


def timed(frames: np.ndarray) -> Iterator[TimedFrame]:
    """Frames of a video in memory, for sinks that need no times."""
    return ((frame, math.nan) for frame in frames)
