"""Checks of the frame numbers that sessions are given."""

from __future__ import annotations

from pointtrack.types import Video


def checked_frame(frame: int, video: Video) -> int:
    """The number of a frame of the video. Raises ValueError for anything else."""
    if isinstance(frame, bool) or int(frame) != frame or not 0 <= frame < len(video):
        raise ValueError(f"frame: expected a whole number in 0..{len(video) - 1}, got {frame!r}")
    return int(frame)


def checked_range(start: int, stop: int | None, video: Video) -> range:
    """The frames start..stop-1 of the video; None stops after the last. Raises ValueError for none or others."""
    stop = len(video) if stop is None else stop
    if not 0 <= start < stop <= len(video):
        raise ValueError(
            f"frames: expected 0 <= start < stop <= {len(video)}, got start {start} and stop {stop}"
        )
    return range(start, stop)
