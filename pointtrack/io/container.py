"""The metadata of a video file, read in one place: rate, length, orientation, pixel aspect, sound, HDR.

This module never uses `frame.side_data` of PyAV: it fails on kinds that it does not know (EXIF), and frees some
that it does not own (colour profiles), which crashes the process at garbage collection. Bad optional metadata never
stops the reading.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

LARGEST_PIXELS = 1 << 28  # of a frame: 16 times 4K
_LARGEST_MOOV = 256 << 20
_HDR = {16: "HDR (PQ)", 18: "HDR (HLG)"}  # codes of ITU-T H.273


@dataclass(frozen=True, eq=False)
class ContainerInfo:
    """The metadata of a file's video.

    Attributes:
        fps: frames per second, the nominal rate.
        count: number of frames to expect; None if the file does not say.
        seconds: length of the video; None if the file does not say.
        packets: number of stored pictures in the file's index, without those that an edit list hides; None without
            an index.
        has_stamps: True if the time stamps are those of the pictures in display order.
        matrix: (2, 2) from stored (x, y) to shown (x, y), y down, from the track's header; None if only the frames have
            it.
        pixel_aspect: width of a pixel divided by its height.
        has_sound: True if the file has sound.
        remarks: what the user should know: interlaced, HDR.
    """

    fps: float
    count: int | None
    seconds: float | None
    packets: int | None
    has_stamps: bool
    matrix: np.ndarray | None
    pixel_aspect: Fraction
    has_sound: bool
    remarks: tuple[str, ...]

    def shown_aspect(self) -> Fraction:
        """Width of a pixel divided by its height in upright frames."""
        turned = self.matrix is not None and abs(self.matrix[0, 1]) > abs(self.matrix[0, 0])
        return 1 / self.pixel_aspect if turned else self.pixel_aspect

    def orientation(self, frame: Any) -> np.ndarray:
        """(2, 2) row-vector matrix from stored (x, y) to shown (x, y), y down, for a decoded frame."""
        if self.matrix is not None:
            return self.matrix
        turn = math.radians(-getattr(frame, "rotation", 0))
        return np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])


def video_stream(container: Any) -> Any | None:
    """The first video stream that is not album cover art."""
    import av  # imported here because reading pictures does not need it

    covers = av.stream.Disposition.attached_pic
    return next((stream for stream in container.streams.video if not stream.disposition & covers), None)


def describe(container: Any, stream: Any, source: Any) -> ContainerInfo:
    """The metadata of one stream of an open container; `source` is what the container was opened from."""
    import av

    rate = stream.average_rate or stream.guessed_rate or Fraction(30)
    if stream.guessed_rate and abs(stream.guessed_rate / rate - 1) < 0.02:
        rate = stream.guessed_rate  # the nominal rate: the average is off by the length of the last frame
    count, seconds, packets = stream.frames or None, None, None
    if stream.duration and stream.time_base:
        seconds = float(stream.duration * stream.time_base)
    elif container.duration and len(container.streams) == 1:
        seconds = container.duration / av.time_base
        if "matroska" in container.format.name and (container.start_time or 0) > 0:
            # Its header counts from 0, not from the first frame.
            seconds -= container.start_time / av.time_base
    is_mov = "mov" in container.format.name.split(",")
    if is_mov:
        packets = len(getattr(stream, "index_entries", ())) or None
        count = min(count, packets) if count and packets else count
    if count is None and seconds is not None:
        count = round(Fraction(seconds).limit_denominator(1_000_000) * rate) or None
    return ContainerInfo(
        fps=float(rate),
        count=count,
        seconds=seconds,
        packets=packets,
        # avi numbers frames in stored order, not in display order
        has_stamps=container.format.name != "avi",
        matrix=_track_matrix(source, stream.id) if is_mov else None,
        pixel_aspect=_pixel_aspect(stream),
        has_sound=bool(container.streams.audio),
        remarks=_remarks(stream),
    )


def _pixel_aspect(stream: Any) -> Fraction:
    aspect = stream.sample_aspect_ratio or Fraction(1)
    return aspect if Fraction(1, 16) < aspect < 16 else Fraction(1)


def _remarks(stream: Any) -> tuple[str, ...]:
    said = []
    context = stream.codec_context
    order = getattr(getattr(context, "field_order", None), "value", getattr(context, "field_order", None))
    if order not in (None, 0, 1, "progressive", "unknown"):
        said.append("interlaced: both fields of a frame are tracked as one picture; deinterlace it first")
    transfer = getattr(context.color_trc, "value", context.color_trc)
    if transfer in _HDR:
        said.append(f"{_HDR[transfer]}: colours are taken as they are stored, and look pale")
    return tuple(said)


def _track_matrix(source: Any, track: int) -> np.ndarray | None:
    """The matrix in the header of a track of an MP4 or MOV file, the only place that records mirroring."""
    try:
        if isinstance(source, str | Path):
            with Path(source).open("rb") as file:
                return _find_matrix(file, track)
        if hasattr(source, "seek") and source.seekable():
            place = source.tell()
            try:
                source.seek(0)
                return _find_matrix(source, track)
            finally:
                source.seek(place)
    except (OSError, ValueError, struct.error, AttributeError):
        pass
    return None


def _find_matrix(file: BinaryIO, track: int) -> np.ndarray | None:
    moov = _top_box(file, b"moov")
    for trak in _boxes(moov, b"trak"):
        for head in _boxes(trak, b"tkhd"):
            long = 12 if head[0] == 1 else 0  # version 1 stores times in 8 bytes
            (number,) = struct.unpack_from(">I", head, 12 + (8 if long else 0))
            if number != track:
                continue
            values = struct.unpack_from(">9i", head, 40 + long)
            matrix = np.array([[values[0], values[1]], [values[3], values[4]]], float)
            return matrix if abs(np.linalg.det(matrix)) > 0 else None
    return None


def _top_box(file: BinaryIO, kind: bytes) -> bytes:
    """The content of a top-level box; empty if there is none."""
    while len(head := file.read(8)) == 8:
        size, name = struct.unpack(">I4s", head)
        begun = 8
        if size == 1:
            (size,) = struct.unpack(">Q", file.read(8))
            begun = 16
        if name == kind:
            return file.read(min(size - begun, _LARGEST_MOOV)) if size > begun else b""
        if size < begun:  # 0: up to the end of the file
            break
        file.seek(size - begun, 1)
    return b""


def _boxes(content: bytes, kind: bytes) -> list[bytes]:
    found, at = [], 0
    while at + 8 <= len(content):
        size, name = struct.unpack_from(">I4s", content, at)
        if size < 8:
            break
        if name == kind:
            found.append(content[at + 8 : at + size])
        at += size
    return found
