"""Where frames come from: files, URLs, folders of pictures, arrays, iterables and cameras, opened alike.

Used by `pointtrack.io.video`, which checks, cuts and resizes what comes out of here.
"""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from pointtrack.io.storage import filesystem, is_stored, local_path
from pointtrack.types import Video

logger = logging.getLogger(__name__)

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
TimedFrame = tuple[np.ndarray, float]
Opened = tuple[Iterator[TimedFrame], float, int | None, str]


def open_source(source: Any, fps: float | None, start: float, *, one_size: bool = True) -> Opened:
    """Open anything that `open_video` takes, except a `VideoStream`.

    Args:
        source: see `open_video`.
        fps: frames per second of a source without time stamps; None means 30.
        start: seconds from which frames are wanted; earlier ones may come all the same.
        one_size: frames of a file or URL that changes its size on the way are resized to that of the first one.

    Returns:
        (frames, fps, frame count or None, name for messages). Frames are not checked yet.

    Raises:
        FileNotFoundError, ValueError: as `open_video`.
    """
    rate = 30.0 if fps is None else float(fps)
    if isinstance(source, bool) or source is None:
        raise ValueError(f"video: expected a path, an array or an iterable of frames, got {source}")
    if isinstance(source, Video):
        refuse_fps(fps, "video")
        return zip(source.frames, source.times.tolist(), strict=True), source.fps, len(source), "video"
    if isinstance(source, int):
        refuse_fps(fps, f"camera {source}")
        return _open_camera(source)
    if isinstance(source, str) and is_stored(source):
        return _open_stored(source, rate, start, one_size)
    if isinstance(source, str | Path) and Path(source).is_dir():
        return _open_folder(Path(source), rate)
    if isinstance(source, str | Path) or hasattr(source, "read"):
        refuse_fps(fps, str(source))
        return _open_file(source, start, one_size)
    if hasattr(source, "shape"):
        source = np.asarray(source)
        if source.ndim != 4:
            raise ValueError(f"video array: expected shape (t, h, w, 3), RGB last, got {source.shape}")
    if not isinstance(source, Iterable):
        raise ValueError(
            f"video: expected a path, an array or an iterable of frames, got {type(source).__name__}"
        )
    count = len(source) if isinstance(source, Sized) else None
    return ((frame, i / rate) for i, frame in enumerate(source)), rate, count, "video"


def _open_stored(url: str, fps: float, start: float, one_size: bool) -> Opened:
    """A file in an object store, read as it is needed; a path on this machine where the URL means one."""
    here = local_path(url)
    if here is not None:
        return _open_folder(here, fps) if here.is_dir() else _open_file(here, start, one_size)
    fs, path = filesystem(url)
    try:
        file = fs.open(path, "rb")
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{url}: expected a video, found nothing") from error
    except Exception as error:  # each store has errors of its own kind
        raise ValueError(
            f"{url}: expected a video that can be read, but {type(error).__name__}: {error}"
        ) from error
    frames, rate, count, _ = _open_file(file, start, one_size)
    return frames, rate, count, url


