"""Videos of any length, decoded frame by frame on demand, with a bounded cache."""

from __future__ import annotations

import bisect
import logging
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from pointtrack.io.container import ContainerInfo, describe, video_stream
from pointtrack.io.pictures import bits_used, read_picture
from pointtrack.io.sources import pictures_in, upright
from pointtrack.io.video import open_video, read_video
from pointtrack.types import Video
from pointtrack.types.lazy_frames import LazyFrames
from pointtrack.types.times import rate_of

logger = logging.getLogger(__name__)

CACHE_BYTES = 192 * 2**20
WHOLE_BYTES = 2 * 2**30  # videos without an index are read whole, up to this size


def lazy_video(path: str | Path, *, cache_bytes: int = CACHE_BYTES, before: int | None = None) -> Video:
    """Open a video of any length; each frame is decoded when you ask for it.

    The frames and their times are those of `read_video`. The file is indexed first, without decoding, at some 100 000
    frames per second. Threads can share the video; they wait for each other.

    Args:
        path: a video file or a folder of pictures.
        cache_bytes: most bytes of decoded frames to keep; the frame you asked for last is always kept.
        before: how many of the frames decoded on the way to the requested one to keep. By default all that fit, for
            stepping backward. A small number makes jumps faster.

    Raises:
        FileNotFoundError: there is nothing at that path.
        ValueError: not a video, or one without an index (such as .avi) whose frames do not fit into 2 GB.
    """
    path = Path(path)
    if path.is_dir():
        pictures = pictures_in(path)
        return Video(_Pictures(pictures, cache_bytes), 30.0)  # type: ignore[arg-type]
    with open_video(path) as stream:  # a file that is no video raises the usual error here
        wh, fps, count, aspect = stream.wh, stream.fps, stream.frame_count, stream.pixel_aspect
    index = _index(path)
    if index is not None:
        frames = _FileFrames(path, index, wh, cache_bytes, before)
        if frames.check():
            return Video(frames, rate_of(index.seconds, fps), index.seconds, aspect)  # type: ignore[arg-type]
    if (count or 0) * wh[0] * wh[1] * 3 > WHOLE_BYTES:
        raise ValueError(
            f"{path}: expected a video whose frames have time stamps, got one without, too long to be held in memory; "
            "convert it, for example with: ffmpeg -i IN OUT.mp4"
        )
    return read_video(path)


