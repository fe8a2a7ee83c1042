"""Where a point is on a frame, from the products of its feature with the whole frame."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

SHARPNESS = 20.0
NEAR = 5  # cells from the best one; cells farther away do not count


class FirstGuess(nn.Module):
    """Products at 1/8 and 1/4 of the frame, mixed by one convolution; the centre of mass around the peak.

    Source: TAPIR's initialisation (Doersch et al. 2023) as LocoTrack uses it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(2, 1, 3, padding=1)
        self.logits = nn.Linear(6, 2)

    def forward(self, hires: Tensor, lowres: Tensor, features: list[Tensor]) -> tuple[Tensor, Tensor]:
        """One frame.

        Args:
            hires, lowres: (h, w, c) and (h', w', c') maps of the frame.
            features: of the n points, (n, c) and (n, c').

        Returns:
            (n, 2) x and y as fractions of the frame, and (n, 2) logits: occluded, position wrong.
        """
        fine, coarse = (
            rearrange(feature @ level.flatten(0, 1).T, "n (h w) -> n h w", h=len(level))
            for feature, level in zip(features, (hires, lowres), strict=True)
        )
        coarse = F.interpolate(coarse[:, None], fine.shape[1:], mode="bilinear", align_corners=False)[:, 0]
        both = torch.stack([coarse, fine], dim=1)
        flat = both.flatten(2)
        numbers = torch.cat([flat.mean(dim=2), flat.amax(dim=2), flat.amin(dim=2)], dim=1)
        return peak_place(self.mix(both)[:, 0]), self.logits(numbers)


def peak_place(heat: Tensor) -> Tensor:
    """(n, h, w) -> (n, 2) centre of mass of the soft-max near the largest cell, as fractions of w and h.

    The sum over all cells cancels out, so only the cells near the peak are needed.
    """
    n, h, w = heat.shape
    flat = heat.flatten(1)
    value, index = flat.max(dim=1)
    offset = torch.arange(-NEAR + 1, NEAR, device=heat.device)
    x = (index % w)[:, None] + offset
    y = (index // w)[:, None] + offset
    inside = ((x >= 0) & (x < w))[:, None, :] & ((y >= 0) & (y < h))[:, :, None]
    inside = inside & (offset**2 + offset[:, None] ** 2 < NEAR**2)
    cells = y.clamp(0, h - 1)[:, :, None] * w + x.clamp(0, w - 1)[:, None, :]
    mass = (flat.gather(1, cells.flatten(1)).view_as(cells) - value[:, None, None]) * SHARPNESS
    mass = mass.exp().masked_fill(~inside, 0.0)
    mass = mass / mass.sum(dim=(1, 2), keepdim=True)
    place_x = (mass.sum(dim=1) * (x + 0.5)).sum(dim=1) / w
    place_y = (mass.sum(dim=2) * (y + 0.5)).sum(dim=1) / h
    return torch.stack([place_x, place_y], dim=-1)
