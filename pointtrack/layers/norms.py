"""Instance norm, fast or exact."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

EPS = 1e-5
ROWS = 8  # squared at a time, so that intermediate results stay in the cache


def instance_norm(x: Tensor) -> Tensor:
    """Zero mean and unit variance per image and channel, without learned scale. (b, c, h, w) -> same.

    One group per channel is equal to F.instance_norm, and faster on a CPU. There it sums the squares of channels-last
    maps one after the other, in float32, with errors of 1e-4 on a map of 200 x 250.
    """
    return F.group_norm(x, x.shape[1], eps=EPS)


def exact_instance_norm(x: Tensor, overwrite: bool = False) -> Tensor:
    """The same with errors of 1e-6, for networks that amplify rounding; a fifth slower than a copy of the map.

    Args:
        x: (b, c, h, w).
        overwrite: the result may be written into `x`.
    """
    x = x.float()
    rows = rearrange(x, "b c h w -> b h w c")
    if x.device.type != "cpu" or torch.is_grad_enabled() or not rows.is_contiguous():
        return F.instance_norm(x, eps=EPS)
    b, h, w, c = rows.shape
    lines = rows.view(b, h, w * c)  # one long row adds up faster than many short ones
    mean = (lines.sum(dim=1).view(b, w, c).sum(dim=1) / (h * w)).repeat(1, w)[:, None]
    strips = lines.split(ROWS, dim=1)
    squares = [(strip - mean).square_().sum(dim=1) for strip in strips]
    variance = torch.stack(squares).sum(dim=0).view(b, w, c).sum(dim=1) / (h * w)
    scale = torch.rsqrt(variance + EPS).repeat(1, w)[:, None]
    result = rows if overwrite else torch.empty_like(rows)
    for strip, place in zip(strips, result.view(b, h, w * c).split(ROWS, dim=1), strict=True):
        torch.sub(strip, mean, out=place).mul_(scale)
    return rearrange(result, "b h w c -> b c h w")
