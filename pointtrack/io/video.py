"""Videos in and out: files, folders of pictures, arrays, iterables, streams and cameras, all read the same way.

`open_video` yields one frame after the other and never holds more than one; `read_video` collects them in a `Video`.
Both apply the rotation stored in the file and keep time stamps. Of a damaged file they read what they can, and a
warning says how much that was.
"""

from __future__ import annotations

import itertools
import logging
import zlib
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pointtrack.checks import checked_fps
from pointtrack.io.atomic import atomic_path, write_bytes
from pointtrack.io.identity import identity_of
from pointtrack.io.outputs import refuse_same
from pointtrack.io.sources import PICTURE_SUFFIXES, TimedFrame, open_source, refuse_fps
from pointtrack.io.storage import writes_anywhere
from pointtrack.types import Video
from pointtrack.types.frames import as_frame
from pointtrack.types.times import exact_rate, rate_of

logger = logging.getLogger(__name__)

VIDEO_CODECS = {
    ".mp4": "libx264",
    ".m4v": "libx264",
    ".mov": "libx264",
    ".mkv": "libx264",
    ".webm": "libvpx-vp9",
    ".gif": "gif",
}
# With their defaults the encoders take more than twice as long: python -m benchmarks.writing.
FASTER = {"libx264": {"preset": "veryfast"}, "libvpx-vp9": {"deadline": "realtime", "cpu-used": "6"}}
LARGE_BYTES = 4 * 2**30


class VideoStream:
    """One pass over the frames of a video: an iterator of (frame, time).

    Each frame is (h, w, 3) uint8 RGB; its time is in seconds and later than the previous one. `open_video` makes these
    streams. Close one, or use it in a `with` block, to release the file before its end.

    Attributes:
        wh: size of every frame as (width, height) in pixels.
        fps: frames per second, the average if the rate varies.
        frame_count: frames to expect by the header of the file (a few more or fewer may come); None if unknown
            (generators, cameras, some containers).
        name: what log and error messages call the source.
        path: the file or folder that the frames come from; None for other sources.
        pixel_aspect: width of a pixel divided by its height, as the frames are shown; 1 for nearly all.
        has_sound: True if the source has sound; the stream yields frames only.
    """

    def __init__(
        self,
        frames: Iterator[TimedFrame],
        fps: float,
        frame_count: int | None,
        name: str,
        *,
        path: Path | None = None,
        pixel_aspect: Fraction = Fraction(1),
        has_sound: bool = False,
    ) -> None:
        self._frames = frames
        self._first = next(frames, None)
        if self._first is None:
            raise ValueError(f"{name}: expected at least one frame in the span, found none")
        self.wh: tuple[int, int] = (self._first[0].shape[1], self._first[0].shape[0])
        self.fps, self.frame_count, self.name, self.path = float(fps), frame_count, name, path
        self.pixel_aspect, self.has_sound = pixel_aspect, has_sound
        self._about: Callable[[], dict[str, str]] = dict

    def __iter__(self) -> VideoStream:
        return self

    def __next__(self) -> TimedFrame:
        if self._first is not None:
            first, self._first = self._first, None
            return first
        return next(self._frames)

    def __enter__(self) -> VideoStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def about(self) -> dict[str, str]:
        """Identifies this stream: its file by content, frames in memory by some of them, its span, its first frame."""
        return self._about()

    def through(self, frames: Iterable[TimedFrame], **about: str) -> VideoStream:
        """The same stream with its frames passed through something else: a progress bar, or drawing.

        `about` says what that changes, for `about()`.
        """
        stream = VideoStream(
            iter(frames), self.fps, self.frame_count, self.name,
            path=self.path, pixel_aspect=self.pixel_aspect, has_sound=self.has_sound,
        )  # fmt: skip
        stream._about = lambda: self.about() | about
        return stream

    def close(self) -> None:
        """Release the file or camera. No frames come after that."""
        self._first = None
        if hasattr(self._frames, "close"):
            self._frames.close()


