"""Codes of time, of place and of motion: numbers turned into waves."""

from __future__ import annotations

import math

import torch
from einops import repeat
from torch import Tensor


def time_code(length: int, width: int) -> Tensor:
    """(length, width) sines then cosines of the frame number at width / 2 falling frequencies.

    Source: Vaswani et al. 2017; frequencies 10000^(-k / (width / 2)).
    """
    frequency = 10000.0 ** (-torch.arange(width // 2, dtype=torch.float64) / (width / 2))
    angle = torch.arange(length, dtype=torch.float64)[:, None] * frequency
    return torch.cat([angle.sin(), angle.cos()], dim=1).float()


def place_code(wh: tuple[int, int], width: int) -> Tensor:
    """(width, h, w) codes of every cell of a map: that of its column, then that of its row, half of the width each.

    Source: the 2-D position code of CoTracker (Karaev et al. 2023).
    """
    columns, rows = time_code(wh[0], width // 2), time_code(wh[1], width // 2)
    across = repeat(columns, "w c -> c h w", h=wh[1])
    return torch.cat([across, repeat(rows, "h c -> c h w", w=wh[0])])


def window_motion(cells: Tensor, waves: int = 32, highest: float = 1000.0) -> Tensor:
    """A point's displacement from its position on the first frame, as waves of evenly spaced frequencies.

    Args:
        cells: (b, t, n, 2) positions in feature cells.
        waves: number of frequencies 0, highest / waves, ... radians per cell.

    Returns:
        (b, t, n, 2 + 4 * waves): the difference, then the waves of its x, then of its y; sine and cosine of a
        frequency side by side.

    Source: the flow embedding of PIPs (Harley et al. 2022) and CoTracker (Karaev et al. 2023).
    """
    motion = cells - cells[:, :1]
    frequency = torch.arange(waves, device=cells.device, dtype=cells.dtype) * (highest / waves)
    angle = motion[..., None] * frequency
    return torch.cat([motion, torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(-3)], dim=-1)


def neighbour_motion(xy: Tensor, octaves: int = 10) -> Tensor:
    """A point's motion to the next frame and from the previous one, as waves of doubling frequency.

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
