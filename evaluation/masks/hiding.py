"""Objects that something hides: a pillar, as a picture of another video, passes before them.

Followed masks should be empty while an object is hidden, and find it when it comes into view again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from evaluation.masks.datasets import MaskExample
from evaluation.masks.davis_metrics import region_similarity
from evaluation.masks.protocol import MaskMethod, first_mask_prompts
from evaluation.pillar import FRAMES, Phases, cover
from pointtrack.types import Video
from pointtrack.types.masks import Masks

MARGIN = 0.01  # by how much the pillar is wider than the object on either side, in widths of the frame


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
    w = example.video.wh[0]
    phases = Phases.of(count)
    left, right = np.zeros(count), np.zeros(count)
    for t in range(phases.before.stop, phases.after.start):
        columns = masks[t, 0].any(0).nonzero()
        left[t] = int(columns.min()) - round(MARGIN * w)
        right[t] = int(columns.max()) + 1 + round(MARGIN * w)
    frames, covered = cover(frames, left, right, picture, phases)
    masks[:, 0] &= ~torch.from_numpy(covered)[:, None]
    truth = Masks(masks, object_ids=example.truth.object_ids[chosen])
    video = Video(frames, fps=example.video.fps)
    starts, annotated = torch.zeros(1, dtype=torch.int64), example.annotated[:count]
    return MaskExample(example.name, video, truth, starts, annotated), phases


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
