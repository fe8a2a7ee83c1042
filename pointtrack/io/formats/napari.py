"""Tracks for napari: a .csv of points over time, or an .npy with the data of a tracks layer."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pointtrack.io.formats.text import csv_text, number_texts, size_needed, tracks_of
from pointtrack.io.outside import check_memory
from pointtrack.types import Source, Tracks

AXES = ["axis-0", "axis-1", "axis-2"]  # t, y, x; napari recognizes a table of points by them
OLD = ["id", "t", "y", "x"]
FEATURES = ["visibility", "confidence"]


def write(path: Path, tracks: Tracks) -> None:
    """Write a .csv that `viewer.open(path)` shows as points, frame by frame, with features; or an .npy that
    `viewer.open(path, layer_type="tracks")` shows as tracks: rows of ID, t, y, x.

    Holds only frames on which a point is tracked, sorted by id and then by frame.
    """
    if path.suffix.lower() == ".npy":
        np.save(path, tracks_data(tracks))
        return
    with path.open("w", newline="", encoding="utf-8") as file:
        file.writelines(_lines(tracks))


def tracks_data(tracks: Tracks) -> np.ndarray:
    """(k, 4) rows of ID, t, y, x, sorted by ID and then by t: the data of a tracks layer."""
    known, order = tracks.tracked().numpy(), tracks.ids.argsort().tolist()
    rows = [np.zeros((0, 4))]
    for n in order:
        frames = known[:, n].nonzero()[0]
        x, y = tracks.xy[frames, n].double().numpy().T
        ids = np.full(len(frames), float(tracks.ids[n]))
        rows.append(np.stack([ids, tracks.first_frame + frames.astype(float), y, x], axis=1))
    return np.concatenate(rows)


def _lines(tracks: Tracks) -> Iterator[str]:
    further = ["name"] * bool(tracks.queries.names) + ["source"] * (tracks.sources is not None)
    yield ",".join(["index", *AXES, "ID", *FEATURES, *further]) + "\n"
    known, index = tracks.tracked().numpy(), 0
    for n in tracks.ids.argsort().tolist():
        point, frames = int(tracks.ids[n]), known[:, n].nonzero()[0]
        values = [
            number_texts(numbers.numpy()[frames, n])
            for numbers in (tracks.xy[..., 1], tracks.xy[..., 0], tracks.visibility, tracks.confidence)
        ]
        name = f",{csv_text(tracks.queries.names[n])}" if tracks.queries.names else ""
        for row, y, x, *numbers in zip(frames.tolist(), *values, strict=True):
            said = "" if tracks.sources is None else f",{Source(int(tracks.sources[row, n])).name.lower()}"
            yield (f"{index},{tracks.first_frame + row},{y},{x},{point},{','.join(numbers)}{name}{said}\n")
            index += 1


def read(path: Path, wh: tuple[int, int] | None, fps: float) -> Tracks:
    """Read such a file, or a table of ID, t, y, x; without features every row gets full visibility and confidence."""
    names: list[str] = []
    columns = _npy(path) if path.suffix.lower() == ".npy" else _csv(path)
    if not len(columns["id"]):
        raise ValueError("it holds no rows")
    size = size_needed(wh)
    if any((columns[name] != columns[name].round()).any() for name in ("id", "t")):  # also NaN
        raise ValueError("an ID or t is not a whole number")
    if any(np.abs(columns[name]).max() > 2**53 for name in ("id", "t")):
        raise ValueError("an ID or t is too large a number")
    ids, at, place = np.unique(columns["id"].astype(int), return_index=True, return_inverse=True)
    first = int(columns["t"].min())
    row = columns["t"].astype(int) - first
    if len(np.unique(np.stack([row, place]), axis=1)[0]) != len(row):
        raise ValueError("a track has two rows with the same t")
    shape = (int(row.max()) + 1, len(ids))
    check_memory(80 * shape[0] * shape[1], "tracks")
    xy = np.full((*shape, 2), np.nan)
    xy[row, place] = np.stack([columns["x"], columns["y"]], axis=1)
    features = []
    for name in FEATURES:
        values = np.zeros(shape)
        values[row, place] = columns.get(name, np.ones(len(row)))
        features.append(values)
    names = [str(columns["name"][i]) for i in at] if "name" in columns else []
    return tracks_of(xy, *features, ids=ids.tolist(), wh=size, fps=fps, first_frame=first, names=names)


def _npy(path: Path) -> dict[str, Any]:
    table = np.load(path, allow_pickle=False)
    if table.ndim != 2 or table.shape[1] != 4:
        raise ValueError(f"it holds an array of shape {table.shape}, not rows of ID, t, y, x")
    return dict(zip(OLD, table.T, strict=True))


def _csv(path: Path) -> dict[str, Any]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.reader(file))
    head = [name.strip().lower() for name in rows[0]] if rows else []
    renamed = dict(zip(AXES, OLD[1:], strict=True))
    head = [renamed.get(name, name) for name in head]
    if not set(OLD) <= set(head) or "z" in head or "axis-3" in head:
        raise ValueError(f"its columns are {rows[:1]}, not index, {', '.join(AXES)}, ID")
    table = {name: [row[i] for row in rows[1:]] for i, name in enumerate(head)}
    return {
        name: np.array([float(field) for field in values]) if name in (*OLD, *FEATURES) else np.array(values)
        for name, values in table.items()
    }