def open_video(
    source: Any,
    *,
    start: float = 0.0,
    stop: float | None = None,
    max_frames: int | None = None,
    wh: tuple[int, int] | None = None,
    fps: float | None = None,
) -> VideoStream:
    """Open a video and yield its frames one by one, so that memory does not grow with its length.

    Args:
        source: a video file of any codec that FFmpeg decodes; a URL (rtsp://, http://, s3://); a folder of
            pictures, in natural order (frame2 before frame10); "-" or an open binary file; a `Video`;
            a (t, h, w, 3) uint8 RGB array; an iterable of (h, w, 3) uint8 RGB frames; or a whole number,
            the index of a camera.
        start, stop: span in seconds from the beginning of the video; `stop` itself is not included.
        max_frames: end after this many frames.
        wh: resize every frame to (width, height), averaging pixels when it shrinks (the "edges" rule of
            `rescale_points`). Another shape changes `pixel_aspect`, so that players show the same picture.
        fps: frames per second of a source that has no time stamps (folder, array, iterable); 30 by default.

    Returns:
        A `VideoStream`. It reads the first frame at once, so that mistakes show here.

    Raises:
        FileNotFoundError: there is nothing at that path, or the folder has no pictures.
        ValueError: the source is no video, has no frames in the span, or has frames of other shapes, types or differing
            sizes; or the settings make no sense.
    """
    if start < 0 or (stop is not None and stop <= start):
        raise ValueError(f"span: expected 0 <= start < stop in seconds, got start={start}, stop={stop}")
    if max_frames is not None and max_frames < 1:
        raise ValueError(f"max_frames: expected at least 1, got {max_frames}")
    if wh is not None and (len(wh) != 2 or min(wh) < 1):
        raise ValueError(f"wh: expected (width, height) of at least 1 pixel each, got {wh}")
    if fps is not None:
        checked_fps(fps)
    frames: Iterator[TimedFrame]
    pictures = None
    if isinstance(source, VideoStream):
        refuse_fps(fps, source.name)
        frames, rate, count, name = source, source.fps, source.frame_count, source.name
        path, aspect, sound = source.path, source.pixel_aspect, source.has_sound
    else:
        frames, rate, count, name, info = open_source(source, fps, start)
        path = Path(source) if isinstance(source, str | Path) and Path(source).exists() else None
        aspect = source.pixel_aspect if isinstance(source, Video) else Fraction(1)
        aspect, sound = (aspect, False) if info is None else (info.shown_aspect(), info.has_sound)
        pictures = None if info is not None else count
    length = None if count is None else count / rate
    if count is not None:
        span = (count if stop is None else min(count, round(stop * rate))) - round(start * rate)
        count = max(span if max_frames is None else min(span, max_frames), 1)
    stored: list[tuple[int, int]] = []
    stream = VideoStream(
        _cut(frames, (start, stop), max_frames, wh, name, length, stored), rate, count, name,
        path=path, pixel_aspect=aspect, has_sound=sound,
    )  # fmt: skip
    stream.pixel_aspect = _resized_aspect(aspect, stored[0], stream.wh)
    if isinstance(source, VideoStream):
        stream._about = source.about
    else:
        stream._about = _about(stream, source, pictures, (start, stop), max_frames)
    return stream


def _about(
    stream: VideoStream,
    source: Any,
    pictures: int | None,
    span: tuple[float, float | None],
    max_frames: int | None,
) -> Callable[[], dict[str, str]]:
    """What `VideoStream.about` returns; the source is only looked at when someone asks, as it may decode frames."""
    assert stream._first is not None
    end = "the end" if span[1] is None else f"{span[1]:g} s"
    most = "" if max_frames is None else f", at most {max_frames} frames"
    digest = zlib.crc32(np.ascontiguousarray(stream._first[0]).data)
    return lambda: {
        "video": f"{identity_of(source, pictures)}, first frame {digest:08x}",
        "span of the video": f"{span[0]:g} s to {end}{most}",
    }


def _resized_aspect(aspect: Fraction, before: tuple[int, int], after: tuple[int, int]) -> Fraction:
    """The pixel aspect after resizing, so that players show the frames in the same shape as before."""
    if abs(after[0] * before[1] - before[0] * after[1]) < max(before):  # the same shape, in whole pixels
        return aspect
    return (aspect * Fraction(*before) / Fraction(*after)).limit_denominator(1000)


