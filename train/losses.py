"""Training losses."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor

from pointtrack.geometry import sample_features
from train.data.batch import ClipBatch


def matching_loss(pyramid: list[Tensor], batch: ClipBatch, temperature: Tensor) -> tuple[Tensor, Tensor]:
    """Loss of finding each query, by its feature, among all cells of the other frames.

    Soft-max cross-entropy over the cells of each pyramid level. Bilinear weights spread the target over the four
    cells around the true position. Only frames on which the point is visible count.

    Args:
        pyramid: per level (b, t, c, h, w) features; level l has stride 4 * 2**l.
        batch: the clips.
        temperature: (levels,) factor on the products before the soft-max.

    Returns:
        The loss, and the share of points whose best cell at the finest level is within 6 pixels.
    """
    b, t, n = batch.visible.shape
    query_frame = batch.query_frame[:, None]  # (b, 1, n)
    counted = batch.visible.scatter(1, query_frame, False)
    total: Tensor | float = 0.0
    hits = torch.zeros((), device=batch.xy.device)
    for level, features in enumerate(pyramid):
        h, w = features.shape[-2:]
        cells = batch.xy / (4 * 2**level)
        requested = sample_features(
            rearrange(features, "b t c h w -> (b t) c h w"), rearrange(cells, "b t n xy -> (b t) n xy")
        )
        requested = rearrange(requested, "(b t) n c -> b t n c", b=b)
        template = requested.gather(1, query_frame[..., None].expand(-1, 1, -1, requested.shape[-1]))[:, 0]
        # Sampling is linear, so the product at the true position equals that with the feature sampled there.
        template = template.float() * temperature[level]
        at_target = (template[:, None] * requested).sum(-1)
        # One matrix product per clip, of every template with every cell of every frame. In float32: the products
        # are the largest array of the whole step, and casting them costs more than half precision saves.
        with torch.autocast(features.device.type, enabled=False):
            score = template @ rearrange(features.float(), "b t c h w -> b c (t h w)")
            surprise = torch.logsumexp(rearrange(score, "b n (t p) -> b t n p", t=t), dim=-1) - at_target
        total = total + (surprise * counted).sum() / counted.sum().clamp(min=1)
        if level == 0:
            best = rearrange(score.detach(), "b n (t p) -> b t n p", t=t).argmax(-1)
            found = torch.stack([best % w, torch.div(best, w, rounding_mode="floor")], dim=-1)
            error = 4 * (found - cells)
            hits = ((error.norm(dim=-1) < 6) & counted).sum() / counted.sum().clamp(min=1)
    return total / len(pyramid), hits  # type: ignore[return-value]
