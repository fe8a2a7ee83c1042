"""Where frames come from: files, URLs, folders of pictures, arrays, iterables and cameras, opened alike.

`pointtrack.io.video` uses this module, and checks, cuts and resizes the frames that come from it.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from pointtrack.io.container import LARGEST_PIXELS, ContainerInfo, describe, video_stream
from pointtrack.io.picture_lists import are_paths, matching, natural
from pointtrack.io.pictures import bits_used, is_single, read_picture
from pointtrack.io.pipes import playable
from pointtrack.io.storage import filesystem, is_stored, local_path
from pointtrack.types import Video
from pointtrack.types.frames import as_frames

logger = logging.getLogger(__name__)

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
# Suffixes that count as videos when a folder is searched; a file that you name may have any.
VIDEO_SUFFIXES = (
    ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".ogv", ".wmv", ".flv", ".gif",
)  # fmt: skip
TimedFrame = tuple[np.ndarray, float]


class Opened(NamedTuple):
    """An open source: frames with times, frames per second, expected number of frames, name, and file metadata."""

    frames: Iterator[TimedFrame]
    fps: float
    frame_count: int | None
    name: str
    info: ContainerInfo | None = None


def open_source(source: Any, fps: float | None, start: float, *, one_size: bool = True) -> Opened:
    """Open anything that `open_video` takes, except a `VideoStream`.

    Args:
        source: see `open_video`.
        fps: frames per second of a source without time stamps; None means 30.
        start: seconds from which frames are wanted; earlier ones may come all the same.
        one_size: resize later frames of a file or URL to the size of the first, if the size changes on the way.

    Returns:
        The unchecked frames, and the metadata of the source.

    Raises:
        FileNotFoundError, ValueError: as `open_video`.
    """
    rate = 30.0 if fps is None else float(fps)
    if isinstance(source, bool) or source is None:
        raise ValueError(f"video: expected a path, an array or an iterable of frames, got {source}")
    if isinstance(source, Video):
        refuse_fps(fps, "video")
        frames = zip(source.frames, source.times.tolist(), strict=True)
        return Opened(frames, source.fps, len(source), "video")
    if isinstance(source, int):
        refuse_fps(fps, f"camera {source}")
        return _open_camera(source)
    if isinstance(source, str) and is_stored(source):
        return _open_stored(source, rate, start, one_size)
    if isinstance(source, str | Path) and Path(source).is_dir():
        return _open_folder(Path(source), rate)
    if isinstance(source, str | Path) and source != "-" and "://" not in str(source):
        found = matching(str(source))
        if found is not None and (len(found) > 1 or is_single(found[0], PICTURE_SUFFIXES)):
            return _open_pictures(found, rate, str(source))
        source = source if found is None else found[0]
    if are_paths(source):
        return _open_pictures([Path(path) for path in source], rate, "list of pictures")
    if isinstance(source, str | Path) or hasattr(source, "read"):
        refuse_fps(fps, str(source))
        if isinstance(source, str | Path) and is_single(Path(source), PICTURE_SUFFIXES):
            path = Path(source)
            return Opened(iter([(read_picture(path, bits_used([path])), 0.0)]), rate, 1, str(source))
        return _open_file(source, start, one_size)
    if hasattr(source, "shape"):
        source = as_frames(source, "video array")
    if not isinstance(source, Iterable):
        raise ValueError(
            f"video: expected a path, an array or an iterable of frames, got {type(source).__name__}"
        )
    count = len(source) if isinstance(source, Sized) else None
    return Opened(((frame, i / rate) for i, frame in enumerate(source)), rate, count, "video")


def _open_stored(url: str, fps: float, start: float, one_size: bool) -> Opened:
    """Open a file in an object store and read it as needed, or the local path that the URL stands for."""
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
    return _open_file(file, start, one_size)._replace(name=url)


def refuse_fps(fps: float | None, name: str) -> None:
    """Raise ValueError if a rate is given for a source that has times."""
    if fps is not None:
        raise ValueError(f"fps: {name} has time stamps of its own; leave fps out (got {fps})")


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder in natural order. Raises FileNotFoundError if there are none."""
    pictures = [p for p in folder.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES and p.name[0] != "."]
    if not pictures:
        videos = sorted(path for path in folder.iterdir() if path.suffix.lower() in VIDEO_SUFFIXES)
        hint = f", but videos; name one, as {videos[0]}" if videos else ""
        raise FileNotFoundError(
            f"{folder}: expected a folder of pictures ({', '.join(PICTURE_SUFFIXES)}), found none in it{hint}"
        )
    # Digits compare as numbers: the split alternates text and digits, so text never meets a number.
    pictures.sort(key=lambda picture: natural(picture.name))
    return pictures


def _open_folder(folder: Path, fps: float) -> Opened:
    pictures = pictures_in(folder)
    bits = bits_used(pictures)
    frames = ((read_picture(p, bits), i / fps) for i, p in enumerate(pictures))
    return Opened(frames, fps, len(pictures), str(folder))


def _open_pictures(paths: Sequence[Path], fps: float, name: str) -> Opened:
    """Open pictures in the given order."""
    missing = next((path for path in paths if not path.is_file()), None)
    if missing is not None:
        raise FileNotFoundError(f"{missing}: expected a picture, found nothing")
    other = next((path for path in paths if path.suffix.lower() not in PICTURE_SUFFIXES), None)
    if other is not None:
        raise ValueError(f"{name}: expected pictures ({', '.join(PICTURE_SUFFIXES)}), got {other}")
    bits = bits_used(paths)
    return Opened(((read_picture(p, bits), i / fps) for i, p in enumerate(paths)), fps, len(paths), name)


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

    return Opened(frames(), camera.get(cv2.CAP_PROP_FPS) or 30.0, None, f"camera {index}")