def refuse_fps(fps: float | None, name: str) -> None:
    """Raise ValueError where a rate is given for a source that has times."""
    if fps is not None:
        raise ValueError(f"fps: {name} has time stamps of its own; leave fps out (got {fps})")


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder in natural order. Raises FileNotFoundError where there are none."""
    pictures = [p for p in folder.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES and p.name[0] != "."]
    if not pictures:
        raise FileNotFoundError(
            f"{folder}: expected a folder of pictures ({', '.join(PICTURE_SUFFIXES)}), found none in it"
        )
    # Digits compare as numbers: the split alternates text and digits, so like always meets like.
    pictures.sort(key=lambda p: [int(s) if s.isdigit() else s for s in re.split(r"([0-9]+)", p.name.lower())])
    return pictures


def _open_folder(folder: Path, fps: float) -> Opened:
    pictures = pictures_in(folder)
    return ((read_picture(p), i / fps) for i, p in enumerate(pictures)), fps, len(pictures), str(folder)


def read_picture(path: Path) -> np.ndarray:
    """(h, w, 3) uint8 RGB; EXIF rotation applied. Raises ValueError for a file that is no picture."""
    data = np.fromfile(path, np.uint8)
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    if picture is None:
        raise ValueError(f"{path}: expected a picture, but it cannot be decoded; remove or replace the file")
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def _open_camera(index: int) -> Opened:
    camera = cv2.VideoCapture(index)
    if not camera.isOpened():
        raise ValueError(f"camera {index}: expected the index of a connected camera, but it cannot be opened")

    def frames() -> Iterator[TimedFrame]:
        began, last = time.monotonic(), -1.0
        try:
            while (grabbed := camera.read())[0]:
                last = max(time.monotonic() - began, last + 1e-6)
                yield cv2.cvtColor(grabbed[1], cv2.COLOR_BGR2RGB), last
        finally:
            camera.release()

    return frames(), camera.get(cv2.CAP_PROP_FPS) or 30.0, None, f"camera {index}"


def _open_file(source: Any, start: float, one_size: bool) -> Opened:
    is_url = isinstance(source, str) and "://" in source
    name = "standard input" if source == "-" else str(source)
    if isinstance(source, str | Path) and source != "-" and not is_url and not Path(source).exists():
        raise FileNotFoundError(f"{source}: expected a video or a folder of pictures, found nothing")
    try:
        opened = (
            sys.stdin.buffer if source == "-" else str(source) if isinstance(source, str | Path) else source
        )
        container: Any = av.open(opened, timeout=10.0 if is_url else None)
    except av.FFmpegError as error:
        raise ValueError(f"{name}: expected a video, but it cannot be opened ({error.strerror})") from error
    covers = av.stream.Disposition.attached_pic
    streams = [s for s in container.streams.video if not s.disposition & covers]
    if not streams or container.format.name == "tty":  # FFmpeg would draw a text file as a video
        container.close()
        raise ValueError(f"{name}: expected a video, found no moving pictures ({container.format.name})")
    stream = streams[0]
    stream.thread_type = "AUTO"
    rate = stream.average_rate or stream.guessed_rate or Fraction(30)
    if stream.guessed_rate and abs(stream.guessed_rate / rate - 1) < 0.02:
        rate = stream.guessed_rate  # the nominal rate: the average is off by the length of the last frame
    count = stream.frames or None
    if count is None and stream.duration and stream.time_base:
        count = round(stream.duration * stream.time_base * rate)
    elif count is None and container.duration and len(container.streams) == 1:
        count = round(Fraction(container.duration, av.time_base) * rate)
    frames = _decode(container, stream, start, (float(rate), count, name), one_size)
    return frames, float(rate), count, name


def _decode(
    container: Any, stream: Any, start: float, about: tuple[float, int | None, str], one_size: bool
) -> Iterator[TimedFrame]:
    """Upright frames of a file from `start` on, with increasing times."""
    fps, expected, name = about
    origin, shift, count = stream.start_time, 0.0, 0
    last: float | None = None
    failures: list[str] = []
    orientation: np.ndarray | None = None
    has_stamps = (
        container.format.name != "avi"
    )  # avi numbers frames as they are stored, not as they are shown
    with container:
        if start > 2.0 and origin is not None and has_stamps:
            try:  # A second early, for files whose index is not exact; what is too early is dropped below.
                container.seek(origin + int((start - 1.0) / stream.time_base), stream=stream)
            except av.FFmpegError:
                logger.info("%s: cannot seek; reading from the beginning", name)
        for frame in _decoded_packets(container, stream, failures):
            seconds = None
            if frame.pts is not None and has_stamps:
                origin = frame.pts if origin is None else origin
                seconds = float((frame.pts - origin) * frame.time_base) + shift
            follows = 0.0 if last is None else last + 1 / fps
            if seconds is None:
                seconds = follows
            elif last is not None and seconds < last - 1.0:  # the clock was set back: files put together
                shift += follows - seconds
                seconds = follows
            elif last is not None and seconds <= last:
                seconds = last + min(1e-3, 0.5 / fps)
            last = seconds
            count += 1
            if seconds < start - 1e-6:
                continue
            if orientation is None or not one_size:
                size = {"width": frame.width, "height": frame.height}
            if orientation is None:
                orientation = display_matrix(frame)
            yield upright(frame.to_ndarray(format="rgb24", **size), orientation), seconds
        short = expected is not None and start <= 2.0 and expected - count > max(1, expected // 50)
        if failures or short:
            logger.warning(
                "%s: read %d of %s expected frames; it is cut short or damaged%s. What was read is kept.",
                name, count, "unknown" if expected is None else expected,
                f" ({len(failures)} pieces could not be decoded: {failures[0]})" if failures else "",
            )  # fmt: skip


def _decoded_packets(container: Any, stream: Any, failures: list[str]) -> Iterator[Any]:
    """Every frame that can be decoded; what cannot is noted in `failures` and passed over."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError as error:
            failures.append(error.strerror or str(error))
            return
        if packet is None:
            return
        try:
            frames = packet.decode()
        except av.FFmpegError as error:
            failures.append(error.strerror or str(error))
            continue
        yield from frames


def display_matrix(frame: Any) -> np.ndarray:
    """(2, 2) row-vector matrix from stored (x, y) to shown (x, y), y down."""
    side = frame.side_data.get("DISPLAYMATRIX")
    matrix = np.eye(3) if side is None else np.frombuffer(bytes(side), np.int32).reshape(3, 3)
    return matrix[:2, :2].astype(float)


def upright(frame: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Turn and mirror a frame by whole quarter turns, as the display matrix says."""
    if abs(matrix[0, 1]) > abs(matrix[0, 0]):
        frame, matrix = frame.transpose(1, 0, 2), matrix[::-1]
    flips = tuple(axis for axis, value in ((0, matrix[1, 1]), (1, matrix[0, 0])) if value < 0)
    return np.ascontiguousarray(np.flip(frame, flips))
