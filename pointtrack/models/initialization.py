"""Where a window starts from: where points were last, or where a search for their features finds them.

In the search every point is looked for frame after frame. The best cell of a small search area around the last position wins; a point whose best product there is
poor is looked for over the whole frame, and moves only to where it is much better. This first guess needs no transformer, and the refinement is
always measured against it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import repeat
from torch import Tensor

from pointtrack.config import InitializationConfig
from pointtrack.layers.correlation import read_block, read_patch
from pointtrack.models.window import Estimate, Templates, WindowQueries, WindowState


def repeat_last(queries: WindowQueries, state: WindowState | None, frames: int, logit: float) -> Estimate:
    """Start all frames of a window from what is known: the query, or the last estimate of the window before.

    Args:
        queries: the n points.
        state: of the window before, None for the first.
        frames: length of the window.
        logit: visibility and confidence logit of points that the window before did not know.

    Source: CoTracker (Karaev et al. 2023), windowed inference.
    """
    xy = repeat(queries.xy, "b n xy -> b t n xy", t=frames)
    unknown = torch.full_like(xy[..., 0], logit)
    requested = Estimate(xy, unknown, unknown)
    return (
        requested if state is None else state.overlap.extended(frames).where(state.known(queries), requested)
    )


def _expected(xy: Tensor, frame: int, side: int, pace: float) -> Tensor:
    """Where points should be on a frame, by those on one side of it: (b, t, n, 2) -> (b, n, 2)."""
    last, before = frame + side, frame + 2 * side
    if not 0 <= before < xy.shape[1]:
        return xy[:, last]
    return xy[:, last] + pace * torch.nan_to_num(xy[:, last] - xy[:, before])


@torch.no_grad()
def match_through(
    level: Tensor,
    templates: Templates,
    latest: Tensor,
    anchor_frame: Tensor,
    known: Tensor,
    config: InitializationConfig,
    radius: int,
    sharpness: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Match every point through the frames of a window, away from the frames where it is known.

    Args:
        level: (b, t, h, w, c) unit-length features.
        templates: what the points look like.
        latest: (b, n, c) latest look of every point.
        anchor_frame: (b, n) the last frame with a known position; frames after it are matched forward.
        known: (b, t, n, 2) cells; known at the anchor, and at all frames before it unless NaN there:
            those are matched backward.
        config: what counts as a match.
        radius: of the search area in cells.
        sharpness: factor on the products for the sub-cell position.

    Returns:
        Positions (b, t, n, 2) in cells, cosines (b, t, n), and the latest look (b, n, c) after the window.
    """
    frames = level.shape[1]
    xy, score = known.clone(), torch.ones_like(known[..., 0])
    appearance = latest
    for frame in range(int(anchor_frame.min()) + 1, frames):
        due = frame > anchor_frame
        position, cosine, feature = match_frame(
            level,
            frame,
            _expected(xy, frame, -1, config.pace),
            templates,
            appearance,
            config,
            radius,
            sharpness,
        )
        xy[:, frame] = torch.where(due[..., None], position, xy[:, frame])
        score[:, frame] = torch.where(due, cosine, score[:, frame])
        appearance = torch.where((due & (cosine > config.seen))[..., None], feature, appearance)
    missing = torch.isnan(known[..., 0])
    backward = latest
    for frame in range(int(anchor_frame.max()) - 1, -1, -1):
        due = (frame < anchor_frame) & missing[:, frame]
        if not bool(due.any()):
            continue
        position, cosine, feature = match_frame(
            level, frame, _expected(xy, frame, 1, config.pace), templates, backward, config, radius, sharpness
        )
        xy[:, frame] = torch.where(due[..., None], position, xy[:, frame])
        score[:, frame] = torch.where(due, cosine, score[:, frame])
        backward = torch.where((due & (cosine > config.seen))[..., None], feature, backward)
    return xy, score, appearance


def match_frame(
    level: Tensor,
    frame: int,
    last: Tensor,
    templates: Templates,
    appearance: Tensor,
    config: InitializationConfig,
    radius: int,
    sharpness: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Find all points on one frame.

    Args:
        last: (b, n, 2) cells where the points are expected; NaN is allowed for points whose answer is not used.
        (others as in `match_through`)

    Returns:
        (b, n, 2) cells, (b, n) cosines, (b, n, c) unit-length features found there.
    """
    b, _, h, w, c = level.shape
    template = F.normalize(
        config.query_share * templates.feature + (1 - config.query_share) * appearance, dim=-1
    )
    # A point outside the image is looked for along the border: that is where it would come back.
    limit = last.new_tensor([w - 1, h - 1])
    last = torch.minimum(torch.nan_to_num(last).clamp(min=0), limit)
    which = torch.full(last.shape[:2], frame, device=last.device)
    block = read_block(level, which, last.round(), radius)
    product = torch.einsum("bnxyc,bnc->bnxy", block.cells.float(), template)
    side = product.shape[-1]
    reach = torch.arange(-radius, radius + 2, device=last.device, dtype=last.dtype)
    away = reach - (last - last.round())[..., None]  # (b, n, xy, cells along it)
    cost = config.far * (away[..., 0, :, None] ** 2 + away[..., 1, None, :] ** 2)
    best = (product - cost).flatten(2).argmax(-1)
    offset = torch.stack([best // side, best % side], dim=-1) - radius
    cell = torch.minimum((last.round() + offset).clamp(min=0), limit)
    cosine = product.flatten(2).gather(-1, best[..., None])[..., 0]

    lost = cosine < config.lost
    if bool(lost.any()):
        # One video after the other: a map per point would be gigabytes for many points.
        parts = zip(template, lost, level[:, frame], strict=True)
        everywhere = torch.cat(
            [torch.einsum("nc,hwc->nhw", one[gone], seen.float()) for one, gone, seen in parts]
        )
        top, index = everywhere.flatten(1).max(-1)
        found = torch.stack([index % w, index // w], dim=-1).to(cell.dtype)
        convincing = (top > config.regained) & (top > cosine[lost] + config.better)
        cell[lost] = torch.where(convincing[:, None], found, cell[lost])
    patch = read_patch(level, which, cell, 1).float()
    near = torch.softmax(torch.einsum("bnpc,bnc->bnp", patch, template) * sharpness, dim=-1)
    reach = torch.arange(-1, 2, device=last.device, dtype=last.dtype)
    steps = torch.stack(torch.meshgrid(reach, reach, indexing="ij"), dim=-1).reshape(-1, 2)
    position = cell + near @ steps
    feature = F.normalize(read_patch(level, which, position, 0)[..., 0, :].float(), dim=-1)
    return position, (feature * template).sum(-1), feature
