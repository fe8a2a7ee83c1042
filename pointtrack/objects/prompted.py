"""Answers a person's prompt on a frame: clicks one after the other, each correcting the previous answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import torch
from torch import Tensor

from pointtrack.objects.answer import pieces_with, points_inside
from pointtrack.objects.corrections import corrected, not_larger
from pointtrack.objects.engine import ObjectResult
from pointtrack.objects.known_mask import Expected
from pointtrack.objects.point_prompts import Shown, agreement, overlap, read_mask
from pointtrack.segment.base import Candidates, Embedding, Prompt, Segmenter

# Reach of the correction around a click that the segmenter did not follow.
CLICK_REACH_PX = 12.0
# A click within PART_REACH of the mask it corrects is on a part of the same object: often one that is missing, such as
# the head above a coat. Farther away, the mask is on something else. An added click on the mask is at least
# CLEAR_OF_CLICKS from all clicks. Both are in square roots of the mask's area.
PART_REACH, CLEAR_OF_CLICKS = 1.0, 0.25
INSIDE = 16  # points of the mask from which that added click is chosen
# How far an object may reach out of its box, as a share of the box's sides.
BOX_SLACK = 0.08
# How much an expected mask counts, if it is certain: in the choice among the candidates, in each pixel, and in the score.
EXPECTED_CHOICE, EXPECTED_PIXELS, EXPECTED_SCORE = 1.0, 0.5, 0.5
# With less overlap of the answer to a box and the mask that is expected in it, the box is around something else.
SAME_IN_BOX = 0.2


def answer_prompt(
    segmenter: Segmenter,
    embedding: Embedding,
    prompt: Prompt,
    before: Tensor | None = None,
    shown: Shown | None = None,
    expected: Callable[[], Expected | None] = lambda: None,
) -> ObjectResult:
    """Answer a person's prompt on a frame; every click is honoured.

    Several clicks at once give the same answer as the same clicks one after the other.

    Args:
        segmenter: draws the masks.
        embedding: the segmenter's embedding of the frame.
        prompt: points or a box. A box starts over.
        before: (h, w) bool mask that the prompt corrects; only what the clicks point at changes (`corrections.py`). If
            no click is inside it, a click on it is added. It is ignored if all clicks on the object are far from it.
        shown: the earlier answer to the first clicks of the prompt; without it they are answered once more.
        expected: returns what other frames tell of the object here, if anything. It is asked where a click or a box begins
            a mask, and helps to tell which part, object or group is meant.
    """
    return _answers(segmenter, embedding, prompt, before, shown, expected, several=False)[0]


def answer_prompt_variously(
    segmenter: Segmenter,
    embedding: Embedding,
    prompt: Prompt,
    before: Tensor | None = None,
    expected: Callable[[], Expected | None] = lambda: None,
) -> list[ObjectResult]:
    """All candidates for a prompt (a part, an object, a group), the best first; arguments as of `answer_prompt`."""
    return _answers(segmenter, embedding, prompt, before, None, expected, several=True)


def _answers(
    segmenter: Segmenter,
    embedding: Embedding,
    prompt: Prompt,
    before: Tensor | None,
    shown: Shown | None,
    expected: Callable[[], Expected | None],
    *,
    several: bool,
) -> list[ObjectResult]:
    """The readings of a prompt after its last click, the best first."""
    mask, answered = (None, 0) if shown is None else (shown.mask, shown.clicks)
    begun = shown is not None or (before is not None and prompt.box is None)
    readings: list[ObjectResult] = []
    for count in _steps(prompt, begun, answered):
        so_far = _first(prompt, count)
        corrects = None if before is None or prompt.box is not None or _far_from(so_far, before) else before
        if mask is None or not mask.any():
            mask = corrects
        known = expected() if mask is None else None
        if known is not None and not read_mask(known.logits > 0, so_far.points[so_far.labels]).all():
            known = None  # what is expected is something else
        last = count == len(prompt.points)
        readings = _readings(segmenter, embedding, so_far, corrects, mask, known, several=several and last)
        mask = readings[0].mask
    return readings


def _steps(prompt: Prompt, begun: bool, answered: int) -> list[int]:
    """The number of clicks that each step prompts with.

    Args:
        begun: there is a mask already, which answers the first `answered` clicks. Otherwise a box, or else the first
            click on the object, makes one.
    """
    count = len(prompt.points)
    if begun:
        return [*range(answered + 1, count), count]
    if prompt.box is not None:
        return [*range(count), count]
    first = int(prompt.labels.long().argmax()) + 1 if prompt.labels.any() else count
    return [*range(first, count), count]


def _first(prompt: Prompt, count: int) -> Prompt:
    """The prompt with only its first clicks."""
    return replace(prompt, points=prompt.points[:count], labels=prompt.labels[:count])


def _readings(
    segmenter: Segmenter,
    embedding: Embedding,
    prompt: Prompt,
    before: Tensor | None,
    mask: Tensor | None,
    expected: Expected | None,
    *,
    several: bool,
) -> list[ObjectResult]:
    """The readings of a prompt, the best first; `mask` is the answer to all clicks but the last."""
    # A single click may mean a part, an object or a group; anything more is clear.
    several = several or (len(prompt.points) == 1 and prompt.box is None and mask is None)
    asked = prompt if before is None or mask is None else _with_click_on(prompt, mask)
    candidates = _decoded(segmenter, embedding, asked, mask, several, alone_too=before is None)
    inside, beside = asked.points[asked.labels], asked.points[~asked.labels]
    all_logits = candidates.logits.float().cpu()
    if expected is not None and prompt.box is not None and not _in_box(expected, all_logits, prompt.box):
        expected = None  # it is something else
    if expected is not None:
        all_logits = all_logits + EXPECTED_PIXELS * expected.trust * expected.logits
    values = [
        _fit(logits > 0, inside, beside, expected) + float(score)
        for logits, score in zip(all_logits, candidates.scores, strict=True)
    ]
    answers = []
    for place in np.argsort(-np.array(values), kind="stable").tolist():
        logits = all_logits[place]
        if len(inside):  # a piece without a click is seldom meant
            meant = pieces_with(logits > 0, inside)
            logits = torch.where(meant, logits, logits.clamp(max=-1)) if meant.any() else logits
        if prompt.box is not None:
            logits = torch.where(around_box(prompt.box, embedding.wh), logits, logits.clamp(max=-1))
        if before is not None and mask is not None:
            changed = corrected(mask, logits > 0, prompt.points, prompt.labels)
            logits = torch.where(changed, logits.clamp(min=1), logits.clamp(max=-1))
        found = honour_clicks(logits, prompt.points, prompt.labels) > 0
        found = not_larger(found, mask, prompt.labels[-1:])
        score = float(candidates.scores[place].clamp(0, 1))
        if expected is not None:
            score += EXPECTED_SCORE * expected.trust * (overlap(found, expected.logits > 0) - score)
        score *= bool(found.any())
        answers.append(ObjectResult(found, score, score))
    return answers


def _in_box(expected: Expected, all_logits: Tensor, box: Tensor) -> bool:
    """Whether what is expected in a box overlaps with one of the (m, h, w) candidates for the box."""
    h, w = all_logits.shape[1:]
    inside = around_box(box, (w, h))
    there = (expected.logits > 0) & inside
    return bool(there.any()) and any(
        overlap((logits > 0) & inside, there) >= SAME_IN_BOX for logits in all_logits
    )


def _fit(mask: Tensor, inside: Tensor, beside: Tensor, expected: Expected | None) -> float:
    """How well a candidate agrees with the clicks inside and beside the object, and with what is expected."""
    fit = agreement(mask, inside, beside)
    if expected is not None:
        meant = pieces_with(mask, inside)
        fit += EXPECTED_CHOICE * expected.trust * overlap(meant, expected.logits > 0)
    return fit


def _decoded(
    segmenter: Segmenter,
    embedding: Embedding,
    prompt: Prompt,
    mask: Tensor | None,
    several: bool,
    *,
    alone_too: bool,
) -> Candidates:
    """The segmenter's candidates for a prompt; `mask`, if any, is the answer to all clicks but the last.

    Args:
        alone_too: decode the clicks without the mask as well, and take the mean. The mask keeps what is right and also
            what is wrong; the clicks alone keep neither. The mean is better than both.
    """
    if mask is None:
        return segmenter.decode(embedding, prompt, several=several)
    with_mask = replace(prompt, mask_logits=segmenter.as_low(mask))
    together = segmenter.decode(embedding, with_mask, several=several)
    if not alone_too:
        return together
    alone = segmenter.decode(embedding, prompt, several=several)
    return Candidates(
        (alone.logits + together.logits) / 2,
        (alone.scores + together.scores) / 2,
        (alone.low + together.low) / 2,
    )


def _with_click_on(prompt: Prompt, before: Tensor) -> Prompt:
    """Add a click on the mask to a correction without one, as a mask alone means little to a segmenter.

    If the mask came from other frames, it may hold no click of this frame. The segmenter would then answer a click on a
    missing part with that part alone, and a click beside the object with next to nothing.
    """
    if not before.any() or read_mask(before, prompt.points[prompt.labels]).any():
        return prompt
    inside = points_inside(before, INSIDE)
    clear = torch.cdist(inside, prompt.points).amin(1) > CLEAR_OF_CLICKS * float(before.sum()) ** 0.5
    if not clear.any():
        return prompt
    points = torch.cat([inside[clear][:1], prompt.points])
    return replace(prompt, points=points, labels=torch.cat([torch.tensor([True]), prompt.labels]))


def _far_from(prompt: Prompt, before: Tensor) -> bool:
    """Whether all clicks on the object are far from the mask; if so, the mask shows something else."""
    if not prompt.labels.any() or not before.any():
        return False
    away = cv2.distanceTransform((~before).numpy().astype(np.uint8), cv2.DIST_L2, 5)
    x, y = prompt.points[prompt.labels].round().long().unbind(1)
    h, w = before.shape
    nearest = away[y.clamp(0, h - 1).numpy(), x.clamp(0, w - 1).numpy()].min()
    return bool(nearest > PART_REACH * float(before.sum()) ** 0.5)


def around_box(box: Tensor, wh: tuple[int, int]) -> Tensor:
    """(h, w) bool: inside a box x0, y0, x1, y1 or close to it, as people draw boxes a little off."""
    x0, y0, x1, y1 = box.tolist()
    slack_x, slack_y = (2 + BOX_SLACK * side for side in (x1 - x0, y1 - y0))
    x, y = torch.arange(wh[0]), torch.arange(wh[1])[:, None]
    return (x >= x0 - slack_x) & (x <= x1 + slack_x) & (y >= y0 - slack_y) & (y <= y1 + slack_y)


def honour_clicks(logits: Tensor, points: Tensor, labels: Tensor) -> Tensor:
    """Bend logits around clicks that they contradict, so that each of these lies on its own side.

    Args:
        logits: (h, w).
        points, labels: (k, 2) pixels and (k,) bool.

    Returns:
        (h, w) logits, unchanged if they contradict no click. If a click on the object and one beside it share a pixel,
        the later one counts.
    """
    h, w = logits.shape
    y, x = torch.arange(h)[:, None], torch.arange(w)[None, :]
    bent = logits.clone()
    # Bending for one click may flip another one: each next round bends around those in a smaller circle.
    for radius in (CLICK_REACH_PX, CLICK_REACH_PX / 2, CLICK_REACH_PX / 4, 0.5):
        for point, positive in zip(points, labels.tolist(), strict=True):
            column, row = point.round().long().clamp(min=0).tolist()
            here = float(bent[min(row, h - 1), min(column, w - 1)])
            if (here > 0) != positive:
                near = torch.exp(-((x - column) ** 2 + (y - row) ** 2) / (2 * radius**2))
                bent += near * ((1.0 if positive else -1.0) - here)
    return bent
