"""Numbers turned into waves: codes of time and of motion."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def time_code(length: int, width: int) -> Tensor:
    """(length, width) sines then cosines of the frame number at width / 2 falling frequencies.

    Source: Vaswani et al. 2017; frequencies 10000^(-k / (width / 2)).
    """
    frequency = 10000.0 ** (-torch.arange(width // 2, dtype=torch.float64) / (width / 2))
    angle = torch.arange(length, dtype=torch.float64)[:, None] * frequency
    return torch.cat([angle.sin(), angle.cos()], dim=1).float()


def neighbour_motion(xy: Tensor, octaves: int = 10) -> Tensor:
    """How a point moves to the next and from the last frame, as waves of doubling frequency.

    Args:
        xy: (b, t, n, 2) positions in units of about an image side.

    Returns:
        (b, t, n, 4 + 8 * octaves): the differences x_s - x_(s+1) and x_s - x_(s-1), 0 at the ends, then
        their sines, then their cosines; octave slow, component fast.
    """
    step = xy[:, 1:] - xy[:, :-1]
    none = torch.zeros_like(xy[:, :1])
    motion = torch.cat([torch.cat([-step, none], dim=1), torch.cat([none, step], dim=1)], dim=-1)
    factor = 2.0 ** torch.arange(octaves, device=xy.device, dtype=xy.dtype)
    angle = (motion[..., None, :] * factor[:, None]).flatten(-2)
    return torch.cat([motion, angle.sin(), (angle + math.pi / 2).sin()], dim=-1)
