"""Tracks as DeepLabCut's predictions of one animal: .csv, and .h5 with the extra `dlc` (pandas, tables)."""

from __future__ import annotations

import csv
import pickletools
import re
from pathlib import Path

import numpy as np

from pointtrack.io.formats.needs import require
from pointtrack.io.formats.text import csv_text, number_texts, size_needed, tracks_of
from pointtrack.types import Tracks

SCORER = "DLC_pointtrack"
COORDS = ("x", "y", "likelihood")
LEVELS = ("scorer", "bodyparts", "coords")
# What pandas stores in the attributes of its files.
_PLAIN_CLASSES = {f"numpy{core}.multiarray scalar" for core in (".core", "._core")} | {"numpy dtype"}
KEY = "df_with_missing"  # DeepLabCut's name of the table
POINT = re.compile(r"point(-?\d+)")


def require_h5() -> None:
    """Raise ValueError if the packages that read and write .h5 are not installed."""
    for package in ("pandas", "tables"):
        require(package, "DeepLabCut's .h5")


def write(path: Path, tracks: Tracks) -> None:
    """Write a row per frame; body parts are the points' names, or point0, point1, ... by id; likelihood is visibility.

    Raises:
        ValueError: an .h5 file without the extra.
    """
    parts = tracks.queries.labels()
    columns = [(SCORER, part, coord) for part in parts for coord in COORDS]
    visibility = np.where(tracks.tracked().numpy(), tracks.visibility.numpy(), np.nan)
    values = np.concatenate([tracks.xy.numpy(), visibility[..., None]], axis=-1).reshape(len(tracks), -1)
    frames = range(tracks.first_frame, tracks.first_frame + len(tracks))
    if path.suffix.lower() == ".h5":
        _write_h5(path, columns, values, frames)
        return
    with path.open("w", newline="", encoding="utf-8") as file:
        for i, level in enumerate(LEVELS):
            file.write(",".join([level, *(csv_text(column[i]) for column in columns)]) + "\n")
        for frame, row in zip(frames, values, strict=True):
            numbers = ",".join(number_texts(row)).replace("nan", "")
            file.write(f"{frame},{numbers}\n" if columns else f"{frame}\n")


def write_labels(path: Path, tracks: Tracks, scorer: str, video_name: str) -> None:
    """Write a person's corrections as DeepLabCut labels: CollectedData_SCORER.csv, with a row per corrected frame.

    Raises:
        ValueError: there are no corrections.
    """
    said = tracks.corrected().numpy()
    if not said.any():
        raise ValueError(
            "dlc-labels: expected tracks with a person's corrections, got none (see Tracks.sources)"
        )
    parts = tracks.queries.labels()
    columns = [(scorer, part, coord) for part in parts for coord in COORDS[:2]]
    xy = np.where(said[..., None], tracks.xy.numpy(), np.nan)
    with path.open("w", newline="", encoding="utf-8") as file:
        for i, level in enumerate(LEVELS):
            file.write(",".join([level, "", "", *(csv_text(column[i]) for column in columns)]) + "\n")
        for row in np.flatnonzero(said.any(axis=1)).tolist():
            numbers = ",".join(number_texts(xy[row].reshape(-1))).replace("nan", "")
            file.write(f"labeled-data,{video_name},img{tracks.first_frame + row:05d}.png,{numbers}\n")


def _write_h5(path: Path, columns: list[tuple[str, str, str]], values: np.ndarray, frames: range) -> None:
    require_h5()
    import pandas as pd

    levels = [np.array([column[i] for column in columns], dtype=object) for i in range(len(LEVELS))]
    header = pd.MultiIndex.from_arrays(levels, names=list(LEVELS))
    table = pd.DataFrame(values.astype(np.float64), index=list(frames), columns=header)
    # DeepLabCut writes format="table", which cannot hold the names of 1,500 points. It reads both.
    table.to_hdf(path, key=KEY, mode="w", format="fixed")


