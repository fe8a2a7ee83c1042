"""Bilinear reading of maps, and the 7 x 7 patches that correlations are made of."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

RADIUS = 3


def sample(maps: Tensor, cells: Tensor) -> Tensor:
    """Maps (b, c, h, w) at positions (b, k, 2), the border value outside -> (b, k, c)."""
    h, w = maps.shape[2:]
    size = cells.new_tensor([max(w - 1, 1), max(h - 1, 1)])
    grid = (cells * 2 / size - 1)[:, :, None]
    return F.grid_sample(maps, grid, align_corners=True, padding_mode="border")[..., 0].transpose(1, 2)


def patch_around(cells: Tensor) -> Tensor:
    """Positions (..., 2) -> those of the patch around them (..., 49, 2), x slow and y fast."""
    reach = torch.arange(-RADIUS, RADIUS + 1, device=cells.device, dtype=cells.dtype)
    offsets = torch.stack(torch.meshgrid(reach, reach, indexing="ij"), dim=-1).reshape(-1, 2)
    return cells[..., None, :] + offsets


def sample_frames(level: Tensor, frame: Tensor, cells: Tensor) -> Tensor:
    """Maps (b, t, c, h, w) on frames (b, n) at positions (b, n, k, 2) -> (b, n, k, c), read as a volume."""
    t, _, h, w = level.shape[1:]
    place = torch.cat([cells, frame[:, :, None, None].expand(*cells.shape[:3], 1).to(cells)], dim=-1)
    size = cells.new_tensor([max(w - 1, 1), max(h - 1, 1), max(t - 1, 1)])
    grid = (place * 2 / size - 1)[:, :, :, None]
    values = F.grid_sample(level.transpose(1, 2), grid, align_corners=True, padding_mode="border")
    return values[..., 0].permute(0, 2, 3, 1)
