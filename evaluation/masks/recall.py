"""How well the cells of a video's later frames are read from the true masks of its first frame alone.

This judges the keys of the object memory (`models/object_keys.py`) without points and without a segmenter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from evaluation.masks.datasets import MaskExample
from pointtrack.objects.answer import as_cells
from pointtrack.objects.memory import ObjectMemory
from pointtrack.objects.memory_only import Features
from pointtrack.objects.point_prompts import overlap
from pointtrack.segment.base import Embedding

LEAST_CELLS = 4  # fewer cells say little of an overlap


@dataclass(frozen=True)
class Recall:
    """One object on one frame.

    Attributes:
        example: name of its video.
        frame, object_id: which.
        nearby: overlap (IoU) of its true cells with those that the memory takes for it, with positions; in [0, 1].
        anywhere: the same by appearance alone.
    """

    example: str
    frame: int
    object_id: int
    nearby: float
    anywhere: float


@torch.inference_mode()
def recall(features: Features, example: MaskExample, every: int, most: int | None = None) -> Iterator[Recall]:
    """Read every few frames of a video from its first one.

    Args:
        features: of a tracker, as `tracker_features` makes them.
        example: only objects that the first frame shows count.
        every: frames from one that is read to the next.
        most: number of objects, largest first; all by default.
    """
    began = [object_id for object_id, frame in example.starts().items() if frame == 0]
    began.sort(key=lambda object_id: -int(example.true_mask(object_id, 0).sum()))
    chosen = began[:most]
    if not chosen:
        return
    memory = ObjectMemory(len(chosen))
    for frame in range(0, len(example.video), every):
        if not example.annotated[frame]:
            continue
        grid = Embedding(example.video.wh, features(example.video.frames[frame]))
        masks = torch.stack(
            [as_cells(torch.from_numpy(example.true_mask(one, frame)), grid) for one in chosen]
        )
        if frame == 0:
            memory.add(0, grid.features, masks, given=True)
            continue
        h, w = grid.features.shape[1:]
        truth = F.adaptive_avg_pool2d(masks[None], (h, w))[0] > 0.5
        nearby, anywhere = (
            memory.read(grid.features, anywhere=way, note=False).share.cpu() > 0.5 for way in (False, True)
        )
        for o, object_id in enumerate(chosen):
            if int(truth[o].sum()) >= LEAST_CELLS:
                yield Recall(
                    example.name,
                    frame,
                    object_id,
                    overlap(nearby[o], truth[o]),
                    overlap(anywhere[o], truth[o]),
                )


def mean_recalls(found: Iterable[Recall]) -> dict[str, dict[str, float]]:
    """Means in per cent per video, and of the videos together."""
    by_example: dict[str, list[Recall]] = {}
    for one in found:
        by_example.setdefault(one.example, []).append(one)
    rows = {
        name: {
            way: 100 * float(np.mean([getattr(one, way) for one in group])) for way in ("nearby", "anywhere")
        }
        for name, group in by_example.items()
    }
    if rows:
        rows["mean"] = {
            way: float(np.mean([row[way] for row in rows.values()])) for way in ("nearby", "anywhere")
        }
    return rows
