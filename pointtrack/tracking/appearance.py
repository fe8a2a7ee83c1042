"""Appearance of places: 3 x 3 cells of the tracker's features, to compare and to search for over a whole frame."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from pointtrack.geometry import sample_features

# The search refines a place on a finer grid than cells: its step and reach in cells.
STEP, REACH = 0.25, 2.0
STRIDE = 8  # pixels per cell of the features to read, at the tracker's frame size
APART = 3  # cells; the best rival of a match is searched only beyond this distance from it


@dataclass(frozen=True)
class Match:
    """The results of a search over a frame.

    Attributes:
        cells: (n, 2) the most similar places, in cells.
        score: (n,) their similarity.
        rival: (n,) similarity of the best place that is not next to these; -1 if there is none.
    """

    cells: Tensor
    score: Tensor
    rival: Tensor


def unit_cells(features: Tensor) -> Tensor:
    """(c, h, w) features -> the same as float32 on the CPU, every cell of unit length."""
    return F.normalize(features.float().cpu(), dim=0)


def read_appearance(level: Tensor, cells: Tensor) -> Tensor:
    """The cells around some places: (c, h, w) unit cells, (..., 2) cells -> (..., c, 9), each of the 9 of unit length.

    Outside the map the border repeats; values at NaN have no meaning.
    """
    around = torch.cartesian_prod(torch.arange(-1.0, 2.0), torch.arange(-1.0, 2.0))[:, [1, 0]]
    places = torch.nan_to_num(cells)[..., None, :] + around
    return rearrange(F.normalize(sample_features(level[None], places[None])[0], dim=-1), "... p c -> ... c p")


def similarity(appearance: Tensor, others: Tensor) -> Tensor:
    """Mean cosine of the nine cells, (..., c, 9) twice -> (...) in [-1, 1]."""
    return (appearance * others).sum(dim=(-2, -1)) / appearance.shape[-1]


def search(level: Tensor, appearance: Tensor) -> Match:
    """Search for (n, c, 9) appearances everywhere on (c, h, w) unit cells, at whole cells only."""
    h, w = level.shape[1:]
    kernel = rearrange(appearance, "n c (y x) -> n c y x", y=3) / appearance.shape[-1]
    alike = F.conv2d(F.pad(level[None], (1, 1, 1, 1), mode="replicate"), kernel)[0]
    score, index = alike.flatten(1).max(dim=1)
    cells = torch.stack([index % w, index // w], dim=-1)
    y, x = torch.arange(h)[:, None], torch.arange(w)
    near = ((y - cells[:, 1, None, None]).abs() <= APART) & ((x - cells[:, 0, None, None]).abs() <= APART)
    rival = alike.masked_fill(near, -1.0).flatten(1).max(dim=1).values
    return Match(cells.float(), score, rival)


def settle(level: Tensor, appearance: Tensor, cells: Tensor) -> Tensor:
    """Refine (n, 2) cells to the nearby places most similar to (n, c, 9) appearances, to a fraction of a cell."""
    steps = torch.arange(-REACH, REACH + STEP, STEP)
    tried = cells[:, None] + torch.cartesian_prod(steps, steps)
    alike = similarity(read_appearance(level, tried), appearance[:, None])
    return tried[torch.arange(len(cells)), alike.argmax(dim=1)]
