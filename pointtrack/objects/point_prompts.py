"""Chooses tracked points to prompt a segmenter with, and measures how well a mask agrees with the points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pointtrack.checks import counted
from pointtrack.types import Video


@dataclass(frozen=True, eq=False)
class Shown:
    """The earlier answer to the first clicks of a prompt.

    Attributes:
        clicks: number of these clicks.
        mask: (h, w) bool, the answer to them.
    """

    clicks: int
    mask: Tensor


@dataclass(frozen=True, eq=False)
class KnownMask:
    """The mask from which an object is followed.

    Attributes:
        frame: number of the frame.
        mask: (h, w) bool, of the video's size and not empty.
        score: its expected overlap (IoU), in [0, 1]: 1 for a drawn mask, less for an answer to clicks.
    """

    frame: int
    mask: Tensor
    score: float = 1.0

    def check(self, video: Video, number: int) -> None:
        """Raises ValueError where the object's number is below 1, or frame or mask do not fit the video."""
        if number < 1 or not 0 <= self.frame < len(video):
            raise ValueError(
                f"object {number}: expected an id from 1 on and a frame in 0..{len(video) - 1}, "
                f"got frame {self.frame}; the video has {counted(len(video), 'frame')}"
            )
        size = (video.wh[1], video.wh[0])
        if tuple(self.mask.shape) != size or self.mask.dtype != torch.bool:
            raise ValueError(
                f"object {number}: expected a bool mask of shape (h, w) = {size}, "
                f"got {self.mask.dtype} {tuple(self.mask.shape)}"
            )
        if not self.mask.any():
            raise ValueError(f"object {number}: expected some pixel in its mask, got an empty one")


def spread_points(xy: Tensor, count: int) -> Tensor:
    """Choose points that cover their set: first the most central one, then always the one farthest from all chosen.

    Args:
        xy: (n, 2) points.
        count: how many to choose; all, if there are no more.

    Returns:
        (min(count, n),) int64 indices, in the order chosen. The order of the given points only breaks ties.

    Source: farthest point sampling (Gonzalez 1985), as SAM-PT (Rajič et al. 2023) compares with k-medoids.
    """
    if not len(xy) or count < 1:
        return torch.zeros(0, dtype=torch.int64)
    distance = torch.cdist(xy.double(), xy.double())
    chosen = [int(distance.sum(1).argmin())]
    nearest = distance[chosen[0]]
    while len(chosen) < min(count, len(xy)):
        chosen.append(int(nearest.argmax()))
        nearest = torch.minimum(nearest, distance[chosen[-1]])
    return torch.tensor(chosen)


def nearest_others(own: Tensor, others: Tensor, count: int) -> Tensor:
    """Choose the points of others that lie closest to an object's own: they mark where it ends.

    Args:
        own: (n, 2) points of the object, at least one.
        others: (m, 2) points of other objects and the background.
        count: how many to choose.

    Returns:
        (min(count, m),) int64 indices into `others`, spread over those among the 4 * count closest.
    """
    if not len(others) or count < 1:
        return torch.zeros(0, dtype=torch.int64)
    gap = torch.cdist(others.double(), own.double()).amin(1)
    close = gap.argsort()[: 4 * count]
    # The closest few alone may all lie on one side.
    return close[spread_points(others[close], count)]


def read_mask(mask: Tensor, xy: Tensor) -> Tensor:
    """(h, w) mask at (n, 2) points in pixels -> (n,) bool; points outside the frame are outside the mask."""
    h, w = mask.shape
    x, y = xy.round().long().unbind(-1)
    inside = (x >= 0) & (x < w) & (y >= 0) & (y < h)
    return inside & mask[y.clamp(0, h - 1), x.clamp(0, w - 1)]


def agreement(mask: Tensor, own: Tensor, others: Tensor) -> float:
    """How well a mask fits the points, in -1..1: the share of own points in it, minus that of others' points.

    Args:
        mask: (h, w) bool.
        own: (n, 2) points that should be inside; without any, their share is 0.
        others: (m, 2) points that should be outside.
    """
    inside = float(read_mask(mask, own).float().mean()) if len(own) else 0.0
    wrong = float(read_mask(mask, others).float().mean()) if len(others) else 0.0
    return inside - wrong


def area(mask: Tensor) -> int:
    """The number of pixels in a (h, w) bool mask. NumPy counts much faster than torch sums."""
    return int(np.count_nonzero(mask.cpu().numpy()))


def overlap(a: Tensor, b: Tensor) -> float:
    """Intersection over union of two (h, w) bool masks; 1 if both are empty."""
    both = area(a & b)
    either = area(a) + area(b) - both
    return both / either if either else 1.0