class _Cached(LazyFrames):
    """Caches the most recent frames."""

    def __init__(self, length: int, wh: tuple[int, int], cache_bytes: int):
        super().__init__(length, wh)
        self._most = max(cache_bytes // (wh[0] * wh[1] * 3), 1)
        self._kept: OrderedDict[int, np.ndarray] = OrderedDict()
        self._lock = threading.RLock()

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles hold how to read frames, not the cached frames."""
        state = {name: value for name, value in vars(self).items() if name != "_lock"}
        opened: dict[str, Any] = {name: None for name in ("_decoder", "_rgb") if name in state}
        return {**state, "_kept": OrderedDict(), **opened}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._lock = threading.RLock()

    def read(self, frame: int) -> np.ndarray:
        with self._lock:
            if frame not in self._kept:
                self._load(frame)
            self._kept.move_to_end(frame)
            return self._kept[frame]

    def _load(self, frame: int) -> None:
        """Put the frame, and perhaps others, into the cache."""
        raise NotImplementedError

    def _keep(self, frame: int, pixels: np.ndarray) -> None:
        self._kept[frame] = pixels
        self._kept.move_to_end(frame)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)


class _Pictures(_Cached):
    """The pictures of a folder."""

    def __init__(self, pictures: list[Path], cache_bytes: int):
        self._bits = bits_used(pictures)
        first = read_picture(pictures[0], self._bits)
        super().__init__(len(pictures), (first.shape[1], first.shape[0]), cache_bytes)
        self._pictures = pictures

    def _load(self, frame: int) -> None:
        pixels = read_picture(self._pictures[frame], self._bits)
        if pixels.shape != self.shape[1:]:
            raise ValueError(
                f"{self._pictures[frame]}: expected {self.shape[2]} x {self.shape[1]} pixels as the first picture, "
                f"got {pixels.shape[1]} x {pixels.shape[0]}; resize the pictures to one size"
            )
        self._keep(frame, pixels)


@dataclass(frozen=True, eq=False)
class _Index:
    """Time stamps of all frames in display order, their seconds, and the frames at which decoding can begin."""

    stamps: list[int]
    seconds: np.ndarray
    starts: list[int]


def _index(path: Path) -> _Index | None:
    """The index built from a file's packets, without decoding; None if they lack the information."""
    with av.open(str(path)) as container:
        if container.format.name == "avi":  # it numbers frames in stored order, not in display order
            return None
        stream: Any = video_stream(container)
        found: list[tuple[int, bool]] = []
        for packet in container.demux(stream):
            if packet.size == 0 or packet.is_discard:
                continue
            if packet.pts is None:
                return None
            found.append((packet.pts, packet.is_keyframe))
        base = stream.time_base or Fraction(1, 90000)
        origin = stream.start_time
    stored = [pts for pts, _ in found]
    if len(set(stored)) != len(stored) or not stored:
        return None
    if any((before - after) * base > 1 for before, after in zip(stored[:-1], stored[1:], strict=True)):
        return None  # the clock jumps back: joined files
    keys = {pts for pts, key in found if key}
    if not keys:
        return None
    first = min(keys)  # frames before it cannot be decoded
    stamps = sorted(pts for pts in stored if pts >= first)
    origin = stamps[0] if origin is None else origin
    seconds = np.array([float((pts - origin) * base) for pts in stamps])
    if np.any(np.diff(seconds) <= 0):
        return None
    return _Index(stamps, seconds, [i for i, pts in enumerate(stamps) if pts in keys])


class _FileFrames(_Cached):
    """Frames of a file, found by their time stamps."""

    def __init__(
        self, path: Path, index: _Index, wh: tuple[int, int], cache_bytes: int, before: int | None = None
    ):
        super().__init__(len(index.stamps), wh, cache_bytes)
        self._before = self._most - 1 if before is None else min(before, self._most - 1)
        self._path, self._index = path, index
        self._numbers = {pts: number for number, pts in enumerate(index.stamps)}
        self._decoder: Iterator[Any] | None = None
        self._next = 0  # frame that the decoder gives next
        self._rgb: Any = None  # one for all pictures: to make one takes longer than to use it
        self._info: ContainerInfo | None = None
        self._matrix: np.ndarray | None = None

    def check(self) -> bool:
        """Whether the first frame is where the index says."""
        with self._lock:
            self._decoder, self._next = self._decode_from(0), 0
            first = next(self._decoder, None)
            self._decoder = None
            return first is not None and first.pts == self._index.stamps[0]

    def _load(self, frame: int) -> None:
        start = self._index.starts[bisect.bisect_right(self._index.starts, frame) - 1]
        if self._decoder is None or not start <= self._next <= frame:
            self._decoder, self._next = self._decode_from(start), start
        for picture in self._decoder:
            number = self._numbers.get(picture.pts, -1)
            if number < 0:
                continue
            self._next = number + 1
            if 0 <= frame - number <= self._before:
                self._keep(number, self._pixels(picture))
            if number == frame:
                return
            if number > frame:  # the frame is damaged: use the next one instead
                self._keep(frame, self._pixels(picture))
                return
        self._decoder = None
        if not self._kept:
            raise ValueError(f"{self._path}: frame {frame} cannot be decoded; the file is damaged there")
        self._keep(frame, next(reversed(self._kept.values())).copy())

    def _decode_from(self, start: int) -> Iterator[Any]:
        container: Any = av.open(str(self._path))
        stream: Any = video_stream(container)
        self._info = self._info or describe(container, stream, self._path)
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = 2
        if start:
            container.seek(self._index.stamps[start], stream=stream)
        packets = container.demux(stream)
        with container:
            while True:
                try:
                    packet = next(packets, None)
                    if packet is None:
                        return
                    pictures = packet.decode()
                except av.FFmpegError as error:
                    logger.info("%s: a piece cannot be decoded (%s)", self._path, error.strerror)
                    if isinstance(error, EOFError):
                        return
                    continue
                yield from pictures

    def _pixels(self, picture: Any) -> np.ndarray:
        if self._matrix is None:
            assert self._info is not None
            self._matrix = self._info.orientation(picture)
        if self._rgb is None:
            self._rgb = av.video.reformatter.VideoReformatter()
        pixels = upright(self._rgb.reformat(picture, format="rgb24").to_ndarray(), self._matrix)
        if pixels.shape == self.shape[1:]:
            return pixels
        h, w = self.shape[1:3]
        turned = abs(self._matrix[0, 1]) > abs(self._matrix[0, 0])
        width, height = (h, w) if turned else (w, h)
        fitted = self._rgb.reformat(picture, format="rgb24", width=width, height=height)
        return upright(fitted.to_ndarray(), self._matrix)
