"""Tracks as napari's tracks layer takes them: a .csv table whose first four columns are its data."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pointtrack.io.formats.text import number_texts, size_needed, tracks_of
from pointtrack.types import Tracks

COLUMNS = ["ID", "t", "y", "x"]
FEATURES = ["visibility", "confidence"]


def write(path: Path, tracks: Tracks) -> None:
    """Write the columns ID, t, y, x and the features visibility, confidence, sorted by ID and then t."""
    with path.open("w", newline="", encoding="utf-8") as file:
        file.writelines(_lines(tracks))


def _lines(tracks: Tracks) -> Iterator[str]:
    yield ",".join(COLUMNS + FEATURES) + "\n"
    known = tracks.tracked().numpy()
    for n in tracks.ids.argsort().tolist():
        point, frames = int(tracks.ids[n]), known[:, n].nonzero()[0]
        values = [
            number_texts(numbers.numpy()[frames, n])
            for numbers in (tracks.xy[..., 1], tracks.xy[..., 0], tracks.visibility, tracks.confidence)
        ]
        for row, *numbers in zip(frames.tolist(), *values, strict=True):
            yield f"{point},{tracks.first_frame + row},{','.join(numbers)}\n"


def read(path: Path, wh: tuple[int, int] | None, fps: float) -> Tracks:
    """Read such a table; without the features every row counts as visible and sure."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        columns = file.readline().strip().split(",")
        if [name.lower() for name in columns[:4]] != [name.lower() for name in COLUMNS]:
            raise ValueError(f"its columns are {columns}, not {COLUMNS + FEATURES}")
        table = np.array([[float(field) for field in row] for row in csv.reader(file)])
    table = table.reshape(-1, len(columns))
    if not len(table):
        raise ValueError("it holds no rows")
    size = size_needed(wh)
    if (table[:, :2] != table[:, :2].round()).any():
        raise ValueError("an ID or t is not a whole number")
    ids, place = np.unique(table[:, 0].astype(int), return_inverse=True)
    row = table[:, 1].astype(int) - int(table[:, 1].min())
    if len(np.unique(np.stack([row, place]), axis=1)[0]) != len(table):
        raise ValueError("a track has two rows with the same t")
    shape = (int(row.max()) + 1, len(ids))
    xy = np.full((*shape, 2), np.nan)
    xy[row, place] = table[:, [3, 2]]
    features = []
    for name in FEATURES:
        values = np.zeros(shape)
        values[row, place] = table[:, columns.index(name)] if name in columns else 1.0
        features.append(values)
    first = int(table[:, 1].min())
    return tracks_of(xy, *features, ids=ids.tolist(), wh=size, fps=fps, first_frame=first)
