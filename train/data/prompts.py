"""Prompts for objects with known masks: first clicks, boxes and previous masks, then corrections."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from einops import repeat
from torch import Tensor

from pointtrack.segment.small_prompts import (
    BOX_END,
    BOX_START,
    LOW_STRIDE,
    NEGATIVE,
    NOTHING,
    POSITIVE,
    PromptBatch,
)
from train.data.formers import hardened, mistaken, recalled, spoil
from train.data.picking import (
    draw_heights,
    draw_points,
    inner_weight,
    innermost,
    near_weight,
    points_at,
    running_sums,
    sent,
)

# Kinds of first prompts, and their shares.
SHARES = {"clicks": 0.4, "box": 0.24, "mask": 0.05, "mask and clicks": 0.1, "corrected": 0.21}
# Share of the previous masks that imitate a memory, if the frame's appearance is known.
RECALLED = 1 / 3
# With less overlap a recalled mask does not show which object is meant; with more there is nothing to correct.
TELLS, NEARLY_RIGHT = 0.2, 0.8
# Most clicks of a person's first prompt, and most points that a tracker gives.
FIRST_CLICKS, FIRST_POINTS = 4, 16
# Corrections of a wrong mask: how often the first click is in the middle of the error, how often there are at least
# one, two or three clicks, and how often another click confirms what is right already, as `objects/answer.py` does.
INTO_THE_MIDDLE, WRONG_CLICKS, SPOKEN_FOR = 0.75, (1.0, 0.3, 0.1), 0.5
BOX_JITTER = 0.08
LARGEST_JITTER_PX = 16.0
MIDDLE = 4  # power of the pixel weights that draws a first click nearer to the middle


def first_prompts(
    masks: Tensor,
    frame: Tensor,
    generator: torch.Generator,
    appearance: Tensor | None = None,
    only: str | None = None,
) -> PromptBatch:
    """Draw the first prompt of each object.

    It is 1 to 4 clicks or many points, a box, a poor mask, a poor mask with clicks, or a badly wrong mask with clicks
    that correct it.

    Args:
        masks: (m, h, w) bool.
        frame: (m,) int64 frame of each mask.
        generator: generator of the draws; on the CPU, whatever device the masks are on.
        appearance: (b, c, h / 16, w / 16) features of the frames, of unit length; without it no mask imitates a memory.
        only: one of SHARES, to use this kind of prompt for all objects.
    """
    m, device = len(masks), masks.device
    kind = drawn_kinds(m, generator) if only is None else np.full(m, only)
    clicked = (kind == "clicks") | (kind == "mask and clicks")
    corrected = kind == "corrected"
    has_mask = corrected | (kind == "mask") | (kind == "mask and clicks")
    points, kinds = _clicks(masks, clicked, generator)
    corners = box_prompts(masks, frame, generator)
    points.append(corners.points)
    kinds.append(torch.where(_on(kind == "box", device)[:, None], corners.kinds, NOTHING))
    former = spoil(masks, generator)
    wrong = sent(torch.from_numpy(corrected.nonzero()[0]), device)
    if len(wrong):
        former[wrong] = mistaken(masks, frame, wrong, generator)
    if appearance is not None:
        remembered = has_mask & (torch.rand(m, generator=generator).numpy() < RECALLED)
        which = sent(torch.from_numpy(remembered.nonzero()[0]), device)
        if len(which):
            logits, right = recalled(appearance, masks[which], frame[which], generator)
            good = (right > TELLS) & ((right < NEARLY_RIGHT) | ~_on(corrected, device)[which])
            former[which] = torch.where(good[:, None, None], logits, former[which])
    if len(wrong):
        former[wrong] = hardened(former[wrong], generator)
        of_wrong = _correcting(masks[wrong], former[wrong], generator)
        for all_of, some, nothing in zip((points, kinds), of_wrong, (0.0, NOTHING), strict=True):
            room = torch.full((m, *some.shape[1:]), nothing, dtype=some.dtype, device=device)
            room[wrong] = some
            all_of.append(room)
    return PromptBatch(
        frame, torch.cat(points, dim=1), torch.cat(kinds, dim=1), former, _on(has_mask, device)
    )


def drawn_kinds(count: int, generator: torch.Generator) -> np.ndarray:
    """(m,) names of SHARES, drawn."""
    bounds = np.cumsum(list(SHARES.values()))
    at = np.searchsorted(bounds, torch.rand(count, generator=generator).numpy(), side="right")
    return np.array(list(SHARES))[np.minimum(at, len(SHARES) - 1)]


def _clicks(
    masks: Tensor, clicked: np.ndarray, generator: torch.Generator
) -> tuple[list[Tensor], list[Tensor]]:
    """Clicks or a tracker's points: (m, k, 2) places and (m, k) kinds, NOTHING where (m,) `clicked` is not."""
    m, device = len(masks), masks.device
    draw = torch.rand(m, 3, generator=generator)
    few = torch.where(draw[:, 0] < 0.4, 1, 1 + (draw[:, 1] * FIRST_CLICKS).long())
    count = torch.where(draw[:, 0] < 0.7, few, 1 + (draw[:, 1] * FIRST_POINTS).long())
    count = count * torch.from_numpy(clicked)
    most = int(count.max())  # no columns beyond the largest count
    if not most:
        return [masks.new_zeros(m, 0, 2, dtype=torch.float32)], [masks.new_zeros(m, 0, dtype=torch.int64)]
    share = torch.where(count > FIRST_CLICKS, 0.5, 0.7)  # of positive clicks
    inside = inner_weight(masks)
    # People click near the middle of a part; a tracker's points lie anywhere.
    middle = torch.where(sent(draw[:, 2] < 0.6, device)[:, None, None], inside**MIDDLE, inside)
    width = masks.shape[2]
    points = [points_at(running_sums(middle), draw_heights(m, generator), width)]
    positives = [torch.ones(m, dtype=torch.bool)]
    if most > 1:
        sums = running_sums(inside), running_sums(near_weight(masks))
    for _ in range(1, most):
        positive = torch.rand(m, generator=generator) < share
        heights = sent(draw_heights(m, generator), device)
        on_it, beside = (points_at(total, heights, width) for total in sums)
        points.append(torch.where(sent(positive, device)[:, None], on_it, beside))
        positives.append(positive)
    kinds = torch.where(torch.stack(positives, dim=1), POSITIVE, NEGATIVE)
    kinds = torch.where(torch.arange(most) < count[:, None], kinds, NOTHING)
    return [torch.stack(points, dim=1)], [sent(kinds, device)]


