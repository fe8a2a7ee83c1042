"""Prompts for objects whose masks are known: first clicks, boxes and former masks, then corrections."""

from __future__ import annotations

from dataclasses import replace

import cv2
import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor

from pointtrack.segment.small_prompts import (
    BOX_END,
    BOX_START,
    LOW_STRIDE,
    NEGATIVE,
    NOTHING,
    POSITIVE,
    Asked,
)

# The most clicks of a first prompt that a person makes, and the most points that a tracker gives.
FIRST_CLICKS, FIRST_POINTS = 4, 16
BOX_JITTER = 0.08
LARGEST_JITTER_PX = 16.0
MIDDLE = 4  # power of the weights of pixels by which a first click is drawn nearer to the middle
NEAR_CELL_PX = 8  # what is near is told by cells of so many pixels: pooling over pixels is slow


def first_prompts(masks: Tensor, frame: Tensor, generator: torch.Generator) -> Asked:
    """Draw how each object is first asked for: 1 to 4 clicks, many points, a box, a bad mask, or a mask and clicks.

    Args:
        masks: (m, h, w) bool.
        frame: (m,) int64 which frame each is on.
    """
    m = len(masks)
    draw = torch.rand(m, 4, generator=generator)
    clicked = (draw[:, 0] < 0.55) | (draw[:, 0] > 0.85)
    boxed = (draw[:, 0] >= 0.55) & (draw[:, 0] < 0.75)
    told = draw[:, 0] >= 0.75  # a former mask, with clicks from 0.85 on
    points, kinds = [], []
    few = torch.where(draw[:, 1] < 0.4, 1, 1 + (draw[:, 2] * FIRST_CLICKS).long())
    count = torch.where(draw[:, 1] < 0.7, few, 1 + (draw[:, 2] * FIRST_POINTS).long())
    most = int(count.max())  # room for no more than are drawn
    share = torch.where(count > FIRST_CLICKS, 0.5, 0.7)  # positive ones
    inside, beside = inner_weight(masks), near_weight(masks)
    # People click near the middle of a part; a tracker's points lie anywhere.
    middle = torch.where((draw[:, 3] < 0.6).to(masks.device)[:, None, None], inside**MIDDLE, inside)
    for i in range(most):
        positive = torch.rand(m, generator=generator) < (1.0 if i == 0 else share)
        weight = torch.where(positive.to(masks.device)[:, None, None], middle if i == 0 else inside, beside)
        points.append(draw_points(weight, generator))
        kind = torch.where(positive, POSITIVE, NEGATIVE)
        kinds.append(torch.where(clicked & (i < count), kind, NOTHING))
    corners = box_prompts(masks, frame, generator)
    points += corners.points.unbind(dim=1)
    kinds += [torch.where(boxed, kind, NOTHING) for kind in (BOX_START, BOX_END)]
    return Asked(
        frame,
        torch.stack(points, dim=1),
        torch.stack(kinds, dim=1).to(masks.device),
        spoil(masks, generator),
        told.to(masks.device),
    )


def click_prompts(masks: Tensor, frame: Tensor) -> Asked:
    """One click on the innermost point of each object; nothing is random."""
    return _asked(masks, frame, innermost(masks)[:, None], [POSITIVE])


def box_prompts(masks: Tensor, frame: Tensor, generator: torch.Generator) -> Asked:
    """The box of each object, as people draw it: a few pixels off."""
    h, w = masks.shape[-2:]
    rows, columns = masks.any(dim=2).float(), masks.any(dim=1).float()
    low = torch.stack([columns.argmax(dim=1), rows.argmax(dim=1)], dim=-1).float()
    high = torch.stack(
        [w - 1 - columns.flip(1).argmax(dim=1), h - 1 - rows.flip(1).argmax(dim=1)], dim=-1
    ).float()
    spread = (BOX_JITTER * (high - low)).clamp(max=LARGEST_JITTER_PX)
    box = torch.stack([low, high], dim=1)
    box = box + spread[:, None] * torch.randn(box.shape, generator=generator).to(box.device)
    limit = torch.tensor([w - 1.0, h - 1.0], device=box.device)
    return _asked(masks, frame, torch.minimum(box.clamp(min=0), limit), [BOX_START, BOX_END])


def add_corrections(
    requested: Asked, got: Tensor, low: Tensor, masks: Tensor, generator: torch.Generator | None
) -> Asked:
    """The next prompt: the former answer, and one more click where it is wrong.

    Args:
        asked: the former prompt.
        got, low: its answer (m, h, w) bool, and its logits for the next prompt.
        masks: (m, h, w) bool what is meant.
        generator: for a click anywhere in the wrong; None for the innermost point of the larger wrong.
    """
    missed, extra = masks & ~got, got & ~masks
    if generator is None:
        more = missed.sum(dim=(1, 2)) >= extra.sum(dim=(1, 2))
        wrong = torch.where(more[:, None, None], missed, extra)
        point = innermost(wrong)
    else:
        wrong = missed | extra
        point = draw_points(inner_weight(wrong), generator)
    # Where nothing is wrong, the click is on whatever lies there, and says so.
    x, y = point.round().long().unbind(dim=-1)
    kind = masks[torch.arange(len(masks), device=masks.device), y, x].long()
    return Asked(
        requested.frame,
        torch.cat([requested.points, point[:, None]], dim=1),
        torch.cat([requested.kinds, kind[:, None]], dim=1),
        low,
        torch.ones_like(requested.has_former),
    )


