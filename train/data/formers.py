"""Previous masks to prompt with, as logits at stride 4: slightly shifted, badly wrong, or recalled by appearance."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from pointtrack.segment.base import CERTAIN_LOGIT
from pointtrack.segment.small_prompts import LOW_STRIDE
from train.data.picking import draw_points, sent

# Kinds of error and their shares: another object of the picture added, a blob beside the object added, one side of a
# line cut off, only a blob of the object kept; the rest is both too little and too much.
UNION, BLOB, CUT, PART, BOTH = range(5)
WAYS = (0.25, 0.2, 0.2, 0.15, 0.2)
# Another object is worth adding if it adds between these shares of the object's area.
ADDED = (0.15, 8.0)
# Settings for reading a memory, as in `objects/memory.py`.
TOP, SHARPNESS = 8, 20.0
HIGHEST_LOGIT = 8.0
# Least share of the features to compare cells by: on another frame some features would differ.
LEAST_FEATURES = 0.15


def spoil(masks: Tensor, generator: torch.Generator) -> Tensor:
    """Imitate a mask from a memory or the previous frame: (m, h, w) bool -> (m, h / 4, w / 4) logits.

    Shifts the mask by some pixels, and makes its edges blurred and uneven.
    """
    return spoil_cells(as_cells(masks), generator)


def as_cells(masks: Tensor) -> Tensor:
    """(m, h, w) bool -> (m, h / 4, w / 4) share of every cell that the mask covers."""
    return F.avg_pool2d(masks[:, None].float(), LOW_STRIDE)[:, 0]


def spoil_cells(cells: Tensor, generator: torch.Generator, moved: float = 1.0) -> Tensor:
    """(m, h', w') shares of cells -> logits of the same shape, as in `spoil`, but moved `moved` times as far."""
    m, hc, wc = cells.shape
    device = cells.device
    shift = sent(moved * 0.05 * torch.randn(m, 1, 1, 2, generator=generator), device)
    size = sent(1 + moved * 0.08 * torch.randn(m, 1, 1, 2, generator=generator), device)
    y, x = torch.meshgrid(_centres(hc, device), _centres(wc, device), indexing="ij")
    grid = size * rearrange([x, y], "xy h w -> 1 h w xy") + shift
    coarse = sent(torch.randn(m, 1, 6, 6, generator=generator), device)
    coarse = F.interpolate(coarse, (hc, wc), mode="bicubic")
    found = F.grid_sample(cells[:, None], grid, align_corners=False)
    soft = F.avg_pool2d(found, 5, stride=1, padding=2, count_include_pad=False)
    return (8 * (soft - 0.5) + 1.5 * coarse)[:, 0]


def mistaken(masks: Tensor, frame: Tensor, which: Tensor, generator: torch.Generator) -> Tensor:
    """Previous masks that are badly wrong, as a propagated mask may be.

    Args:
        masks: (m, h, w) bool of all objects.
        frame: (m,) int64 frame of each mask.
        which: (k,) int64 masks to make previous masks of.
        generator: generator of the draws.

    Returns:
        (k, h / 4, w / 4) logits.
    """
    cells = as_cells(masks)
    mine, k = cells[which], len(which)
    way = torch.multinomial(torch.tensor(WAYS), k, replacement=True, generator=generator)
    draw = torch.rand(k, 3, generator=generator)
    others, any_other = _another(cells, frame, which, generator)
    cut = _one_side(mine, generator)
    # The centre of an added blob is in the cells around the object, that of a kept blob within the object.
    around = F.max_pool2d(mine[:, None], 9, stride=1, padding=4)[:, 0] * (mine < 0.5)
    side = mine.sum(dim=(1, 2)).clamp(min=4).sqrt()
    more = _blob(around, side * sent(0.3 + 0.5 * draw[:, 0], side.device), generator)
    part = mine * _blob(mine, side * sent(0.2 + 0.25 * draw[:, 1], side.device), generator)
    takes_other = any_other & sent((way == UNION) | ((way == BOTH) & (draw[:, 2] < 0.5)), mine.device)
    extra = torch.where(takes_other[:, None, None], others, more.float())
    kept = torch.where(
        _on(way == PART, mine), part, torch.where(_on((way == CUT) | (way == BOTH), mine), cut, mine)
    )
    wrong = torch.where(_on((way == CUT) | (way == PART), mine), kept, torch.maximum(kept, extra))
    # A badly wrong mask needs little shift on top.
    return spoil_cells(wrong, generator, moved=0.3)


def hardened(logits: Tensor, generator: torch.Generator) -> Tensor:
    """(m, h', w') logits, half of the masks made as certain inside and outside as prompted masks."""
    hard = sent(torch.rand(len(logits), generator=generator) < 0.5, logits.device)
    sure = CERTAIN_LOGIT * torch.tanh(2 * logits)
    return torch.where(hard[:, None, None], sure, logits)


@torch.no_grad()
def recalled(
    appearance: Tensor, masks: Tensor, frame: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Imitate a memory that recalls objects by appearance: similar things leak in, unusual parts are missing.

    Some of the frame's own cells serve as the memory. Every cell reads from those that look most like it, except
    nearby ones: otherwise it would find itself.

    Args:
        appearance: (b, c, h / 16, w / 16) features of unit length, of every frame.
        masks: (m, h, w) bool.
        frame: (m,) int64 frame of each mask.
        generator: generator of the draws.

    Returns:
        (m, h / 4, w / 4) logits, and (m,) their overlap (IoU) with the true masks.
    """
    m, (h, w) = len(masks), appearance.shape[-2:]
    device = masks.device
    looks = rearrange(appearance.float(), "b c h w -> b (h w) c")
    # What every object covers of the cells it is asked by.
    covered = F.adaptive_avg_pool2d(masks[:, None].float(), (h, w))[:, 0].flatten(1)
    draw = torch.rand(m, 5, generator=generator)
    share = sent(0.05 + 0.5 * draw[:, :1].square(), device)
    known = sent(torch.rand(m, h * w, generator=generator), device) < share
    # For a small object, all of it would count as nearby.
    widest = covered.sum(dim=1).sqrt().div(4).floor()
    reach = torch.minimum(sent((1 + 3 * draw[:, 1]).floor(), device), widest)
    y, x = torch.meshgrid(torch.arange(h, device=device), torch.arange(w, device=device), indexing="ij")
    places = torch.stack([y.flatten(), x.flatten()], dim=-1).float()
    apart = (places[:, None] - places[None]).abs().amax(dim=-1)
    angle = (places[:, None] - places[None]) * 2 / max(h, w)
    near = angle.cos().sum(dim=-1)
    left = torch.rand(m, 1, looks.shape[2], generator=generator)
    left = left < LEAST_FEATURES + (1 - LEAST_FEATURES) * draw[:, 4, None, None]
    seen = F.normalize(looks[frame] * sent(left, device), dim=2)
    alike = torch.bmm(seen, seen.transpose(1, 2)).float()
    alike = alike + sent(draw[:, 2, None, None], device) * near
    hidden = ~known[:, None] | (apart <= reach[:, None, None])
    best, at = alike.masked_fill(hidden, -10.0).topk(min(TOP, h * w), dim=2)
    weight = torch.softmax(SHARPNESS * best.float(), dim=2)
    share = (weight * covered.gather(1, at.flatten(1)).view_as(at)).sum(dim=2)
    whole = F.interpolate(
        rearrange(share, "m (h w) -> m 1 h w", h=h),
        [s // LOW_STRIDE for s in masks.shape[-2:]],
        mode="bilinear",
    )[:, 0]
    noise = 0.4 * sent(torch.randn(m, *(-(-s // 2) for s in whole.shape[1:]), generator=generator), device)
    noise = F.interpolate(noise[:, None], whole.shape[1:], mode="bilinear")[:, 0]
    scale = sent(0.5 + 1.5 * draw[:, 3, None, None], device)
    logits = (scale * whole.clamp(0.02, 0.98).logit() + noise).clamp(-HIGHEST_LOGIT, HIGHEST_LOGIT)
    got, meant = logits > 0, as_cells(masks) > 0.5
    right = (got & meant).sum(dim=(1, 2)) / (got | meant).sum(dim=(1, 2)).clamp(min=1)
    return logits, right


def _another(
    cells: Tensor, frame: Tensor, which: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Find another object of the same frame that adds area.

    Args: as of `mistaken`, with (m, h', w') shares of cells.

    Returns:
        (k, h', w') cells of the other object, and (k,) bool: whether there is one.
    """
    flat = cells.flatten(1)
    area = flat.sum(dim=1)
    added = area - flat[which] @ flat.T
    mine = area[which][:, None]
    good = (frame[which][:, None] == frame) & (added > ADDED[0] * mine) & (added < ADDED[1] * mine)
    score = sent(torch.rand(len(which), len(cells), generator=generator), cells.device) * good
    best = score.max(dim=1)
    return cells[best.indices], best.values > 0


def _one_side(cells: Tensor, generator: torch.Generator) -> Tensor:
    """(m, h', w') cells on one side of a line through a random position within them."""
    middle = draw_points(cells, generator)
    angle = sent(2 * math.pi * torch.rand(len(cells), generator=generator), cells.device)[:, None, None]
    dx, dy = _from(middle, cells)
    return cells * (angle.cos() * dx + angle.sin() * dy > 0)


def _blob(weight: Tensor, radius: Tensor, generator: torch.Generator) -> Tensor:
    """(m, h', w') bool ellipses with rough edges, centres drawn by weight; (m,) radii in cells."""
    m, h, w = weight.shape
    dx, dy = _from(draw_points(weight, generator), weight)
    draw = sent(torch.rand(m, 2, 1, 1, generator=generator), weight.device)
    cos, sin = (2 * math.pi * draw[:, 0]).cos(), (2 * math.pi * draw[:, 0]).sin()
    along, across = cos * dx + sin * dy, cos * dy - sin * dx
    longer = 1 + draw[:, 1]
    far = ((along / longer).square() + (across * longer).square()).sqrt() / radius[:, None, None]
    rough = sent(torch.randn(m, 1, 9, 9, generator=generator), weight.device)
    rough = F.interpolate(rough, (h, w), mode="bicubic")[:, 0]
    return far + 0.25 * rough < 1


def _from(points: Tensor, cells: Tensor) -> tuple[Tensor, Tensor]:
    """(m, 1, w'), (m, h', 1): distance of every column and row of cells from (m, 2) positions."""
    h, w = cells.shape[-2:]
    x, y = torch.arange(w, device=cells.device), torch.arange(h, device=cells.device)
    return (x - points[:, :1])[:, None, :], (y - points[:, 1:])[:, :, None]


def _on(flags: Tensor, like: Tensor) -> Tensor:
    """(m,) bool -> (m, 1, 1) on the device of `like`."""
    return sent(flags, like.device)[:, None, None]


def _centres(count: int, device: torch.device) -> Tensor:
    """Centres of cells in [-1, 1]."""
    return (2 * torch.arange(count, device=device) + 1) / count - 1
