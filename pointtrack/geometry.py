"""Points and maps: the only module that defines how pixels, image sizes and feature cells relate.

Points are (x, y) in float pixels; (0, 0) is the centre of the top-left pixel, so the last pixel of a
row has x = width - 1. A feature map of stride s has its cell (i, j) at pixel (s * i, s * j).
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor


def rescale_points(
    xy: Tensor, from_wh: tuple[int, int], to_wh: tuple[int, int], rule: str = "corners"
) -> Tensor:
    """Move points from one image size to another.

    Args:
        xy: (..., 2) points as (x, y), in pixels of the `from_wh` image.
        from_wh, to_wh: image sizes as (width, height), each side at least 2 pixels.
        rule: what the resize keeps in place. "corners": the centres of the corner pixels, as in the
            published CoTracker models. "edges" and "plain": the outer edges of the image, as in every resize
            that averages over the pixels it shrinks.

    Returns:
        (..., 2) points in pixels of the `to_wh` image. `xy` is not changed.

    Raises:
        ValueError: the last axis is not 2, a side is shorter than 2 pixels, or an unknown rule.

    Source: align_corners=True and False of torch.nn.functional.interpolate.

    >>> rescale_points(torch.tensor([[99.0, 49.0]]), (100, 50), (200, 100))
    tensor([[199.,  99.]])
    """
    if xy.shape[-1] != 2:
        raise ValueError(f"xy: expected a last axis of 2 (x, y), got shape {tuple(xy.shape)}")
    if min(*from_wh, *to_wh) < 2:
        raise ValueError(f"image sizes: expected sides of at least 2 pixels, got {from_wh} and {to_wh}")
    if rule == "corners":
        return xy * xy.new_tensor([(new - 1) / (old - 1) for old, new in zip(from_wh, to_wh, strict=True)])
    if rule in ("edges", "plain"):
        return (xy + 0.5) * xy.new_tensor([new / old for old, new in zip(from_wh, to_wh, strict=True)]) - 0.5
    raise ValueError(f"rule: expected 'corners', 'edges' or 'plain', got {rule!r}")


def resize_frames(frames: Tensor, to_wh: tuple[int, int], rule: str = "corners") -> Tensor:
    """Resize images bilinearly by the rule of `rescale_points`.

    Args:
        frames: (t, c, h, w) images, float or uint8.
        to_wh: new size as (width, height).
        rule: "corners" and "plain" read single pixels, like published models; "edges" averages over all pixels
            that a shrunken pixel covers.

    Returns:
        (t, c, h', w') images; uint8 stays uint8 under "edges", and becomes float32 otherwise.
    """
    size = (to_wh[1], to_wh[0])
    if frames.shape[-2:] == size:
        return frames
    if rule == "edges":
        return F.interpolate(frames, size, mode="bilinear", align_corners=False, antialias=True)
    return F.interpolate(frames.float(), size, mode="bilinear", align_corners=rule == "corners")


def grid_points(size: int | tuple[int, int], wh: tuple[int, int], margin: float | None = None) -> Tensor:
    """Evenly spaced points over an image, row by row, x fastest.

    Args:
        size: points per side, or (columns, rows); a side with a single point gets the centre.
        wh: image size as (width, height).
        margin: distance from the border in pixels; by default a 64th of the width.

    Returns:
        (columns * rows, 2) float32 points in pixels.

    Raises:
        ValueError: fewer than one point per side.
    """
    columns, rows = (size, size) if isinstance(size, int | np.integer) else size
    if min(columns, rows) < 1:
        raise ValueError(f"grid size: expected at least 1 point per side, got {columns} x {rows}")
    margin = wh[0] / 64 if margin is None else margin
    axes = []
    for count, length in ((columns, wh[0]), (rows, wh[1])):
        near = min(margin, (length - 1) / 2)
        middle = (length - 1) / 2
        axes.append(torch.linspace(near, length - 1 - near, count) if count > 1 else torch.tensor([middle]))
    y, x = torch.meshgrid(axes[1], axes[0], indexing="ij")
    return torch.stack([x, y], dim=-1).reshape(-1, 2)


def published_grid(size: int, wh: tuple[float, float], centre: tuple[float, float] | None = None) -> Tensor:
    """The grid of points that CoTracker's predictors and evaluation use.

    It spans from a margin of width / 64 to the width (and not the last pixel) minus that margin.

    Args:
        size: points per side; 1 gives the middle of `wh`, whatever the centre.
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


def sample_features(features: Tensor, xy: Tensor) -> Tensor:
    """Read a map at float positions: bilinear inside, the border value outside.

    Args:
        features: (b, c, h, w) maps.
        xy: (b, ..., 2) positions in cells of the map, (0, 0) the centre of its first cell.

    Returns:
        (b, ..., c) values.

    Source: torch.nn.functional.grid_sample with align_corners=True and border padding.
    """
    b, _, h, w = features.shape
    # A side of one cell has no extent to normalise by, so every position reads that cell.
    scale = xy.new_tensor([2 / max(w - 1, 1), 2 / max(h - 1, 1)])
    grid = rearrange(xy * scale - 1, "b ... xy -> b (...) 1 xy")
    values = F.grid_sample(features, grid.to(features.dtype), align_corners=True, padding_mode="border")
    return rearrange(values, "b c p 1 -> b p c").reshape(*xy.shape[:-1], features.shape[1])


def swapped_hint(xy: Tensor, wh: tuple[int, int]) -> str:
    """The end of a message about a point (2,) outside an image, if it would be inside with x and y swapped; else empty."""
    x, y = xy.tolist()
    return f"; x comes first: did you mean ({y:g}, {x:g})?" if inside_image(xy.flip(-1), wh) else ""


def inside_image(xy: Tensor, wh: tuple[int, int]) -> Tensor:
    """(..., 2) points in pixels -> (...) bool: within the image, border pixels included. NaN is outside."""
    limit = xy.new_tensor([wh[0] - 0.5, wh[1] - 0.5])
    return ((xy >= -0.5) & (xy <= limit)).all(dim=-1)