def read(path: Path, wh: tuple[int, int] | None, fps: float) -> Tracks:
    """Read predictions of one animal; body parts become the names of the points, which get the ids 0, 1, ..."""
    columns, frames, values = _read_h5(path) if path.suffix.lower() == ".h5" else _read_csv(path)
    if not columns or len(columns) % 3 or any(len(column) != 3 for column in columns):
        raise ValueError(
            f"its columns are {columns[:4]}, not x, y, likelihood of body parts of one animal by one scorer"
        )
    parts = [column[1] for column in columns[::3]]
    if columns != [(columns[0][0], part, coord) for part in parts for coord in COORDS]:
        raise ValueError("its columns are not x, y, likelihood of one body part after the other")
    if not len(frames):
        raise ValueError("it holds no frames")
    if (np.diff(frames) != 1).any():
        raise ValueError("its rows are not frame after frame")
    size = size_needed(wh)
    table = values.reshape(len(frames), len(parts), 3)
    return tracks_of(
        table[..., :2],
        table[..., 2],
        table[..., 2],
        ids=_ids(parts),
        wh=size,
        fps=fps,
        first_frame=int(frames[0]),
        names=parts,
    )


def _ids(parts: list[str]) -> list[int]:
    found = [POINT.fullmatch(part) for part in parts]
    return [int(match[1]) for match in found if match] if all(found) else list(range(len(parts)))


Table = tuple[list[tuple[str, ...]], np.ndarray, np.ndarray]


def _read_csv(path: Path) -> Table:
    """Columns, frames (t,), values (t, columns)."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.reader(file))
    names = tuple(row[0] for row in rows[:3] if row)
    if names != LEVELS:
        raise ValueError(f"its first lines are called {list(names)}, not {list(LEVELS)}")
    columns: list[tuple[str, ...]] = list(zip(*(row[1:] for row in rows[:3]), strict=True))
    numbers = [[float(field or "nan") for field in row] for row in rows[3:]]
    table = np.array(numbers, dtype=np.float64).reshape(-1, len(columns) + 1)
    return columns, table[:, 0].astype(int), table[:, 1:]


def _read_h5(path: Path) -> Table:
    require_h5()
    import pandas as pd

    _refuse_objects(path)
    try:
        table = pd.read_hdf(path)
    except (OSError, RuntimeError) as error:  # PyTables raises these for other kinds of files
        raise ValueError(f"it is not an HDF5 file: {error}") from error
    if not isinstance(table, pd.DataFrame) or list(table.columns.names) != list(LEVELS):
        raise ValueError(f"it does not hold a table with the columns {list(LEVELS)}")
    columns = [tuple(map(str, column)) for column in table.columns]
    return columns, np.asarray(table.index, dtype=int), table.to_numpy(dtype=np.float64)


def _refuse_objects(path: Path) -> None:
    """Refuse an HDF5 file that holds pickled objects: pandas would unpickle them, which can run any code.

    Raises:
        ValueError: the file holds such objects, or is not HDF5.
    """
    import tables

    try:
        with tables.open_file(str(path)) as file:
            for node in file.walk_nodes("/"):
                atom = getattr(node, "atom", None)
                if getattr(atom, "kind", None) in ("object", "vlunicode"):
                    raise ValueError(f"{node._v_pathname} holds Python objects, which are not read")
                attributes = node._v_attrs
                for name in attributes._f_list("all"):
                    raw = attributes._g_getattr(node, name)
                    if _calls(bytes(raw) if isinstance(raw, bytes | np.bytes_) else b""):
                        raise ValueError(
                            f"{node._v_pathname} holds a Python object in {name}, which is not read"
                        )
    except (OSError, RuntimeError, tables.HDF5ExtError) as error:
        raise ValueError(f"it is not an HDF5 file: {error}") from error


def _calls(content: bytes) -> bool:
    """Whether bytes are a pickle that names classes or functions other than numpy's plain types."""
    try:
        operations = [(code.name, argument) for code, argument, _ in pickletools.genops(content)]
    except Exception:  # not a pickle
        return False
    names = {str(argument) for name, argument in operations if name == "GLOBAL"}
    return bool(names - _PLAIN_CLASSES) or any(
        name in ("STACK_GLOBAL", "INST", "EXT1") for name, _ in operations
    )