def draw_points(weight: Tensor, generator: torch.Generator) -> Tensor:
    """(m, h, w) weights, of cells of pixels -> (m, 2) one whole pixel each, x then y; anywhere where all are 0."""
    _, h, w = weight.shape
    # By the running sum: torch.multinomial draws a number for every pixel.
    total = (weight.flatten(1).cpu().double() + 1e-9).cumsum(dim=1)
    height = total[:, -1:] * torch.rand(len(total), 1, generator=generator, dtype=torch.float64)
    at = torch.searchsorted(total, height)[:, 0].clamp(max=h * w - 1)
    return torch.stack([at % w, at // w], dim=-1).float().to(weight.device)


def inner_weight(masks: Tensor) -> Tensor:
    """(m, h, w) weights to draw points of a mask by: less near its edge."""
    near = F.avg_pool2d(masks[:, None].float(), (1, 9), stride=1, padding=(0, 4), count_include_pad=False)
    near = F.avg_pool2d(near, (9, 1), stride=1, padding=(4, 0), count_include_pad=False)[:, 0]
    return near.square() * masks


def near_weight(masks: Tensor) -> Tensor:
    """(m, h, w) weights to draw points beside a mask by: mostly near it."""
    cells = F.max_pool2d(masks[:, None].float(), NEAR_CELL_PX)
    near = F.max_pool2d(cells, 7, stride=1, padding=3)
    near = F.interpolate(near, masks.shape[-2:])[:, 0]
    return (0.2 + near) * ~masks


def elsewhere(
    requested: Asked, frames: int, generator: torch.Generator, share: float
) -> tuple[Asked, Tensor]:
    """Ask some prompts on the frame of another object, where they mean nothing.

    Only prompts that say much are taken: many points or a former mask. One click means something anywhere.

    Args:
        requested: the prompts.
        frames: number of frames.
        generator: of the draw.
        share: of such prompts that are moved.

    Returns:
        The prompts, and (m,) bool: which still mean their object.
    """
    much = (requested.kinds != NOTHING).sum(dim=1) > FIRST_CLICKS
    draw = torch.rand(len(requested.frame), generator=generator).to(much.device)
    moved = (much | requested.has_former) & (draw < share) & (frames > 1)
    shift = 1 + torch.randint(max(frames - 1, 1), (len(draw),), generator=generator).to(much.device)
    frame = torch.where(moved, (requested.frame + shift) % frames, requested.frame)
    return replace(requested, frame=frame), ~moved


def innermost(masks: Tensor) -> Tensor:
    """(m, 2) pixel farthest from the outside of each mask, the image's border being outside; x then y."""
    points = []
    for mask in masks.cpu().numpy():
        padded = cv2.copyMakeBorder(mask.astype("uint8"), 1, 1, 1, 1, cv2.BORDER_CONSTANT)
        y, x = divmod(int(cv2.distanceTransform(padded, cv2.DIST_L2, 5).argmax()), padded.shape[1])
        points.append([min(max(x - 1, 0), mask.shape[1] - 1), min(max(y - 1, 0), mask.shape[0] - 1)])
    return torch.tensor(points, dtype=torch.float32, device=masks.device)


def spoil(masks: Tensor, generator: torch.Generator) -> Tensor:
    """What a memory or the frame before might say: (m, h, w) bool -> (m, h / 4, w / 4) logits.

    Moved by some pixels, with blurred and uneven edges.
    """
    m, h, w = masks.shape
    cells = F.avg_pool2d(masks[:, None].float(), LOW_STRIDE)
    hc, wc = cells.shape[-2:]
    shift = 0.05 * torch.randn(m, 1, 1, 2, generator=generator)
    size = 1 + 0.08 * torch.randn(m, 1, 1, 2, generator=generator)
    y, x = torch.meshgrid(_centres(hc), _centres(wc), indexing="ij")
    grid = size * rearrange([x, y], "xy h w -> 1 h w xy") + shift
    coarse = F.interpolate(torch.randn(m, 1, 6, 6, generator=generator), (hc, wc), mode="bicubic")
    moved = F.grid_sample(cells, grid.to(cells.device), align_corners=False)
    soft = F.avg_pool2d(moved, 5, stride=1, padding=2, count_include_pad=False)
    return (8 * (soft - 0.5) + 1.5 * coarse.to(soft.device))[:, 0]


def _centres(count: int) -> Tensor:
    """Centres of cells in [-1, 1]."""
    return (2 * torch.arange(count) + 1) / count - 1


def _asked(masks: Tensor, frame: Tensor, points: Tensor, kinds: list[int]) -> Asked:
    m, h, w = masks.shape
    return Asked(
        frame,
        points,
        repeat(torch.tensor(kinds, device=masks.device), "k -> m k", m=m),
        torch.zeros(m, h // LOW_STRIDE, w // LOW_STRIDE, device=masks.device),
        torch.zeros(m, dtype=torch.bool, device=masks.device),
    )
