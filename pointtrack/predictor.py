"""`CoTrackerPredictor` and `CoTrackerOnlinePredictor`: the calls that scripts for CoTracker make, on our engine.

A script that imported them from `cotracker.predictor` imports them from here, and nothing else changes. New code
should rather use `pointtrack.track` and `StreamTracker`, which know nothing of batches and magic thresholds.
What our answers do better is in `docs/differences.md`.
"""

from __future__ import annotations

import torch
from torch import Tensor


def published_grid(
    size: int, wh: tuple[float, float], centre: tuple[float, float] | None = None
) -> Tensor:
    """The grid of points that CoTracker's predictors and evaluation use.

    It spans from a margin of width / 64 to the width (and not the last pixel) minus that margin.

    Args:
        size: points per side; with 1 it is the middle of `wh`, wherever the centre.
        wh: extent of the grid as (width, height) in pixels.
        centre: its middle as (x, y); by default that of an image of this size, (width / 2, height / 2).

    Returns:
        (size * size, 2) float32 points as (x, y), row by row.
    """
    half_w, half_h = wh[0] / 2, wh[1] / 2
    if size == 1:
        return torch.tensor([[half_w, half_h]])
    x, y = (half_w, half_h) if centre is None else centre
    margin = wh[0] / 64
    rows = torch.linspace(y - half_h + margin, y + half_h - margin, size)
    columns = torch.linspace(x - half_w + margin, x + half_w - margin, size)
    grid_y, grid_x = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([grid_x, grid_y], dim=-1).reshape(-1, 2)