def read_video(
    source: Any,
    *,
    start: float = 0.0,
    stop: float | None = None,
    max_frames: int | None = None,
    wh: tuple[int, int] | None = None,
    fps: float | None = None,
) -> Video:
    """Read a whole video, or a span of it, into memory.

    Takes and raises the same as `open_video`. A frame of 1280 x 720 takes 2.8 MB. If a video does not fit into memory, use
    `open_video` or a smaller `wh`.

    Returns:
        A `Video` with the time stamps of the source: `times` starts at 0 only if `start` does.
    """
    with open_video(source, start=start, stop=stop, max_frames=max_frames, wh=wh, fps=fps) as stream:
        needed = (stream.frame_count or 0) * stream.wh[0] * stream.wh[1] * 3
        if needed > LARGE_BYTES:
            logger.warning(
                "%s: reading all of it takes about %.1f GB of memory; open_video, max_frames or a smaller "
                "wh take less", stream.name, needed / 1e9,
            )  # fmt: skip
        frames: list[Any] = []
        times = []
        for frame, seconds in stream:
            frames.append(frame)
            times.append(seconds)
    gathered = np.empty((len(frames), *frames[0].shape), np.uint8)
    for i in range(len(frames)):
        gathered[i], frames[i] = frames[i], None  # free while filling: never two copies of the video
    return Video(gathered, rate_of(times, stream.fps), np.array(times), stream.pixel_aspect)


@writes_anywhere
def write_video(path: str | Path, video: Any, fps: float | None = None, *, crf: int = 18) -> Path:
    """Write a video file: H.264 in .mp4 .m4v .mov .mkv, VP9 in .webm, or an animated .gif.

    Frames are written as they come, so a generator of any length takes no memory. The file keeps the time stamps of a
    `Video` or `VideoStream`. Many players need H.264 and VP9 with even sides, so an odd last row or column is repeated
    once.

    Args:
        path: file to write; missing folders are made, an existing file is replaced.
        video: a `Video`, a `VideoStream`, a (t, h, w, 3) uint8 RGB array, or an iterable of such frames.
        fps: frames per second; by default that of the video, or 30 for arrays and iterables. For a video with time
            stamps it replaces them.
        crf: quality, 0 (lossless) to 51 (worst); .gif ignores it.

    Returns:
        The path.

    Raises:
        ValueError: the suffix or the rate is wrong, there are no frames, the frames are not (h, w, 3) uint8 of one size, or `path` is
            the file being read.
    """
    path = Path(path)
    codec = VIDEO_CODECS.get(path.suffix.lower())
    if codec is None:
        raise ValueError(
            f"{path}: expected a video suffix, one of {', '.join(VIDEO_CODECS)}; got {path.suffix!r}"
        )
    if not 0 <= crf <= 51:
        raise ValueError(f"crf: expected 0 (lossless) to 51 (worst), got {crf}")
    if fps is not None:
        checked_fps(fps)
    timed = isinstance(video, Video | VideoStream)
    with video if isinstance(video, VideoStream) else open_video(video, fps=None if timed else fps) as stream:
        rate = exact_rate(stream.fps if fps is None else fps)
        if stream.path is not None:
            refuse_same(path, stream.path)
        with atomic_path(path) as part:
            if codec == "gif":
                _write_gif(part, (frame for frame, _ in stream), float(rate))
            else:
                options = {"crf": str(crf), **FASTER[codec]}
                _encode(part, stream, rate, codec, options, keep_times=timed and fps is None)
    return path


@writes_anywhere
def write_image(path: str | Path, frame: np.ndarray) -> Path:
    """Write one (h, w, 3) uint8 RGB frame as a picture, by suffix; missing folders are made.

    Raises:
        ValueError: the suffix is unknown, or it is not such a frame.
    """
    path = Path(path)
    if path.suffix.lower() not in PICTURE_SUFFIXES:
        raise ValueError(
            f"{path}: expected a picture suffix, one of {', '.join(PICTURE_SUFFIXES)}; got {path.suffix!r}"
        )
    frame = as_frame(frame, "frame")
    return write_bytes(
        path, cv2.imencode(path.suffix.lower(), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))[1].tobytes()
    )


