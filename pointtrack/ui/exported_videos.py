"""Writes videos of an export in slices, so that the same thread does other work in between."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np

from pointtrack.io.video import VideoStream, write_video
from pointtrack.types import Video

SLICE = 4  # frames


def write_slowly(
    target: Path, video: Video, frames: range, name: str, picture: Callable[[int], np.ndarray]
) -> Iterator[str]:
    """Write a video frame by frame; yield the name of the file now and then, and once it is there.

    Args:
        target: the file.
        video: rate, times and pixel aspect.
        frames: numbers of the frames.
        name: what error messages call the video.
        picture: number of a frame -> (h, w, 3) uint8 RGB to write.
    """
    # The writer pulls frames. A queue lets this thread push them instead, and do other work in between.
    drawn = _OneByOne()

    def write() -> None:
        stream = VideoStream(iter(drawn), video.fps, len(frames), name, pixel_aspect=video.pixel_aspect)
        write_video(target, stream)

    writer = Thread(target=drawn.guarded(write), name="video writer", daemon=True)
    writer.start()
    try:
        for frame in frames:
            drawn.put((picture(frame), float(video.times[frame])))
            if frame % SLICE == SLICE - 1:
                yield target.name
        drawn.put(None)
        while writer.is_alive():
            writer.join(0.05)
            yield target.name
    finally:
        drawn.put(None)
        writer.join()
    if drawn.error is not None:
        raise drawn.error


class _OneByOne:
    """Passes frames from one thread to another that iterates over them."""

    def __init__(self) -> None:
        self._queue: queue.Queue[Any] = queue.Queue(maxsize=2)
        self.error: Exception | None = None
        self._over = False

    def put(self, item: Any) -> None:
        """Pass one on; None marks the end."""
        while not self._over:
            try:
                self._queue.put(item, timeout=0.2)
            except queue.Full:
                continue
            return

    def guarded(self, function: Callable[[], None]) -> Callable[[], None]:
        """Wrap a function so that its error is kept, and nothing more is accepted once it has ended."""

        def run() -> None:
            try:
                function()
            except Exception as error:  # the waiting thread raises it again
                self.error = error
            finally:
                self._over = True

        return run

    def __iter__(self) -> Iterator[tuple[np.ndarray, float]]:
        while (item := self._queue.get()) is not None:
            yield item
