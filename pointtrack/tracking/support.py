"""Helper points that are tracked along so that the others are tracked better."""

from __future__ import annotations

import torch
from torch import Tensor

from pointtrack.geometry import grid_points
from pointtrack.types import Queries


def support_queries(
    queries: Queries,
    wh: tuple[int, int],
    global_size: int = 5,
    local_size: int = 0,
    local_extent: float = 50.0,
    every_frame: bool = False,
) -> Queries:
    """Points to track along with the queries so that these are tracked better; drop them from the answer.

    Args:
        queries: the points that were asked for.
        wh: size of the video as (width, height) in pixels.
        global_size: points per side of a grid over the whole image; 0 for none.
        local_size: points per side of a grid around every query point, on its frame; 0 for none.
        local_extent: width and height of a local grid in pixels.
        every_frame: put the global grid on every distinct query frame, not only on frame 0.

    Returns:
        `Queries` with the ids -1, -2, ..., which never meet those of the queries (where the queries have
        negative ids themselves, counting starts below the lowest). Positions are clamped into the image.
        May be empty.

    Raises:
        ValueError: a negative size, or an extent that is not positive.
    """
    if min(global_size, local_size) < 0:
        raise ValueError(f"support grids: expected sizes of 0 or more, got {global_size} and {local_size}")
    if not local_extent > 0:
        raise ValueError(f"local_extent: expected a positive number of pixels, got {local_extent}")
    frames, points = [torch.zeros(0, dtype=torch.int64)], [torch.zeros(0, 2)]
    if global_size:
        grid = grid_points(global_size, wh)
        for frame in torch.unique(queries.frame).tolist() if every_frame else [0]:
            frames.append(torch.full((len(grid),), frame))
            points.append(grid)
    if local_size:
        offsets = _square_grid(local_size, local_extent)
        frames.append(queries.frame.repeat_interleave(len(offsets)))
        points.append((queries.xy[:, None] + offsets).reshape(-1, 2))
    frame, xy = torch.cat(frames), torch.cat(points)
    xy = torch.minimum(xy.clamp(min=0), torch.tensor([wh[0] - 1.0, wh[1] - 1.0]))
    lowest = min([0, *queries.ids.tolist()])
    return Queries(frame, xy, lowest - 1 - torch.arange(len(xy)))


def _square_grid(size: int, extent: float) -> Tensor:
    """(size * size, 2) offsets around (0, 0), from -extent / 2 to extent / 2."""
    side = torch.linspace(-extent / 2, extent / 2, size) if size > 1 else torch.zeros(1)
    y, x = torch.meshgrid(side, side, indexing="ij")
    return torch.stack([x, y], dim=-1).reshape(-1, 2)
