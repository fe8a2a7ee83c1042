"""Query points in files."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pointtrack.io.atomic import write_text
from pointtrack.io.storage import reads_anywhere, writes_anywhere
from pointtrack.types import Queries

QUERY_SUFFIXES = (".csv", ".json")


@reads_anywhere
def load_queries(path: str | Path) -> Queries:
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


@writes_anywhere
def save_queries(path: str | Path, queries: Queries) -> Path:
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
    if path.suffix.lower() == ".csv":
        lines = ["frame,x,y,id", *(f"{frame},{x},{y},{point}" for frame, x, y, point in points)]
    else:
        rows = [f'  {{"frame": {t}, "x": {x}, "y": {y}, "id": {point}}}' for t, x, y, point in points]
        lines = ["[", ",\n".join(rows), "]"]
    return write_text(path, "\n".join(lines) + "\n")


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