def _correcting(masks: Tensor, former: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Clicks that correct a previous mask, and one that confirms a right part of it.

    Args:
        masks: (k, h, w) bool true masks.
        former: (k, h / 4, w / 4) logits.
        generator: generator of the draws.

    Returns:
        (k, 4, 2) places and (k, 4) kinds.
    """
    k, device = len(masks), masks.device
    got = F.interpolate(former[:, None], scale_factor=float(LOW_STRIDE), mode="bilinear")[:, 0] > 0
    draw = sent(torch.rand(k, 3, generator=generator), device)
    total = running_sums(inner_weight(masks ^ got))
    anywhere = [points_at(total, draw_heights(k, generator), masks.shape[2]) for _ in WRONG_CLICKS]
    middle = innermost(_larger_wrong(masks, got))
    points = [torch.where(draw[:, :1] < INTO_THE_MIDDLE, middle, anywhere[0]), *anywhere[1:]]
    # If nothing is wrong, a click confirms whatever lies under it.
    kinds = [
        torch.where(draw[:, 1] < share, _at(masks, point).long(), NOTHING)
        for share, point in zip(WRONG_CLICKS, points, strict=True)
    ]
    right = masks & got
    points.append(draw_points(inner_weight(right), generator))
    kinds.append(torch.where((draw[:, 2] < SPOKEN_FOR) & _at(right, points[-1]), POSITIVE, NOTHING))
    return torch.stack(points, dim=1), torch.stack(kinds, dim=1)


def click_prompts(masks: Tensor, frame: Tensor) -> PromptBatch:
    """One click on the innermost point of each object, without any randomness."""
    return _batch(masks, frame, innermost(masks)[:, None], [POSITIVE])


def box_prompts(masks: Tensor, frame: Tensor, generator: torch.Generator) -> PromptBatch:
    """The box of each object, a few pixels off, as people draw it."""
    h, w = masks.shape[-2:]
    rows, columns = masks.any(dim=2).float(), masks.any(dim=1).float()
    low = torch.stack([columns.argmax(dim=1), rows.argmax(dim=1)], dim=-1).float()
    high = torch.stack(
        [w - 1 - columns.flip(1).argmax(dim=1), h - 1 - rows.flip(1).argmax(dim=1)], dim=-1
    ).float()
    spread = (BOX_JITTER * (high - low)).clamp(max=LARGEST_JITTER_PX)
    box = torch.stack([low, high], dim=1)
    box = box + spread[:, None] * sent(torch.randn(box.shape, generator=generator), box.device)
    limit = torch.tensor([w - 1.0, h - 1.0], device=box.device)
    return _batch(masks, frame, torch.minimum(box.clamp(min=0), limit), [BOX_START, BOX_END])


def add_corrections(
    requested: PromptBatch, got: Tensor, low: Tensor, masks: Tensor, generator: torch.Generator | None
) -> PromptBatch:
    """The next prompt: the previous answer, and one more click where it is wrong.

    Args:
        requested: the previous prompt.
        got, low: its answer (m, h, w) bool, and its logits for the next prompt.
        masks: (m, h, w) bool true masks.
        generator: draws a click anywhere in the error; None for the innermost point of the larger error.
    """
    if generator is None:
        point = innermost(_larger_wrong(masks, got))
    else:
        point = draw_points(inner_weight(masks ^ got), generator)
    # If nothing is wrong, the click confirms whatever lies under it.
    kind = _at(masks, point).long()
    return PromptBatch(
        requested.frame,
        torch.cat([requested.points, point[:, None]], dim=1),
        torch.cat([requested.kinds, kind[:, None]], dim=1),
        low,
        torch.ones_like(requested.has_former),
    )


def elsewhere(
    requested: PromptBatch, frames: int, generator: torch.Generator, share: float
) -> tuple[PromptBatch, Tensor]:
    """Move some prompts to the frame of another object, where they mean nothing.

    Moves only prompts that are specific: many points or a previous mask. A single click means something anywhere.

    Args:
        requested: the prompts.
        frames: number of frames.
        generator: generator of the draw.
        share: share of such prompts to move.

    Returns:
        The prompts, and (m,) bool: which of them still mean their object.
    """
    much = (requested.kinds != NOTHING).sum(dim=1) > FIRST_CLICKS
    draw = sent(torch.rand(len(requested.frame), generator=generator), much.device)
    moved = (much | requested.has_former) & (draw < share) & (frames > 1)
    shift = 1 + sent(torch.randint(max(frames - 1, 1), (len(draw),), generator=generator), much.device)
    frame = torch.where(moved, (requested.frame + shift) % frames, requested.frame)
    return replace(requested, frame=frame), ~moved


def _larger_wrong(masks: Tensor, got: Tensor) -> Tensor:
    """(m, h, w) bool: the missing or the surplus part, whichever is larger."""
    missed, extra = masks & ~got, got & ~masks
    more = missed.sum(dim=(1, 2)) >= extra.sum(dim=(1, 2))
    return torch.where(more[:, None, None], missed, extra)


def _at(masks: Tensor, points: Tensor) -> Tensor:
    """Read (m, h, w) bool at (m, 2) pixels -> (m,)."""
    x, y = points.round().long().unbind(dim=-1)
    return masks[torch.arange(len(masks), device=masks.device), y, x]


def _on(flags: np.ndarray, device: torch.device) -> Tensor:
    """(m,) bool as a tensor on a device."""
    return sent(torch.from_numpy(flags), device)


def _batch(masks: Tensor, frame: Tensor, points: Tensor, kinds: list[int]) -> PromptBatch:
    m, h, w = masks.shape
    return PromptBatch(
        frame,
        points,
        repeat(torch.tensor(kinds, device=masks.device), "k -> m k", m=m),
        torch.zeros(m, h // LOW_STRIDE, w // LOW_STRIDE, device=masks.device),
        torch.zeros(m, dtype=torch.bool, device=masks.device),
    )
