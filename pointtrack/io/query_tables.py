"""Tables of points from people and other tools, with any delimiter, decimal comma, comments, encoding and header."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

Row = tuple[str, dict[str, Any]]  # place in the file, {column: text}
ENCODINGS = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig"))
DELIMITERS = ("\t", ";", ",", "|")
# Column names of other tools -> ours. axis-0, axis-1, axis-2 are napari's t, y, x.
COLUMNS = {
    "t": "frame", "frame_index": "frame", "frame_idx": "frame", "axis-0": "frame", "axis-1": "y", "axis-2": "x",
    "x_px": "x", "y_px": "y", "label": "name", "bodypart": "name", "track_id": "id",
}  # fmt: skip
DLC = ("scorer", "bodyparts", "coords")


def read_table(path: Path) -> list[Row]:
    """Read the rows of a table with the columns frame, x, y and optionally id and name.

    The delimiter is whichever of tab, semicolon, comma and bar divides the header; if it is not the comma, a comma in a
    number is its decimal point. Lines that begin with # are comments. UTF-8, UTF-16 and Latin-1 are detected. Tables of
    napari (axis-0, axis-1, axis-2) and of DeepLabCut (each body part is a point, on the first frame that has it) are
    recognized by their headers.

    Raises:
        ValueError: the header lacks one of these columns.
    """
    lines = [
        (number, line)
        for number, line in enumerate(_text(path).splitlines(), 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    head = lines[0][1] if lines else ""
    delimiter = max(DELIMITERS, key=lambda sign: head.count(sign)) if head else ","
    if not head.count(delimiter) and len(head.split()) > 1:  # columns separated by spaces
        lines = [(number, "\t".join(line.split())) for number, line in lines]
        delimiter = "\t"
    fields = list(csv.reader((line for _, line in lines), delimiter=delimiter, skipinitialspace=True))
    rows = [
        (number, [field.strip() for field in row]) for (number, _), row in zip(lines, fields, strict=False)
    ]
    if delimiter != ",":
        rows = [(n, [re.sub(r"^([+-]?\d*),(\d+)$", r"\1.\2", field) for field in row]) for n, row in rows]
    if tuple(row[0].lower() for _, row in rows[:3]) == DLC:
        return _of_deeplabcut([row for _, row in rows])
    names = [name.lower() for name in rows[0][1]] if rows else []
    names = [COLUMNS.get(name, name) for name in names]
    if "axis-1" in (rows[0][1] if rows else ()) and "axis-2" not in rows[0][1]:
        names = ["y" if name == "frame" else "x" if name == "y" else name for name in names]
        # napari's points on a single picture.
        names, rows = [*names, "frame"], [(n, [*row, "0"]) for n, row in rows]
    if not {"frame", "x", "y"} <= set(names):
        raise ValueError(
            f"{path}: expected a header with frame (or t), x, y and maybe id and name, got {str(names)[:200]}"
        )
    return [(f"line {number}", dict(zip(names, row, strict=False))) for number, row in rows[1:]]


def _text(path: Path) -> str:
    data = path.read_bytes()
    for mark, encoding in ENCODINGS:
        if data.startswith(mark):
            return data.decode(encoding, errors="replace")
    if data[1:2] == b"\0" or data[:1] == b"\0":  # UTF-16 without its byte order mark
        return data.decode("utf-16-le" if data[1:2] == b"\0" else "utf-16-be", errors="replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _of_deeplabcut(rows: list[list[str]]) -> list[Row]:
    """Predictions or labels of DeepLabCut: the position of every body part on the first frame that has one.

    The first column holds the frame number, or a picture name that contains it.
    """
    first = next(i for i, name in enumerate(rows[2][1:], 1) if name)  # after one column or three
    columns: dict[str, dict[str, int]] = {}
    for i in range(first, len(rows[1])):
        columns.setdefault(rows[1][i], {})[rows[2][i].lower()] = i
    found: list[Row] = []
    for name, places in columns.items():
        for row in rows[3:]:
            x, y = (row[places[axis]] if len(row) > places[axis] else "" for axis in "xy")
            if x and y and x.lower() != "nan":
                numbers = re.findall(r"\d+", row[first - 1])
                frame = numbers[-1] if numbers else row[first - 1]
                found.append((f"body part {name}", {"frame": frame, "x": x, "y": y, "name": name}))
                break
    return found
