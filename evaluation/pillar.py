"""A pillar that passes before what is followed, hides it for a while, and leaves again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np

from evaluation.masks.datasets import MaskExample
from evaluation.points.example import Example

One = TypeVar("One", MaskExample, Example)

FRAMES = 45  # longer videos are cut
# Shares of the frames: in view, while the pillar comes, hidden, while it goes; in view again for the rest.
IN_VIEW, PASSING, HIDDEN = 0.18, 0.11, 0.27


@dataclass(frozen=True)
class Phases:
    """Frames of a video, as ranges: an object is in view before, hidden, and in view again after."""

    before: range
    hidden: range
    after: range

    @classmethod
    def of(cls, frames: int) -> Phases:
        """Divide this many frames."""
        begin, passing, hidden = (round(share * frames) for share in (IN_VIEW, PASSING, HIDDEN))
        gone = begin + passing
        back = gone + hidden + passing
        return cls(range(1, begin), range(gone, gone + hidden), range(back, frames))


def cover(
    frames: np.ndarray, left: np.ndarray, right: np.ndarray, picture: np.ndarray, phases: Phases
) -> tuple[np.ndarray, np.ndarray]:
    """Let a pillar pass over a range of columns: it comes from the left, covers it, and leaves to the right.

    Args:
        frames: (t, h, w, 3) uint8.
        left, right: (t,) columns, the first covered one and the one after the last, while the pillar is there.
        picture: (h, w, 3) uint8 of any size; the pillar shows the part of it that lies there.
        phases: when it comes and goes.

    Returns:
        Frames with the pillar, and (t, w) bool, the columns that it covers.
    """
    _, h, w, _ = frames.shape
    frames, pillar = frames.copy(), cv2.resize(picture, (w, h), interpolation=cv2.INTER_AREA)
    covered = np.zeros((len(frames), w), dtype=bool)
    passing = phases.hidden.start - phases.before.stop
    for t in range(phases.before.stop, phases.after.start):
        begin, end = max(round(left[t]), 0), min(round(right[t]), w)
        come = min((t - phases.before.stop + 1) / (passing + 1), 1.0)
        gone = max((t - phases.hidden.stop + 1) / (passing + 1), 0.0)
        covered[t, round(begin + gone * (end - begin)) : round(begin + come * (end - begin))] = True
        frames[t][:, covered[t]] = pillar[:, covered[t]]
    return frames, covered


def with_pictures(examples: Iterable[One]) -> Iterator[tuple[One, np.ndarray]]:
    """Every example with the first frame of the one before; the first comes at the end, with that of the last.

    Raises:
        ValueError: fewer than two examples.
    """
    first = before = None
    for example in examples:
        if before is None:
            first = example
        else:
            yield example, before.video.frames[0]
        before = example
    if first is None or before is None or first is before:
        raise ValueError(f"datasets: expected two videos or more, got {int(first is not None)}")
    yield first, before.video.frames[0]
