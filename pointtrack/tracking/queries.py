"""Chooses points to track: a regular grid, points a stride apart, or corners."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch

from pointtrack.geometry import grid_points
from pointtrack.types import Queries, Video

MOST_POINTS = 10_000_000  # of a grid: the network needs kilobytes for each


def grid_queries(
    video_or_wh: Any,
    size: int | tuple[int, int] = 20,
    frame: int = 0,
    mask: np.ndarray | None = None,
) -> Queries:
    """A regular grid of points on one frame, over the image or inside a mask.

    Args:
        video_or_wh: the video, also one that `open_video` opened; its frames as an array or tensor as in `Video`; or
            its size as (width, height) in pixels.
        size: points per side, or (columns, rows).
        frame: the query frame of the points.
        mask: (h, w) bool; only points inside it. The grid is then square, and fine enough that about as many points
            fall into the mask as without one: its spacing is sqrt(mask area / number of points) pixels, and at least
            1. There is always at least one point.

    Returns:
        `Queries` row by row, x fastest; ids 0..n-1.

    Raises:
        ValueError: there is less than one point per side, the frame lies outside the video, or the mask is empty or has
            another size.
    """
    wh = _size_of(video_or_wh, frame)
    sides = tuple(size) if isinstance(size, Sequence | np.ndarray) else (size, size)
    if len(sides) != 2 or not all(isinstance(side, int | np.integer) for side in sides):
        raise ValueError(
            f"grid size: expected a whole number of points per side, or (columns, rows), got {size!r}"
        )
    columns, rows = sides
    if columns * rows > MOST_POINTS:
        raise ValueError(f"grid size: expected at most {MOST_POINTS} points in all, got {columns} x {rows}")
    if mask is None:
        xy = grid_points(size, wh)
    else:
        if min(columns, rows) < 1:
            raise ValueError(f"grid size: expected at least 1 point per side, got {columns} x {rows}")
        xy = torch.from_numpy(_grid_in_mask(_checked_mask(mask, wh), columns * rows))
    return Queries(torch.full((len(xy),), frame), xy)


def corner_queries(video: Any, count: int = 100, frame: int = 0, mask: np.ndarray | None = None) -> Queries:
    """The points of a frame that are easiest to track: its strongest corners, best first.

    Args:
        video: the video, of which one frame is read; or its frames as an array or tensor as in `Video`.
        count: at most this many points; flat images give fewer.
        frame: the query frame, on which to look for corners.
        mask: (h, w) bool; only corners inside it.

    Returns:
        `Queries` with ids 0..n-1 in order of strength.

    Raises:
        ValueError: there are no corners (use `grid_queries`), the frame lies outside the video, the count is below 1,
            or the mask is empty or has another size.

    Source: Shi and Tomasi, "Good features to track", as in OpenCV.
    """
    video = _video_of(video)
    wh = _size_of(video, frame)
    if count < 1:
        raise ValueError(f"count: expected at least 1 corner, got {count}")
    where = None if mask is None else _checked_mask(mask, wh).astype(np.uint8)
    grey = cv2.cvtColor(np.ascontiguousarray(video.frames[frame]), cv2.COLOR_RGB2GRAY)
    area = wh[0] * wh[1] if where is None else int(where.sum())
    distance = max(0.5 * math.sqrt(area / count), 2.0)  # spreads the corners
    corners = cv2.goodFeaturesToTrack(grey, count, 0.005, distance, mask=where, blockSize=5)
    if corners is None or len(corners) == 0:
        raise ValueError(f"frame {frame}: expected corners, found none; the area is flat, use grid_queries")
    xy = corners.reshape(-1, 2)
    return Queries(torch.full((len(xy),), frame), torch.from_numpy(xy))


def _size_of(video_or_wh: Any, frame: int) -> tuple[int, int]:
    """(width, height). Raises ValueError if it is neither a video nor a size, or the video does not have the frame."""
    if hasattr(video_or_wh, "wh") and not isinstance(video_or_wh, Video):  # opened, and not read yet
        return video_or_wh.wh
    if np.ndim(getattr(video_or_wh, "frames", video_or_wh)) == 1:
        wh = tuple(video_or_wh)
        if len(wh) != 2 or not all(isinstance(side, int | np.integer) and side >= 1 for side in wh):
            raise ValueError(f"wh: expected (width, height) of at least 1 pixel each, got {video_or_wh}")
        return wh[0], wh[1]
    video = _video_of(video_or_wh)
    if not 0 <= frame < len(video):
        raise ValueError(f"frame: expected 0..{len(video) - 1}, got {frame}")
    return video.wh


def _video_of(video: Any) -> Video:
    """A video, or its frames as an array or tensor. Raises ValueError for anything else."""
    if isinstance(video, Video):
        return video
    if not hasattr(video, "shape"):
        raise ValueError(
            f"video: expected a Video or an array of its frames, got {type(video).__name__}; "
            "pt.read_video(...) reads files and lists of frames"
        )
    return Video(video)


def _checked_mask(mask: np.ndarray, wh: tuple[int, int]) -> np.ndarray:
    """(h, w) bool. Raises ValueError if the mask is empty or has another size."""
    mask = np.asarray(mask)
    if mask.shape != (wh[1], wh[0]):
        raise ValueError(f"mask: expected shape (h, w) = ({wh[1]}, {wh[0]}) as the video, got {mask.shape}")
    if not mask.any():
        raise ValueError("mask: expected at least one pixel inside, got an empty mask")
    return mask.astype(bool)


def _grid_in_mask(mask: np.ndarray, count: int) -> np.ndarray:
    """(n, 2) float32 points of a square grid inside the mask, n about `count` and at least 1."""
    rows, columns = np.nonzero(mask)
    spacing = max(math.sqrt(len(rows) / count), 1.0)
    axes = []
    for low, high in ((columns.min(), columns.max()), (rows.min(), rows.max())):
        steps = int((high - low) / spacing)
        axes.append((low + high) / 2 + spacing * (np.arange(steps + 1) - steps / 2))  # centred on the box
    x, y = (axis.reshape(-1) for axis in np.meshgrid(*axes))
    inside = mask[np.rint(y).astype(int), np.rint(x).astype(int)]
    if not inside.any():  # a shape so thin that the grid misses it: its pixel nearest to the middle
        nearest = np.argmin((columns - columns.mean()) ** 2 + (rows - rows.mean()) ** 2)
        return np.array([[columns[nearest], rows[nearest]]], np.float32)
    return np.stack([x[inside], y[inside]], axis=-1).astype(np.float32)


def stride_queries(wh: tuple[int, int], stride: int, frame: int = 0) -> Queries:
    """Points `stride` pixels apart over a whole image, centred in it; 1 is every pixel.

    Args:
        wh: size of the image as (width, height) in pixels.
        stride: distance in pixels, 1 or more.
        frame: the query frame of the points.

    Returns:
        `Queries` row by row, x fastest; ids 0..n-1.

    Raises:
        ValueError: the stride is below 1.

    >>> stride_queries((6, 3), 4).xy
    tensor([[0.5000, 1.0000],
            [4.5000, 1.0000]])
    """
    if stride < 1:
        raise ValueError(f"stride: expected 1 pixel or more, got {stride}")
    x, y = (torch.arange(0, side, stride) + (side - 1) % stride / 2 for side in wh)
    grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
    xy = torch.stack([grid_x, grid_y], dim=-1).reshape(-1, 2)
    return Queries(torch.full((len(xy),), frame), xy)


def check_mask_counts(mask: object, given: object, *choosing: object) -> None:
    """Refuse a mask that would have no effect, because there is no grid and there are no corners to limit to it.

    Args:
        mask: the mask that limits grid and corners, if there is one.
        given: single points or a file of points, if there are any.
        choosing: how many points to choose as a grid, as corners; None for none.

    Raises:
        ValueError: there is a mask, but only given points.
    """
    if mask and given and all(size is None for size in choosing):
        raise ValueError(
            "mask: expected --grid or --corners with it, whose points lie where the mask is not black; got given points alone"
        )


def parse_points(points: Sequence[str]) -> Queries:
    """Texts like "0,120,80.5" (frame, x, y) -> Queries.

    Raises:
        ValueError: a text has another form.

    >>> parse_points(["0,120,80.5"]).xy
    tensor([[120.0000,  80.5000]])
    """
    rows = []
    for text in points:
        try:
            frame, x, y = (float(number) for number in text.split(","))
        except ValueError as error:
            raise ValueError(f"points: expected frame,x,y as in 0,120,80.5, got {text!r}") from error
        rows.append([frame, x, y])
    return Queries.from_txy(rows)
