"""Where to track: grids, corners, files of points, and support points that help the others.

The (t, y, x) order of the TAP-Vid data sets ends here, in `queries_from_tyx`; everything else in pointtrack
keeps frame and (x, y) apart.
"""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from pointtrack.checks import check_shape
from pointtrack.geometry import grid_points
from pointtrack.types import Queries, Video

QUERY_SUFFIXES = (".csv", ".json")


def grid_queries(
    video_or_wh: Video | tuple[int, int],
    size: int | tuple[int, int] = 20,
    frame: int = 0,
    mask: np.ndarray | None = None,
) -> Queries:
    """A regular grid of points on one frame, over the image or inside a mask.

    Args:
        video_or_wh: the video, or its size as (width, height) in pixels.
        size: points per side, or (columns, rows).
        frame: the frame the points are given on.
        mask: (h, w) bool; only points inside it. The grid is then square and so fine that about as many
            points as without a mask fall into the mask: its spacing is sqrt(mask area / number of points)
            pixels, and at least 1. There is always at least one point.

    Returns:
        `Queries` row by row, x fastest; ids 0..n-1.

    Raises:
        ValueError: fewer than one point per side, a frame outside the video, a mask of another size or an
            empty one.
    """
    wh = _size_of(video_or_wh, frame)
    if mask is None:
        xy = grid_points(size, wh)
    else:
        columns, rows = (size, size) if isinstance(size, int) else size
        if min(columns, rows) < 1:
            raise ValueError(f"grid size: expected at least 1 point per side, got {columns} x {rows}")
        xy = torch.from_numpy(_grid_in_mask(_checked_mask(mask, wh), columns * rows))
    return Queries(torch.full((len(xy),), frame), xy)


def corner_queries(video: Video, count: int = 100, frame: int = 0, mask: np.ndarray | None = None) -> Queries:
    """The points of a frame that are easiest to follow: its strongest corners, best first.

    Args:
        video: the video; one frame of it is read.
        count: at most this many points; flat images give fewer.
        frame: the frame to look at.
        mask: (h, w) bool; only corners inside it.

    Returns:
        `Queries` with ids 0..n-1 in order of strength.

    Raises:
        ValueError: no corners at all (use `grid_queries`), a frame outside the video, a count below 1, a
            mask of another size or an empty one.

    Source: Shi and Tomasi, "Good features to track", as in OpenCV.
    """
    wh = _size_of(video, frame)
    if count < 1:
        raise ValueError(f"count: expected at least 1 corner, got {count}")
    where = None if mask is None else _checked_mask(mask, wh).astype(np.uint8)
    grey = cv2.cvtColor(np.ascontiguousarray(video.frames[frame]), cv2.COLOR_RGB2GRAY)
    area = wh[0] * wh[1] if where is None else int(where.sum())
    distance = max(0.5 * math.sqrt(area / count), 2.0)  # spreads the corners over the area
    corners = cv2.goodFeaturesToTrack(grey, count, 0.005, distance, mask=where, blockSize=5)
    if corners is None or len(corners) == 0:
        raise ValueError(f"frame {frame}: expected corners, found none; the area is flat, use grid_queries")
    xy = corners.reshape(-1, 2)
    return Queries(torch.full((len(xy),), frame), torch.from_numpy(xy))


def queries_from_tyx(points: Any) -> Queries:
    """(n, 3) rows of (frame, y, x), the order of TAP-Vid and TAPIR -> Queries.

    >>> queries_from_tyx([[3, 20.0, 10.0]]).xy
    tensor([[10., 20.]])
    """
    tyx = torch.as_tensor(points, dtype=torch.float64)
    check_shape(tyx, "n 3", "query points (frame, y, x)")
    return Queries(tyx[:, 0], tyx[:, [2, 1]])