def _open_file(source: Any, start: float, one_size: bool) -> Opened:
    import av  # imported here because pictures and arrays do not need it

    is_url = isinstance(source, str) and "://" in source
    name = "standard input" if source == "-" else str(source)
    if isinstance(source, str | Path) and source != "-" and not is_url and not Path(source).exists():
        raise FileNotFoundError(f"{source}: expected a video or a folder of pictures, found nothing")
    try:
        opened = (
            playable(sys.stdin.buffer)
            if source == "-"
            else str(source)
            if isinstance(source, str | Path)
            else source
        )
        container: Any = av.open(opened, timeout=10.0 if is_url else None)
    except av.FFmpegError as error:
        raise ValueError(f"{name}: expected a video, but it cannot be opened ({error.strerror})") from error
    stream = video_stream(container)
    if stream is None or container.format.name == "tty":  # FFmpeg would draw a text file as a video
        container.close()
        raise ValueError(f"{name}: expected a video, found no moving pictures ({container.format.name})")
    if stream.codec_context is None:
        container.close()
        raise ValueError(
            f"{name}: expected a video in a codec that FFmpeg decodes, got another or a damaged head"
        )
    if stream.width * stream.height > LARGEST_PIXELS:
        container.close()
        raise ValueError(
            f"{name}: expected frames of at most {LARGEST_PIXELS} pixels, got {stream.width} x {stream.height}"
        )
    stream.thread_type = "AUTO"
    info = describe(container, stream, source)
    for remark in info.remarks:
        logger.warning("%s: %s", name, remark)
    return Opened(_decode(container, stream, start, info, name, one_size), info.fps, info.count, name, info)


def _decode(
    container: Any, stream: Any, start: float, info: ContainerInfo, name: str, one_size: bool
) -> Iterator[TimedFrame]:
    """Upright frames of a file from `start` on, with increasing times."""
    import av

    fps = info.fps
    origin, shift, count = stream.start_time, 0.0, 0
    last: float | None = None
    seen = _Seen()
    orientation: np.ndarray | None = None
    # One for all frames: to make one takes longer than to use it.
    rgb = av.video.reformatter.VideoReformatter()
    with container:
        if start > 2.0 and origin is not None and info.has_stamps:
            try:  # A second early, for files whose index is not exact; frames before `start` are dropped below.
                container.seek(origin + int((start - 1.0) / stream.time_base), stream=stream)
            except (av.FFmpegError, OverflowError):
                logger.info("%s: cannot seek; reading from the beginning", name)
        for frame in _decoded_packets(container, stream, seen):
            if frame.width * frame.height > LARGEST_PIXELS:
                raise ValueError(f"{name}: expected frames of at most {LARGEST_PIXELS} pixels, got more")
            seconds = None
            if frame.pts is not None and info.has_stamps:
                origin = frame.pts if origin is None else origin
                seconds = float((frame.pts - origin) * frame.time_base) + shift
            follows = 0.0 if last is None else last + 1 / fps
            if seconds is None:
                seconds = follows
            elif last is not None and seconds < last - 1.0:  # the clock jumps back: joined files
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
                orientation = info.orientation(frame)
            picture = rgb.reformat(frame, format="rgb24", **size)
            yield upright(picture.to_ndarray(), orientation), seconds
        if seen.failures or (start <= 2.0 and _is_short(info, seen.packets, last)):
            logger.warning(
                "%s: read %d of %s expected frames; it is cut short or damaged%s. What was read is kept.",
                name, count, "unknown" if info.count is None else info.count,
                f" ({len(seen.failures)} pieces could not be decoded: {seen.failures[0]})" if seen.failures else "",
            )  # fmt: skip


@dataclass
class _Seen:
    """What has been read from a file so far: packets, and why pieces could not be decoded."""

    packets: int = 0
    failures: list[str] = field(default_factory=list)


def _is_short(info: ContainerInfo, packets: int, last: float | None) -> bool:
    """Whether the file gave less than it claims to hold, by its index or else by its length."""
    if info.packets is not None:
        return info.packets - packets > max(1, info.packets // 50)
    if info.seconds is None or last is None:
        return False
    return info.seconds - last > max(3 / info.fps, info.seconds / 50)


def _decoded_packets(container: Any, stream: Any, seen: _Seen) -> Iterator[Any]:
    """Yield every frame that can be decoded; skip the others and record them in `seen`."""
    import av

    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError as error:
            seen.failures.append(error.strerror or str(error))
            return
        if packet is None:
            return
        seen.packets += bool(packet.size)
        try:
            frames = packet.decode()
        except av.FFmpegError as error:
            seen.failures.append(error.strerror or str(error))
            continue
        yield from frames


def upright(frame: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Rotate a frame by quarter turns and mirror it, as the display matrix says."""
    if abs(matrix[0, 1]) > abs(matrix[0, 0]):
        frame, matrix = frame.transpose(1, 0, 2), matrix[::-1]
    flips = tuple(axis for axis, value in ((0, matrix[1, 1]), (1, matrix[0, 0])) if value < 0)
    return np.ascontiguousarray(np.flip(frame, flips))
