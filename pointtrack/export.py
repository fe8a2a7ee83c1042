"""Tracks in files that other tools read: .npz, .csv and .json, each of which comes back exactly."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch

from pointtrack.types import Queries, Tracks

TRACK_SUFFIXES = (".npz", ".csv", ".json")
CSV_COLUMNS = ["frame", "time", "id", "x", "y", "visibility", "confidence"]
FORMAT = "pointtrack tracks 1"


def save_tracks(path: str | Path, tracks: Tracks) -> Path:
    """Write tracks by suffix; `load_tracks` reads every one of them back exactly.

    .npz: compressed arrays, the smallest. .csv: one line per frame and point with the columns frame, time
    (seconds, frame / fps), id, x, y, visibility, confidence; an empty x and y where the point was not
    tracked; first a few lines `# key: value` with what a table has no place for. .json: an object with the
    same, arrays nested as (t, n), null where the point was not tracked.

    Args:
        path: file to write; missing folders are made.
        tracks: the tracks.

    Returns:
        The path.

    Raises:
        ValueError: an unknown suffix.
    """
    path = Path(path)
    suffix = _checked_suffix(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if suffix == ".npz":
        return tracks.save(path)
    with path.open("w", newline="", encoding="utf-8") as file:
        file.writelines(_csv_lines(tracks) if suffix == ".csv" else _json_lines(tracks))
    return path


def load_tracks(path: str | Path) -> Tracks:
    """Read tracks that `save_tracks` wrote.

    Raises:
        FileNotFoundError: no such file.
        ValueError: an unknown suffix, or a file that does not hold tracks of pointtrack.
    """
    path = Path(path)
    suffix = _checked_suffix(path)
    if not path.is_file():
        raise FileNotFoundError(f"tracks file: expected {', '.join(TRACK_SUFFIXES)}, found nothing at {path}")
    read = {".npz": Tracks.load, ".csv": _read_csv, ".json": _read_json}[suffix]
    try:
        return read(path)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, EOFError, BadZipFile) as error:
        if str(error).startswith(str(path)):
            raise
        reason = f"no {error}" if isinstance(error, KeyError) else error
        raise ValueError(f"{path}: expected tracks saved by pointtrack, but {reason}") from error


def _checked_suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in TRACK_SUFFIXES:
        raise ValueError(f"{path}: expected tracks in {', '.join(TRACK_SUFFIXES)}, got {path.suffix!r}")
    return suffix


def _header(tracks: Tracks) -> dict[str, str]:
    """What both text formats say besides the arrays, each value as JSON text."""
    queries = zip(
        tracks.queries.ids.tolist(),
        tracks.queries.frame.tolist(),
        _texts(tracks.queries.xy.numpy()),
        strict=True,
    )
    points = ", ".join(f"[{point}, {frame}, {x}, {y}]" for point, frame, (x, y) in queries)
    return {
        "format": json.dumps(FORMAT),
        "wh": json.dumps(list(tracks.wh)),
        "fps": repr(float(tracks.fps)),
        "first_frame": str(tracks.first_frame),
        "frames": str(len(tracks)),
        "queries": f"[{points}]",
    }


def _csv_lines(tracks: Tracks) -> Iterator[str]:
    notes = {"queries": " (id, frame, x, y)"}
    for key, value in _header(tracks).items():
        yield f"# {key}{notes.get(key, '')}: {value}\n"
    yield ",".join(CSV_COLUMNS) + "\n"
    ids = tracks.ids.tolist()
    for t in range(len(tracks)):
        frame = tracks.first_frame + t
        start = f"{frame},{frame / tracks.fps:.6f}"
        rows = zip(
            ids, _texts(tracks.xy[t].numpy()), _texts(tracks.visibility[t].numpy()),
            _texts(tracks.confidence[t].numpy()), strict=True,
        )  # fmt: skip
        for point, (x, y), visibility, confidence in rows:
            yield f"{start},{point},{x},{y},{visibility},{confidence}\n".replace("nan", "")


def _json_lines(tracks: Tracks) -> Iterator[str]:
    yield "{\n"
    for key, value in _header(tracks).items():
        yield f'"{key}": {value},\n'
    for name in ("xy", "visibility", "confidence"):
        rows = [_json_row(row) for row in getattr(tracks, name).numpy()]
        yield f'"{name}": [\n' + ",\n".join(rows) + ("\n]\n}\n" if name == "confidence" else "\n],\n")


def _json_row(row: np.ndarray) -> str:
    return json.dumps(_texts(row)).replace('"nan"', "null").replace("inf", "Infinity").replace('"', "")


def _texts(values: np.ndarray) -> Any:
    """Nested lists of the shortest decimals that read back as the same float32."""
    # Not `.astype(str)`, which is slower; the str of a float32 is the shortest exact one.
    flat = [str(value) for value in values.astype(np.float32).reshape(-1)]
    if values.ndim == 1:
        return flat
    width = values.shape[-1]
    return [flat[i : i + width] for i in range(0, len(flat), width)]


def _read_csv(path: Path) -> Tracks:
    header: dict[str, Any] = {}
    with path.open(newline="", encoding="utf-8-sig") as file:
        for line in file:
            if not line.startswith("#"):
                break
            key, _, value = line[1:].partition(":")
            header[key.split("(")[0].strip()] = json.loads(value)
        else:
            line = ""
        columns = line.strip().split(",")
        if columns != CSV_COLUMNS:
            raise ValueError(f"its columns are {columns}, not {CSV_COLUMNS}")
        queries, shape = _checked_header(header)
        rows = [[float(field or "nan") for field in row] for row in csv.reader(file)]
    table = np.array(rows).reshape(*shape, len(CSV_COLUMNS))
    frames = header["first_frame"] + np.arange(shape[0])
    if (table[:, :, 0] != frames[:, None]).any() or (table[:, :, 2] != queries.ids.numpy()).any():
        raise ValueError("its lines are not ordered by frame and then by id as in the header")
    return _tracks(header, queries, table[:, :, 3:5], table[:, :, 5], table[:, :, 6])


def _read_json(path: Path) -> Tracks:
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"it holds a {type(content).__name__}, not an object")  # noqa: TRY004
    queries, shape = _checked_header(content)
    arrays = [
        np.array(content[name], float).reshape(*shape, *([2] if name == "xy" else []))
        for name in ("xy", "visibility", "confidence")
    ]
    return _tracks(content, queries, *arrays)


def _checked_header(header: dict[str, Any]) -> tuple[Queries, tuple[int, int]]:
    """The queries, and the number of frames and points."""
    if header["format"] != FORMAT:
        raise ValueError(
            f"its format is {header['format']!r}, not {FORMAT!r}; a newer pointtrack may read it"
        )
    points = torch.tensor(header["queries"], dtype=torch.float64).reshape(-1, 4)
    ids = torch.tensor([int(row[0]) for row in header["queries"]], dtype=torch.int64)
    return Queries(points[:, 1], points[:, 2:], ids), (header["frames"], len(points))


def _tracks(
    header: dict[str, Any], queries: Queries, xy: np.ndarray, visibility: np.ndarray, confidence: np.ndarray
) -> Tracks:
    return Tracks(
        xy=torch.from_numpy(xy.astype(np.float32)),
        visibility=torch.from_numpy(visibility.astype(np.float32)),
        confidence=torch.from_numpy(confidence.astype(np.float32)),
        queries=queries,
        wh=(int(header["wh"][0]), int(header["wh"][1])),
        first_frame=int(header["first_frame"]),
        fps=float(header["fps"]),
    )