def _cut(
    frames: Iterator[TimedFrame],
    span: tuple[float, float | None],
    max_frames: int | None,
    wh: tuple[int, int] | None,
    name: str,
    length: float | None,
    stored: list[tuple[int, int]],
) -> Iterator[TimedFrame]:
    """The frames within the span, checked and resized.

    `length` of the whole in seconds, if known, is for messages; `stored` gets the size of the first frame as it was.
    """
    size: tuple[int, ...] | None = None
    given = 0
    try:
        for i, (frame, seconds) in enumerate(frames):
            if seconds < span[0] - 1e-6:
                continue
            if span[1] is not None and seconds >= span[1] - 1e-6:
                break
            frame = as_frame(frame, f"{name} frame {i}")
            if size is None:
                size = frame.shape
                stored.append((size[1], size[0]))
            if frame.shape != size:
                raise ValueError(
                    f"{name} frame {i}: expected {size[1]} x {size[0]} pixels like the frames before it, "
                    f"got {frame.shape[1]} x {frame.shape[0]}; resize the frames to one size"
                )
            if wh is not None and (frame.shape[1], frame.shape[0]) != tuple(wh):
                shrinks = wh[0] <= frame.shape[1] and wh[1] <= frame.shape[0]
                frame = cv2.resize(frame, wh, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
            yield frame, seconds
            given += 1
            if given == max_frames:
                return
    finally:
        if hasattr(frames, "close"):
            frames.close()
    if not given and span != (0.0, None):
        where = f"from second {span[0]:g} " + ("on" if span[1] is None else f"to {span[1]:g}")
        known = "" if length is None else f"; the video is {length:.3g} s long"
        raise ValueError(f"{name}: expected at least one frame in the span, found none {where}{known}")


def _encode(
    path: Path, stream: VideoStream, rate: Fraction, codec: str, options: dict[str, str], keep_times: bool
) -> None:
    """Write frames with a clock so fine that both a constant rate and given times are kept."""
    import av  # imported here because pictures do not need it

    clock = rate.numerator * -(-90000 // rate.numerator)  # ticks per second; whole ticks per frame
    height, width = stream.wh[1] + stream.wh[1] % 2, stream.wh[0] + stream.wh[0] % 2
    with av.open(str(path), "w") as container:
        output: Any = container.add_stream(codec, rate=rate, options=options)
        output.width, output.height, output.pix_fmt = width, height, "yuv420p"
        context = output.codec_context
        context.sample_aspect_ratio = stream.pixel_aspect
        context.time_base = Fraction(1, clock)
        # Players guess the colour space of unmarked files from their size, so mark it.
        context.colorspace = context.color_primaries = context.color_trc = 1  # BT.709
        context.color_range = 1
        # One for all frames: to make one takes longer than to use it.
        yuv = av.video.reformatter.VideoReformatter()
        began, last = None, -1
        for i, (frame, seconds) in enumerate(stream):
            began = seconds if began is None else began
            tick = round((seconds - began) * clock) if keep_times else round(i / rate * clock)
            last = max(tick, last + 1)
            if frame.shape[:2] != (height, width):
                frame = np.pad(
                    frame, ((0, height - frame.shape[0]), (0, width - frame.shape[1]), (0, 0)), "edge"
                )
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            picture = yuv.reformat(picture, format="yuv420p", dst_colorspace=1, dst_color_range=1)
            picture.pts, picture.time_base = last, Fraction(1, clock)
            container.mux(output.encode(picture))
        container.mux(output.encode(None))


def _write_gif(path: Path, frames: Iterator[np.ndarray], fps: float) -> None:
    """A looping gif with a palette per frame; gif times are 2 to 65535 hundredths of a second."""
    from PIL import Image  # imported here because the rest of the library does not need it

    pictures = (Image.fromarray(frame) for frame in frames)
    first = next(pictures)
    pause = min(max(round(100 / fps), 2), 65535) * 10
    first.save(path, save_all=True, append_images=itertools.chain(pictures), duration=pause, loop=0)
