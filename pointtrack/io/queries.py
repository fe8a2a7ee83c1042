"""Queries in files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pointtrack.io.atomic import write_text
from pointtrack.io.formats.native import FORMAT
from pointtrack.io.formats.text import csv_text
from pointtrack.io.outside import read_json
from pointtrack.io.query_tables import read_table
from pointtrack.io.storage import reads_anywhere, writes_anywhere
from pointtrack.io.tracks import load_tracks
from pointtrack.types import Queries

TABLES = (".csv", ".tsv", ".txt")


@reads_anywhere
def load_queries(path: str | Path) -> Queries:
    """Read queries from a table (.csv, .tsv, .txt) or a .json file.

    A table has a header with the columns frame (or t), x and y, optionally id and name, in any order; then one point per
    line. pointtrack detects delimiter, decimal comma, comments and encoding. It knows tables of napari and DeepLabCut by
    their headers. From tracks that pointtrack saved it takes the queries. JSON: a list of [frame, x, y], or of
    {"frame": 0, "x": 1.5, "y": 2.0} with an "id" each and optionally a "name". Frames count from 0; x and y are pixels with
    (0, 0) the centre of the top-left pixel. An id that is no whole number becomes a name.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the suffix is unknown, columns are missing, there are no points, or a value is not a number; the
            message names the line or the point.
    """
    path = Path(path)
    suffix = _checked_suffix(path, (*TABLES, ".json"))
    if not path.is_file():
        raise FileNotFoundError(f"query points: expected a .csv or .json file, found nothing at {path}")
    if _holds_tracks(path):
        return load_tracks(path).queries
    rows = read_table(path) if suffix in TABLES else _rows_of_json(path)
    if not rows:
        raise ValueError(f"{path}: expected at least one query point, found none")
    points, ids, names = [], [], []
    for place, row in rows:
        row = {"frame": row["t"], **row} if "t" in row else row
        missing = [name for name in ("frame", "x", "y") if row.get(name) in (None, "")]
        if missing:
            raise ValueError(f"{path}, {place}: expected frame (or t), x and y, but {missing} are missing")
        number, name = str(row.get("id") or (row.get("id") == 0 and "0") or ""), row.get("name") or ""
        try:
            points.append([float(row[name]) for name in ("frame", "x", "y")])
            if number and not name and not re.match(r"[-+.\d]", number):  # an id of letters
                number, name = "", number
            ids.append(_whole(number) if number else None)
            names.append(str(name))
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"{path}, {place}: expected numbers, got {str(row)[:200]}") from error
    if None in ids and any(number is not None for number in ids):
        raise ValueError(f"{path}: expected an id for every point or for none, got some")
    try:
        table = torch.tensor(points, dtype=torch.float64)
        return Queries(
            table[:, 0],
            table[:, 1:],
            torch.arange(len(ids)) if None in ids else torch.tensor(ids),
            tuple(names),
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


@writes_anywhere
def save_queries(path: str | Path, queries: Queries) -> Path:
    """Write queries with their ids to .csv or .json. `load_queries` reads them back exactly.

    Raises:
        ValueError: the suffix is unknown.
    """
    path = Path(path)
    suffix = _checked_suffix(path, (".csv", ".json"))
    # str of a float32 is the shortest text that reads back as the same float32.
    points = [
        (frame, str(np.float32(x)), str(np.float32(y)), point)
        for frame, (x, y), point in zip(
            queries.frame.tolist(), queries.xy.numpy(), queries.ids.tolist(), strict=True
        )
    ]
    names = queries.names or [""] * len(points)
    if suffix == ".csv":
        ends = [f",{csv_text(name)}" for name in names] if queries.names else names
        lines = ["frame,x,y,id" + ",name" * bool(queries.names)]
        lines += [f"{t},{x},{y},{point}{end}" for (t, x, y, point), end in zip(points, ends, strict=True)]
    else:
        ends = [f', "name": {json.dumps(name)}' if name else "" for name in names]
        rows = [
            f'  {{"frame": {t}, "x": {x}, "y": {y}, "id": {point}{end}}}'
            for (t, x, y, point), end in zip(points, ends, strict=True)
        ]
        lines = ["[", ",\n".join(rows), "]"]
    write_text(path, "\n".join(lines) + "\n")
    return path


def _whole(text: str) -> int:
    """Read 7, or 7.0 as spreadsheets and pandas write it in a column with gaps. Raises ValueError for another text."""
    value = int(text) if text.lstrip("+-").isdecimal() else float(text)
    if value != int(value):
        raise ValueError(text)
    return int(value)


def _checked_suffix(path: Path, suffixes: tuple[str, ...]) -> str:
    suffix = path.suffix.lower()
    if suffix not in suffixes:
        raise ValueError(f"{path}: expected query points in {', '.join(suffixes)}, got {path.suffix!r}")
    return suffix


def _holds_tracks(path: Path) -> bool:
    """Whether the file holds tracks that pointtrack wrote."""
    with path.open("rb") as file:
        return FORMAT.encode() in file.read(200)


def _rows_of_json(path: Path) -> list[tuple[str, dict[str, Any]]]:
    points = read_json(path, "query points as JSON")
    if not isinstance(points, list):
        raise ValueError(f"{path}: expected a list of points, got {type(points).__name__}")
    rows = []
    for i, point in enumerate(points):
        if isinstance(point, list) and len(point) == 3:
            point = dict(zip(("frame", "x", "y"), point, strict=True))
        if not isinstance(point, dict):
            raise ValueError(
                f"{path}, point {i}: expected [frame, x, y] or an object with them, got {str(point)[:200]}"
            )
        rows.append((f"point {i}", point))
    return rows