def read_queries(path: str | Path) -> Queries:
    """Read query points from a .csv or .json file.

    CSV: a header with the columns frame (or t), x and y, and id if wanted, in any order; then one point per
    line. JSON: a list of [frame, x, y], or of {"frame": 0, "x": 1.5, "y": 2.0} with an "id" each if wanted.
    Frames count from 0; x and y are pixels with (0, 0) the centre of the top-left pixel.

    Raises:
        FileNotFoundError: no such file.
        ValueError: an unknown suffix, missing columns, no points, or something that is not a number; the
            message says on which line or at which point.
    """
    path = Path(path)
    _check_query_suffix(path)
    if not path.is_file():
        raise FileNotFoundError(f"query points: expected a .csv or .json file, found nothing at {path}")
    rows = _rows_of_csv(path) if path.suffix.lower() == ".csv" else _rows_of_json(path)
    if not rows:
        raise ValueError(f"{path}: expected at least one query point, found none")
    points: list[list[Any]] = []
    for place, row in rows:
        row = {"frame": row["t"], **row} if "t" in row else row
        missing = [name for name in ("frame", "x", "y") if row.get(name) in (None, "")]
        if missing:
            raise ValueError(f"{path}, {place}: expected frame (or t), x and y, but {missing} are missing")
        try:
            points.append([float(row[name]) for name in ("frame", "x", "y")])
            points[-1] += [] if row.get("id") in (None, "") else [int(str(row["id"]))]
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}, {place}: expected numbers, got {row}") from error
    if len({len(point) for point in points}) > 1:
        raise ValueError(f"{path}: expected an id for every point or for none, got some")
    has_ids = len(points[0]) == 4
    try:
        return Queries(
            torch.tensor([point[0] for point in points]),
            torch.tensor([point[1:3] for point in points]),
            torch.tensor([point[3] if has_ids else i for i, point in enumerate(points)]),
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def write_queries(path: str | Path, queries: Queries) -> Path:
    """Write query points with their ids to .csv or .json, exactly as `read_queries` reads them back.

    Raises:
        ValueError: an unknown suffix.
    """
    path = Path(path)
    _check_query_suffix(path)
    # str of a float32 is the shortest text that reads back as the same float32.
    points = [
        (frame, str(np.float32(x)), str(np.float32(y)), point)
        for frame, (x, y), point in zip(
            queries.frame.tolist(), queries.xy.numpy(), queries.ids.tolist(), strict=True
        )
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() == ".csv":
        lines = ["frame,x,y,id", *(f"{frame},{x},{y},{point}" for frame, x, y, point in points)]
    else:
        rows = [f'  {{"frame": {t}, "x": {x}, "y": {y}, "id": {point}}}' for t, x, y, point in points]
        lines = ["[", ",\n".join(rows), "]"]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


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


def _size_of(video_or_wh: Video | tuple[int, int], frame: int) -> tuple[int, int]:
    """(width, height); raises ValueError for a frame that the video has not."""
    if isinstance(video_or_wh, Video):
        if not 0 <= frame < len(video_or_wh):
            raise ValueError(f"frame: expected 0..{len(video_or_wh) - 1}, got {frame}")
        return video_or_wh.wh
    if len(video_or_wh) != 2 or min(video_or_wh) < 1:
        raise ValueError(f"wh: expected (width, height) of at least 1 pixel each, got {video_or_wh}")
    return video_or_wh


def _checked_mask(mask: np.ndarray, wh: tuple[int, int]) -> np.ndarray:
    """(h, w) bool; raises ValueError for a mask of another size or without a pixel."""
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


def _check_query_suffix(path: Path) -> None:
    if path.suffix.lower() not in QUERY_SUFFIXES:
        raise ValueError(f"{path}: expected query points in .csv or .json, got {path.suffix!r}")


def _rows_of_csv(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """(where it stands, {column: text}) of every point."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file, skipinitialspace=True)
        names = [(name or "").strip().lower() for name in reader.fieldnames or []]
        if not {"x", "y"} <= set(names) or not {"frame", "t"} & set(names):
            raise ValueError(f"{path}: expected a header with frame (or t), x, y and maybe id, got {names}")
        reader.fieldnames = names
        return [(f"line {reader.line_num}", row) for row in reader]


def _rows_of_json(path: Path) -> list[tuple[str, dict[str, Any]]]:
    try:
        points = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: expected JSON, but it cannot be read: {error}") from error
    if not isinstance(points, list):
        raise ValueError(f"{path}: expected a list of points, got {type(points).__name__}")
    rows = []
    for i, point in enumerate(points):
        if isinstance(point, list) and len(point) == 3:
            point = dict(zip(("frame", "x", "y"), point, strict=True))
        if not isinstance(point, dict):
            raise ValueError(f"{path}, point {i}: expected [frame, x, y] or an object with them, got {point}")
        rows.append((f"point {i}", point))
    return rows
