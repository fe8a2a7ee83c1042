"""Reads frames of a live source in a thread, so that a slow consumer gets the newest frames, not old ones."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from pointtrack.checks import counted
from pointtrack.io.sources import TimedFrame, open_source
from pointtrack.types import Video
from pointtrack.types.frames import as_frame

logger = logging.getLogger(__name__)

FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0  # seconds before a source is opened again


class LiveState(Enum):
    """State of a live source."""

    RUNNING = "running"
    STALLED = "stalled"  # no frame for a while; it may come back
    ENDED = "ended"
    SIZE_CHANGED = "size changed"  # the frame size changed, so positions no longer apply
    ERROR = "error"


@dataclass(frozen=True, eq=False)
class LiveFrame:
    """A frame as it arrived.

    Attributes:
        pixels: (h, w, 3) uint8 RGB.
        number: number of the frame in the source from 0, counting dropped ones.
        seconds: its time on the source's clock.
        arrived: its arrival time on the `time.monotonic` clock.
        follows: True if no break lies between it and the frame before, that is, the source was not reopened in between.
    """

    pixels: np.ndarray
    number: int
    seconds: float
    arrived: float
    follows: bool = True


class FrameReader:
    """Reads a source in a thread of its own.

    Args:
        source: a whole number, the index of a camera; a URL (rtsp://, http://); a video file or a folder of pictures,
            played at its own speed; "-" for a video on standard input; an array, a `Video`, or an iterable of
            (h, w, 3) uint8 RGB frames, such as `raw_frames`.
        fps: frames per second of a source without time stamps; 30 by default.
        drop: if frames arrive faster than you take them, drop the oldest waiting one and count it, so that the newest
            wins. Otherwise the source has to wait.
        waiting: largest number of frames that wait to be taken.
        stall_seconds: a source without a frame for this long is stalled.
        pace: deliver frames no sooner than their times say; by default for files, folders and `Video` only.
        reconnect: reopen a camera or stream that breaks off, after 1, 2, 4, ... seconds, at most a minute, as often as
            needed. Numbers and times go on; frames of another size end the run.
        name: what messages call the source; by default what `open_video` calls it.

    Raises:
        FileNotFoundError, ValueError: the source cannot be opened, as in `open_video`. `state` and `message` report later
            errors.

    Attributes:
        name: what messages call the source.
        fps: frames per second that the source claims to have.
        pixel_aspect: width of a pixel divided by its height, as the source claims.
        dropped: number of frames dropped so far.
        message: why the source is over, in words.
    """

    def __init__(
        self,
        source: Any,
        *,
        fps: float | None = None,
        drop: bool = True,
        waiting: int = 1,
        stall_seconds: float = 2.0,
        pace: bool | None = None,
        reconnect: bool = False,
        name: str | None = None,
    ):
        if waiting < 1 or not stall_seconds > 0:
            raise ValueError(
                f"expected waiting >= 1 and stall_seconds > 0, got {waiting} and {stall_seconds}"
            )
        opened = open_source(source, fps, 0.0, one_size=False)
        self._frames, self.fps, self.name = opened.frames, opened.fps, name or opened.name
        self.pixel_aspect = Fraction(1) if opened.info is None else opened.info.shown_aspect()
        self._source, self._reconnect, self._shift = source, reconnect, 0.0
        # A camera or stream has no regular end: if it stops, it broke off.
        self._endless = _is_stream(source) and (opened.info is None or opened.info.seconds is None)
        self._pace = _is_recorded(source) if pace is None else pace
        self._drop, self._most, self._stall_seconds = drop, waiting, stall_seconds
        self._queue: deque[LiveFrame] = deque()
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._waiting_since: float | None = None  # when the pending request for a frame began
        self._end: LiveState | None = None
        self.dropped, self.message = 0, ""
        self._thread = threading.Thread(target=self._run, name=f"reader of {self.name}", daemon=True)
        self._thread.start()

    @property
    def state(self) -> LiveState:
        """State of the source. It is over only once you have taken all waiting frames."""
        with self._changed:
            if self._queue:
                return LiveState.RUNNING
            if self._end is not None:
                return self._end
            waiting_since = self._waiting_since
        stalled = waiting_since is not None and time.monotonic() - waiting_since > self._stall_seconds
        return LiveState.STALLED if stalled else LiveState.RUNNING

    @property
    def over(self) -> bool:
        """True if no more frames will come."""
        return self.state not in (LiveState.RUNNING, LiveState.STALLED)

    def take(self, timeout: float) -> LiveFrame | None:
        """The next frame; None if none came in `timeout` seconds, or no more will come."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._end is not None, timeout)
            frame = self._queue.popleft() if self._queue else None
            self._changed.notify_all()
            return frame

    def close(self, why: str = "stopped") -> None:
        """Stop reading and release the source at once; a hanging source, when it answers. Waiting frames are lost.

        `why` goes to `message`, unless the source is over already.
        """
        closed_before = self._stop.is_set()
        self._stop.set()
        with self._changed:
            self._queue.clear()
            self._finish(LiveState.ENDED, why)
        if not closed_before:  # wait for a source that hangs only once
            self._thread.join(timeout=1.0)

    def _finish(self, state: LiveState, message: str) -> None:
        with self._changed:
            if self._end is None:
                self._end, self.message = state, f"{self.name}: {message}"
            self._changed.notify_all()

    def _run(self) -> None:
        try:
            self._finish(*self._read())
        except Exception as error:  # a source may run any code; whatever it raises ends the reading alone
            logger.debug("%s", self.name, exc_info=error)
            self._finish(LiveState.ERROR, f"{type(error).__name__}: {error}")
        finally:
            if hasattr(self._frames, "close"):
                self._frames.close()

    def _read(self) -> tuple[LiveState, str]:
        """Put frames into the queue until there are no more; returns the final state and the reason."""
        shape: tuple[int, ...] | None = None
        began, number = 0.0, 0
        last, arrived = 0.0, time.monotonic()
        while not self._stop.is_set():
            self._waiting_since = time.monotonic()
            timed, why = self._next()
            follows = True
            if timed is None and self._endless:
                if not self._reconnect:
                    return (
                        LiveState.ERROR,
                        f"broke off after {counted(number, 'frame')}{why}; --reconnect goes on when it is back",
                    )
                logger.warning(
                    "%s: broke off after %s%s; opening it again", self.name, counted(number, "frame"), why
                )
                timed, follows = self._reopened(), False
                if timed is not None:  # time has passed meanwhile
                    self._shift = last + time.monotonic() - arrived - timed[1]
            self._waiting_since = None
            if timed is None:
                return LiveState.ENDED, f"ended after {counted(number, 'frame')}"
            pixels, seconds = as_frame(timed[0], f"frame {number}"), timed[1] + self._shift
            last, arrived = seconds, time.monotonic()
            if shape is None:
                shape, began = pixels.shape, time.monotonic() - seconds
            if pixels.shape != shape:
                return LiveState.SIZE_CHANGED, (
                    f"frame {number} has {pixels.shape[1]} x {pixels.shape[0]} pixels, those before it "
                    f"{shape[1]} x {shape[0]}; start again to go on with this size"
                )
            if self._pace:
                self._stop.wait(max(began + seconds - time.monotonic(), 0))
            self._put(LiveFrame(pixels, number, seconds, time.monotonic(), follows))
            number += 1
        return LiveState.ENDED, "stopped"

    def _next(self) -> tuple[TimedFrame | None, str]:
        """The next frame, or None and the reason; also when a stream fails."""
        if not self._endless:
            return next(self._frames, None), ""
        try:
            return next(self._frames, None), ""
        except (OSError, ValueError) as error:
            return None, f" ({error})"

    def _reopened(self) -> TimedFrame | None:
        """The first frame of the source once it is back; None if the reader was closed meanwhile."""
        wait = FIRST_WAIT
        while not self._stop.wait(wait):
            if hasattr(self._frames, "close"):
                self._frames.close()
            try:
                self._frames = open_source(self._source, None, 0.0, one_size=False).frames
                timed = next(self._frames, None)
            except (OSError, ValueError) as error:
                logger.info("%s: not back yet (%s)", self.name, error)
                timed = None
            if timed is not None:
                logger.warning("%s: it is back", self.name)
                return timed
            wait = min(2 * wait, LONGEST_WAIT)
        return None

    def _put(self, frame: LiveFrame) -> None:
        with self._changed:
            if not self._drop:
                self._changed.wait_for(lambda: len(self._queue) < self._most or self._stop.is_set())
            if self._stop.is_set():
                return
            self._queue.append(frame)
            while len(self._queue) > self._most:
                gone = self._queue.popleft()
                self.dropped += 1
                if not gone.follows:  # then the next one does not follow either
                    self._queue[0] = replace(self._queue[0], follows=False)
            self._changed.notify_all()


def raw_frames(file: BinaryIO, wh: tuple[int, int]) -> Iterator[np.ndarray]:
    """Read frames from a pipe of raw RGB bytes, as `ffmpeg ... -f rawvideo -pix_fmt rgb24 -` writes them.

    Args:
        file: the pipe, open for binary reading.
        wh: size of the frames as (width, height).

    Yields:
        (h, w, 3) uint8; an incomplete last frame is left out, with a warning in the log.
    """
    size = wh[0] * wh[1] * 3
    while content := file.read(size):
        if len(content) < size:
            logger.warning("raw frames: the last one has %d of %d bytes; it is left out", len(content), size)
            return
        yield np.frombuffer(content, np.uint8).reshape(wh[1], wh[0], 3).copy()


def _is_stream(source: Any) -> bool:
    """Whether the source is a camera or a network URL."""
    if isinstance(source, bool):
        return False
    return isinstance(source, int) or (
        isinstance(source, str) and "://" in source and not source.startswith("file:")
    )


def _is_recorded(source: Any) -> bool:
    """Whether the source is a complete recording, to be played at its own speed."""
    if isinstance(source, str):
        return source != "-" and ("://" not in source or source.startswith("file:"))
    return isinstance(source, Path | Video)
