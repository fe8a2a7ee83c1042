"""Frames of one video with their times."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from pointtrack.checks import array_of, checked_fps, counted
from pointtrack.types.frames import as_frames
from pointtrack.types.html import video_html
from pointtrack.types.lazy_frames import LazyFrames
from pointtrack.types.times import checked_times


@dataclass(frozen=True, eq=False)
class Video:
    """Frames of one video with their times.

    Args:
        frames: (t, h, w, 3) uint8 RGB, at least one frame, as a numpy array or torch tensor; grey, RGBA and channels
            first work too. Or `LazyFrames`, which are read on demand.
        fps: frames per second.
        times: (t,) seconds of every frame, increasing; from `fps` if not given.
        pixel_aspect: width of a pixel divided by its height; 1 for nearly all videos.

    Raises:
        ValueError: the frames have another shape or type, there are none, or the times do not fit or do not increase.
    """

    frames: np.ndarray
    fps: float = 30.0
    times: np.ndarray = None  # type: ignore[assignment]
    pixel_aspect: Fraction = Fraction(1)

    def __post_init__(self) -> None:
        lazy = isinstance(self.frames, LazyFrames)
        frames = self.frames if lazy else as_frames(self.frames, "video frames")
        if 0 in frames.shape:
            raise ValueError(f"video frames: expected at least one frame and one pixel, got {frames.shape}")
        checked_fps(self.fps)
        times = np.arange(len(frames)) / self.fps if self.times is None else self.times
        times = checked_times(times, len(frames), "times")
        object.__setattr__(self, "frames", frames)
        object.__setattr__(self, "fps", float(self.fps))
        object.__setattr__(self, "times", times)

    @classmethod
    def of(cls, video: Any) -> Video:
        """A `Video` as it is, or one of 30 frames per second from an array of frames. Errors as for `frames`."""
        return video if isinstance(video, cls) else cls(video)

    def __len__(self) -> int:
        return len(self.frames)

    def __repr__(self) -> str:
        return (
            f"Video({counted(len(self), 'frame')} of {self.wh[0]} x {self.wh[1]}, {self.fps:.4g} per second)"
        )

    def _repr_html_(self) -> str:
        return video_html(self)

    @property
    def wh(self) -> tuple[int, int]:
        """Image size as (width, height) in pixels."""
        return self.frames.shape[2], self.frames.shape[1]

    def fingerprint(self) -> str:
        """Size and digest of some frames. It tells videos apart without reading all frames."""
        return f"{len(self)} frames of {self.wh[0]} x {self.wh[1]}, digest {digest_of(self.frames):08x}"

    def clip(self, start: int = 0, stop: int | None = None) -> Video:
        """Frames start..stop-1 with their times. The pixels are shared, not copied."""
        return Video(self.frames[start:stop], self.fps, self.times[start:stop], self.pixel_aspect)

    def split(self, chunk: int) -> Iterator[np.ndarray]:
        """Consecutive pieces of at most `chunk` frames, each (t, h, w, 3) uint8."""
        if chunk < 1:
            raise ValueError(f"chunk: expected at least 1 frame, got {chunk}")
        for start in range(0, len(self), chunk):
            yield self.frames[start : start + chunk]


def digest_of(frames: Any) -> int:
    """CRC-32 of the first, the middle and the last of some frames: an array, a sequence of arrays or `LazyFrames`."""
    digest = 0
    for frame in (0, len(frames) // 2, len(frames) - 1):
        digest = zlib.crc32(np.ascontiguousarray(array_of(frames[frame])).data, digest)
    return digest
