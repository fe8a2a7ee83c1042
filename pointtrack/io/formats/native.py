"""pointtrack's own text formats, .csv and .json, which read back exactly."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pointtrack.io.formats.text import csv_text, number_texts
from pointtrack.io.outside import check_memory, finite, whole
from pointtrack.io.outside import read_json as load_json
from pointtrack.types import Queries, Source, Tracks
from pointtrack.types.point_states import BLANK, PointState, PointStates

CSV_COLUMNS = ["frame", "time", "id", "x", "y", "visibility", "confidence"]
SOURCE_COLUMNS = ["source"]  # of tracks with sources
STATE_COLUMNS = [  # of tracks with states
    "state", "similarity", "times_redetected", "raw_x", "raw_y", "raw_visibility",
]  # fmt: skip
NAME_COLUMNS = ["name"]  # of points with names
WORDS = {state.name.lower(): int(state) for state in PointState} | {
    source.name.lower(): int(source) for source in Source
}
FORMAT = "pointtrack tracks 1"


def _header(tracks: Tracks) -> dict[str, str]:
    """The metadata that both text formats hold besides the arrays, each value as JSON text."""
    queries = zip(
        tracks.queries.ids.tolist(),
        tracks.queries.frame.tolist(),
        number_texts(tracks.queries.xy.numpy()),
        strict=True,
    )
    points = ", ".join(f"[{point}, {frame}, {x}, {y}]" for point, frame, (x, y) in queries)
    return {
        "format": json.dumps(FORMAT),
        "wh": json.dumps(list(tracks.wh)),
        "fps": repr(float(tracks.fps)),
        **({} if tracks.times is None else {"times": json.dumps(tracks.times.tolist())}),
        "first_frame": str(tracks.first_frame),
        "frames": str(len(tracks)),
        "queries": f"[{points}]",
        **({"names": json.dumps(tracks.queries.names)} if tracks.queries.names else {}),
    }


def _columns(tracks: Tracks) -> list[str]:
    return [
        *CSV_COLUMNS,
        *(SOURCE_COLUMNS if tracks.sources is not None else []),
        *(STATE_COLUMNS if tracks.states is not None else []),
        *(NAME_COLUMNS if tracks.queries.names else []),
    ]


def csv_lines(tracks: Tracks) -> Iterator[str]:
    """The lines of a .csv file: metadata as `# key: value`, then a line per frame and point."""
    notes = {"queries": " (id, frame, x, y)"}
    for key, value in _header(tracks).items():
        yield f"# {key}{notes.get(key, '')}: {value}\n"
    yield ",".join(_columns(tracks)) + "\n"
    ids, names = tracks.ids.tolist(), [f",{csv_text(name)}" for name in tracks.queries.names]
    seconds = tracks.seconds()
    for t in range(len(tracks)):
        frame = tracks.first_frame + t
        start = f"{frame},{seconds[t]:.6f}"
        rows = zip(
            ids, number_texts(tracks.xy[t].numpy()), number_texts(tracks.visibility[t].numpy()),
            number_texts(tracks.confidence[t].numpy()), _source_texts(tracks, t), _state_texts(tracks, t),
            names or [""] * len(ids), strict=True,
        )  # fmt: skip
        for point, (x, y), visibility, confidence, source, state, name in rows:
            numbers = f"{start},{point},{x},{y},{visibility},{confidence}{source}{state}".replace("nan", "")
            yield f"{numbers}{name}\n"


def _source_texts(tracks: Tracks, t: int) -> list[str]:
    """The column `source` of a frame for every point; empty texts if the tracks have no sources."""
    if tracks.sources is None:
        return [""] * len(tracks.ids)
    return [f",{Source(value).name.lower()}" for value in tracks.sources[t].tolist()]


def _state_texts(tracks: Tracks, t: int) -> list[str]:
    """The state columns of a frame for every point; empty texts if the tracks have no states."""
    if tracks.states is None:
        return [""] * len(tracks.ids)
    row = tracks.states.arrays()
    columns = zip(
        [PointState(value).name.lower() for value in row["state"][t].tolist()],
        number_texts(row["similarity"][t]), row["times_redetected"][t].tolist(),
        number_texts(row["raw_xy"][t]), number_texts(row["raw_visibility"][t]), strict=True,
    )  # fmt: skip
    return [
        f",{state},{similarity},{times},{x},{y},{visibility}"
        for state, similarity, times, (x, y), visibility in columns
    ]


def json_lines(tracks: Tracks) -> Iterator[str]:
    """The lines of a .json file: one object, arrays nested as (t, n)."""
    yield "{\n"
    for key, value in _header(tracks).items():
        yield f'"{key}": {value},\n'
    arrays = {name: getattr(tracks, name).numpy() for name in ("xy", "visibility", "confidence")}
    arrays |= {} if tracks.states is None else tracks.states.arrays()
    arrays |= {} if tracks.sources is None else {"sources": tracks.sources.numpy()}
    for number, (name, array) in enumerate(arrays.items(), 1):
        yield f'"{name}": [\n'
        for t, row in enumerate(array):
            yield (",\n" if t else "") + _json_row(row)
        yield "\n]\n}\n" if number == len(arrays) else "\n],\n"


def _json_row(row: np.ndarray) -> str:
    if row.dtype.kind != "f":
        return json.dumps(row.tolist())
    return json.dumps(number_texts(row)).replace('"nan"', "null").replace("inf", "Infinity").replace('"', "")


def read_csv(path: Path) -> Tracks:
    """Read what `csv_lines` wrote; ValueError or KeyError for other content."""
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
        choices = [SOURCE_COLUMNS, STATE_COLUMNS, NAME_COLUMNS]
        if columns != [*CSV_COLUMNS, *(c for some in choices if some[0] in columns for c in some)]:
            raise ValueError(f"its columns are {columns}, not {CSV_COLUMNS}")
        queries, shape = _checked_header(header)
        width = len(columns) - ("name" in columns)  # the names are in the header too
        rows = [[_number(field) for field in row[:width]] for row in csv.reader(file)]
    table = np.array(rows).reshape(*shape, width)
    frames = whole(header["first_frame"], "first_frame") + np.arange(shape[0])
    if (table[:, :, 0] != frames[:, None]).any() or (table[:, :, 2] != queries.ids.numpy()).any():
        raise ValueError("its lines are not ordered by frame and then by id as in the header")
    more: dict[str, np.ndarray] = {}
    if "source" in columns:
        more["sources"] = table[:, :, columns.index("source")]
    if "state" in columns:
        at = columns.index("state")
        places: dict[str, Any] = {
            "state": at,
            "similarity": at + 1,
            "times_redetected": at + 2,
            "raw_xy": slice(at + 3, at + 5),
            "raw_visibility": at + 5,
        }
        more |= {name: table[:, :, place] for name, place in places.items()}
    return _tracks(header, queries, table[:, :, 3:5], table[:, :, 5], table[:, :, 6], more)


def _number(field: str) -> float:
    """A number, NaN for an empty field, or the number of a state's or a source's name."""
    return float(WORDS.get(field, field or "nan"))


def read_json(path: Path) -> Tracks:
    """Read what `json_lines` wrote; ValueError or KeyError for other content."""
    content = load_json(path, "tracks saved by pointtrack")
    if not isinstance(content, dict):
        raise ValueError(f"it holds a {type(content).__name__}, not an object")  # noqa: TRY004
    queries, shape = _checked_header(content)
    arrays = {
        name: np.array(content[name], float).reshape(*shape, *([2] if name.endswith("xy") else []))
        for name in ("xy", "visibility", "confidence", "sources", *BLANK)
        if name in content or name in ("xy", "visibility", "confidence")
    }
    more = {name: arrays[name] for name in arrays if name == "sources" or name in BLANK}
    return _tracks(content, queries, arrays["xy"], arrays["visibility"], arrays["confidence"], more)


def _checked_header(header: dict[str, Any]) -> tuple[Queries, tuple[int, int]]:
    """Check the header; returns the queries, and the numbers of frames and points."""
    if header["format"] != FORMAT:
        raise ValueError(
            f"its format is {header['format']!r}, not {FORMAT!r}; a newer pointtrack may read it"
        )
    points = torch.tensor(header["queries"], dtype=torch.float64).reshape(-1, 4)
    ids = torch.tensor([int(row[0]) for row in header["queries"]], dtype=torch.int64)
    names = tuple(header.get("names", ()))
    frames = whole(header["frames"], "frames")
    check_memory(100 * frames * len(points), "tracks")
    return Queries(points[:, 1], points[:, 2:], ids, names), (frames, len(points))


def _tracks(
    header: dict[str, Any],
    queries: Queries,
    xy: np.ndarray,
    visibility: np.ndarray,
    confidence: np.ndarray,
    more: dict[str, np.ndarray],
) -> Tracks:
    return Tracks(
        xy=torch.from_numpy(xy.astype(np.float32)),
        visibility=torch.from_numpy(visibility.astype(np.float32)),
        confidence=torch.from_numpy(confidence.astype(np.float32)),
        queries=queries,
        wh=(whole(header["wh"][0], "width"), whole(header["wh"][1], "height")),
        first_frame=whole(header["first_frame"], "first_frame"),
        fps=finite(header["fps"], "fps"),
        states=PointStates.from_arrays(more),
        times=None if header.get("times") is None else np.array(header["times"], np.float64),
        sources=torch.from_numpy(more["sources"]) if "sources" in more else None,
    )
