"""Objects that something hides: a pillar, as a picture of another video, passes before them.

Followed masks should be empty while an object is hidden, and find it when it comes into view again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from evaluation.masks.datasets import MaskExample
from evaluation.masks.davis_metrics import region_similarity
from evaluation.masks.protocol import MaskMethod, first_mask_prompts
from pointtrack.types import Video
from pointtrack.types.masks import Masks

FRAMES = 45  # longer videos are cut
# Shares of the frames: in view, while the pillar comes, hidden, while it goes; in view again for the rest.
IN_VIEW, PASSING, HIDDEN = 0.18, 0.11, 0.27
MARGIN = 0.01  # by how much the pillar is wider than the object on either side, in widths of the frame


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


@dataclass(frozen=True)
class Hiding:
    """One video, all in per cent.

    Attributes:
        example: name of the video.
        before: mean overlap (IoU) with the true mask while the object is in view at first.
        empty: share of the frames with the object hidden on which the mask is empty.
        after: mean overlap with the true mask when it is in view again.
    """

    example: str
    before: float
    empty: float
    after: float


def hide(example: MaskExample, picture: np.ndarray) -> tuple[MaskExample, Phases] | None:
    """Let a pillar pass before the largest object of the first frame.

    The pillar reaches from the top to the bottom of the frame. It comes from the left, stays before the object wherever
    that goes, and leaves to the right.

    Args:
        example: a video with known masks.
        picture: (h, w, 3) uint8 of any size; the pillar shows the part of it that lies there.

    Returns:
        The first frames of the example with the pillar and that object alone, and when it is hidden; None if no object
        is on every one of these frames.
    """
    count = min(len(example.video), FRAMES)
    drawn = example.truth.masks[:count].flatten(2).any(2).all(0)
    areas = example.truth.masks[0].flatten(1).sum(1) * drawn
    if not areas.any():
        return None
    chosen = areas.argmax().reshape(1)
    masks = example.truth.masks[:count, chosen].clone()
    frames = np.array(example.video.frames[:count])
    w, h = example.video.wh
    pillar = cv2.resize(picture, (w, h), interpolation=cv2.INTER_AREA)
    phases = Phases.of(count)
    passing = phases.hidden.start - phases.before.stop
    for t in range(phases.before.stop, phases.after.start):
        columns = masks[t, 0].any(0).nonzero()
        left = max(int(columns.min()) - round(MARGIN * w), 0)
        right = min(int(columns.max()) + 1 + round(MARGIN * w), w)
        come = min((t - phases.before.stop + 1) / (passing + 1), 1.0)
        gone = max((t - phases.hidden.stop + 1) / (passing + 1), 0.0)
        covered = slice(round(left + gone * (right - left)), round(left + come * (right - left)))
        frames[t, :, covered] = pillar[:, covered]
        masks[t, :, :, covered] = False
    truth = Masks(masks, object_ids=example.truth.object_ids[chosen])
    video = Video(frames, fps=example.video.fps)
    starts, annotated = torch.zeros(1, dtype=torch.int64), example.annotated[:count]
    return MaskExample(example.name, video, truth, starts, annotated), phases


def with_pictures(examples: Iterable[MaskExample]) -> Iterator[tuple[MaskExample, np.ndarray]]:
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


def follow_hidden(method: MaskMethod, example: MaskExample, phases: Phases) -> Hiding:
    """Follow the object of an example from `hide` from its first mask."""
    found = method(example.video, first_mask_prompts(example)).masks[:, 0].numpy()
    truth = example.truth.masks[:, 0].numpy()

    def mean_overlap(frames: range) -> float:
        known = [t for t in frames if example.annotated[t]]
        return 100 * float(region_similarity(found[known], truth[known]).mean())

    empty = 100 * float(np.mean([not found[t].any() for t in phases.hidden]))
    return Hiding(example.name, mean_overlap(phases.before), empty, mean_overlap(phases.after))


def mean_hiding(found: Iterable[Hiding]) -> Hiding:
    """The mean over videos."""
    rows = np.array([(one.before, one.empty, one.after) for one in found])
    return Hiding("mean", *rows.mean(0).tolist())
