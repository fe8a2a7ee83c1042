"""How well a prompt on a later frame is answered: alone, and with what the first frame tells of the object.

Nothing is followed, so this takes seconds per video, and tells only of the frames that are prompted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from evaluation.masks.clicks import box_around, next_click, prompt_of, simulate_clicks
from evaluation.masks.datasets import MaskExample
from pointtrack.objects.engine import Engine, ObjectResult
from pointtrack.objects.point_prompts import KnownMask, overlap
from pointtrack.segment.base import Prompt

KNOWN = ("nothing", "one click", "three clicks", "its box", "its mask")
LEAST_SHARE = 0.002  # of the frame; smaller objects are not prompted


@dataclass(frozen=True)
class LaterPrompt:
    """A prompt for an object on one frame.

    Attributes:
        example: name of the video.
        frame, object_id: where it is.
        overlaps: overlap (IoU) of the answer and the true mask in [0, 1], by what is known of the first frame (`KNOWN`).
        scores: the overlap that each answer states.
    """

    example: str
    frame: int
    object_id: int
    overlaps: dict[str, float]
    scores: dict[str, float]


def prompt_later(
    engine: Engine, example: MaskExample, every: int, most: int | None = None, *, boxes: bool = False
) -> Iterator[LaterPrompt]:
    """Prompt the objects of a video every few frames after the first one.

    Args:
        engine: answers the prompts.
        example: the objects that its first frame shows count.
        every: frames from one that is prompted to the next.
        most: number of objects, largest first; all by default.
        boxes: prompt with boxes around the objects; otherwise with clicks in the middle of their largest part.
    """
    began = [object_id for object_id, frame in example.starts().items() if frame == 0]
    began.sort(key=lambda object_id: -int(example.true_mask(object_id, 0).sum()))
    least = LEAST_SHARE * example.video.wh[0] * example.video.wh[1]
    for object_id in began[:most]:
        known = _known(engine, example, object_id)
        for frame in range(every, len(example.video), every):
            truth = example.true_mask(object_id, frame)
            click = next_click(truth)
            if not example.annotated[frame] or int(truth.sum()) < least or click is None:
                continue
            prompt = box_around(truth) if boxes else prompt_of([click])
            overlaps, scores = {}, {}
            for name, masks in known.items():
                found = engine.answer(example.video, frame, prompt, elsewhere=masks)
                overlaps[name] = overlap(found.mask, torch.from_numpy(truth))
                scores[name] = found.score
            yield LaterPrompt(example.name, frame, object_id, overlaps, scores)


def mean_overlaps(found: Iterable[LaterPrompt]) -> dict[str, dict[str, float]]:
    """Video -> what is known -> the mean overlap in percent, over its prompts.

    Then `mean`, that of the videos, and `error of the score`, the mean distance between stated and true overlap.
    """
    by_video: dict[str, list[LaterPrompt]] = {}
    for one in found:
        by_video.setdefault(one.example, []).append(one)
    if not by_video:
        return {}
    rows = {video: _means([one.overlaps for one in prompts]) for video, prompts in by_video.items()}
    errors = [
        _means([{name: abs(one.scores[name] - one.overlaps[name]) for name in KNOWN} for one in prompts])
        for prompts in by_video.values()
    ]
    means = {
        title: _means(of, 1) for title, of in (("mean", list(rows.values())), ("error of the score", errors))
    }
    return rows | means


def _means(values: Sequence[dict[str, float]], factor: float = 100) -> dict[str, float]:
    return {name: factor * float(np.mean([one[name] for one in values])) for name in KNOWN}


def _known(engine: Engine, example: MaskExample, object_id: int) -> dict[str, list[KnownMask]]:
    """What is known of an object's first frame -> its masks there."""
    truth = example.true_mask(object_id, 0)

    def answer(prompt: Prompt) -> ObjectResult:
        return engine.answer(example.video, 0, prompt)

    clicks = simulate_clicks(truth, 3, lambda clicks: answer(prompt_of(clicks)).mask.numpy())
    answers = [answer(prompt) for prompt in (prompt_of(clicks[:1]), prompt_of(clicks), box_around(truth))]
    known = [KnownMask(0, one.mask, one.score) for one in answers]
    masks: list[list[KnownMask]] = [[], *([one] for one in known), [KnownMask(0, torch.from_numpy(truth))]]
    return dict(zip(KNOWN, masks, strict=True))
