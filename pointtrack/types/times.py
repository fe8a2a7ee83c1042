"""Consecutive rows, and their times in seconds if these do not follow from a constant rate."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np


def checked_times(times: Any, count: int, name: str) -> np.ndarray:
    """(count,) float64 seconds. Raises ValueError, starting with the name, for anything else or times out of order."""
    times = np.asarray(times, np.float64)
    if times.shape != (count,):
        raise ValueError(f"{name}: expected one per frame ({count},), got shape {times.shape}")
    if not np.isfinite(times).all() or np.any(np.diff(times) <= 0):
        raise ValueError(
            f"{name}: expected increasing seconds, got a frame that is not later than the one before"
        )
    return times


def follow_rate(times: Any, first_frame: int, fps: float) -> bool:
    """Whether a rate gives these seconds of the frames from `first_frame` on to 0.1 ms, so that nobody need keep them."""
    return bool(np.abs((first_frame + np.arange(len(times))) / fps - times).max(initial=0) < 1e-4)


def rate_of(times: Any, fps: float) -> float:
    """Frames per second of frames with these times: `fps`, or their average rate if it differs by more than a tenth.

    File headers may be wrong, and say little if the rate varies.

    >>> rate_of([0, 0.1, 1.2], 10), rate_of([0, 0.1, 0.21], 10), rate_of([5], 10)
    (1.6666666666666667, 10, 10)
    """
    if len(times) < 2 or times[-1] <= times[0]:
        return fps
    average = float((len(times) - 1) / (times[-1] - times[0]))
    return average if abs(average / fps - 1) > 0.1 else fps


def exact_rate(fps: float) -> Fraction:
    """Frames per second as a fraction, as files store them: a float close to a television rate stands for that rate.

    >>> exact_rate(23.976), exact_rate(12.5), exact_rate(1 / 3600)
    (Fraction(24000, 1001), Fraction(25, 2), Fraction(1, 3600))
    """
    for whole in (24, 30, 48, 60, 120):
        if abs(fps - whole / 1.001) < 0.005:
            return Fraction(whole * 1000, 1001)
    return Fraction(fps).limit_denominator(1001) or Fraction(1, round(1 / fps))


def joined_frames(parts: Sequence[Any], name: str) -> int:
    """The number of frames in consecutive pieces of a video. Raises ValueError, starting with the name, if there are
    no pieces, if a piece does not begin where the previous one ends, or if sizes differ.
    """
    if not parts:
        raise ValueError(f"{name}: expected at least one piece, got none")
    end = parts[0].first_frame
    for part in parts:
        if part.wh != parts[0].wh:
            raise ValueError(f"{name}: expected pieces of one size, got {parts[0].wh} and {part.wh}")
        if part.first_frame != end:
            raise ValueError(f"{name}: expected a piece from frame {end}, got {part.first_frame}")
        end += len(part)
    return int(end - parts[0].first_frame)


def joined_times(parts: Sequence[Any]) -> np.ndarray | None:
    """The times of consecutive pieces; None if no piece has times, or if they do not increase."""
    if all(part.times is None for part in parts):
        return None
    times = np.concatenate([part.seconds() for part in parts])
    return times if np.all(np.diff(times) > 0) else None


def placed_in(rows: Any, times: np.ndarray, name: str) -> int:
    """The frame of a video that the first row of tracks or masks belongs to: `first_frame`, or, where the video is a
    clip of the one that they are of, the frame of the same time.

    Args:
        rows: `Tracks` or `Masks`.
        times: (t,) seconds of the video's frames.
        name: what the rows are, for the message.

    Raises:
        ValueError: the rows reach beyond the video.
    """
    first, count = rows.first_frame, len(rows)
    near = float(np.diff(times).min()) / 2 if len(times) > 1 else 0.0
    if count and times[0] > near:  # the video starts later: a clip, or it was read from there on
        there = int(np.abs(times - rows.seconds()[0]).argmin())
        same = times[there : there + count]
        if len(same) == count and np.abs(same - rows.seconds()).max() < near:
            first = there
    if first + count > len(times):
        raise ValueError(
            f"{name}: expected frames within 0..{len(times) - 1} of the video, got {first}..{first + count - 1}; "
            f"for a part, draw on the whole video and clip what is drawn, or clip the {name} too"
        )
    return first
