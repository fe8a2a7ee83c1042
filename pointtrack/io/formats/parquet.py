"""Tracks as a long table in Parquet: a row per frame and point, for pandas, polars, DuckDB, Arrow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pointtrack.io.formats.needs import require
from pointtrack.types import PointState, Queries, Source, Tracks
from pointtrack.types.point_states import PointStates
from pointtrack.types.tables import columns_of

KEY = b"pointtrack"  # key of the metadata that has no columns
ROWS = 1 << 20  # of the table in memory at a time


def write(path: Path, tracks: Tracks) -> None:
    """Write the table; size, rate and queries are in its metadata."""
    require("pyarrow", "parquet")
    import pyarrow as pa
    from pyarrow import parquet

    about = {
        "wh": list(tracks.wh),
        "fps": tracks.fps,
        "times": None if tracks.times is None else tracks.times.tolist(),
        "first_frame": tracks.first_frame,
        "frames": len(tracks),
        "query_frame": tracks.queries.frame.tolist(),
        "query_xy": tracks.queries.xy.double().tolist(),
        "ids": tracks.ids.tolist(),
        "names": list(tracks.queries.names),
    }
    note = {KEY: json.dumps(about).encode()}
    schema = pa.table(columns_of(tracks.clip(0, 1))).schema.with_metadata(note)
    frames = max(1, ROWS // max(1, len(tracks.ids)))
    with parquet.ParquetWriter(path, schema) as writer:
        for start in range(0, len(tracks), frames):  # a long video's tracks may not fit into memory
            writer.write_table(pa.table(columns_of(tracks.clip(start, start + frames)), schema=schema))


def read(path: Path, wh: tuple[int, int] | None, fps: float) -> Tracks:
    """Read what `write` wrote."""
    require("pyarrow", "parquet")
    from pyarrow import parquet

    table = parquet.read_table(path)
    text = (table.schema.metadata or {}).get(KEY)
    if text is None:
        raise ValueError("it is a table of something else: it lacks the metadata of pointtrack")
    about = json.loads(text)
    shape = about["frames"], len(about["ids"])

    def column(name: str) -> np.ndarray:
        return np.asarray(table[name].to_numpy(zero_copy_only=False)).reshape(shape)

    def numbers(name: str, words: Any) -> torch.Tensor:
        known = {word.name.lower(): int(word) for word in words}
        return torch.tensor([known[text] for text in column(name).ravel()], dtype=torch.uint8).reshape(shape)

    states = None
    if "state" in table.column_names:
        states = PointStates(
            state=numbers("state", PointState),
            similarity=torch.from_numpy(column("similarity").copy()),
            times_redetected=torch.from_numpy(column("times_redetected").copy()),
            raw_xy=torch.from_numpy(np.stack([column("raw_x"), column("raw_y")], axis=-1)),
            raw_visibility=torch.from_numpy(column("raw_visibility").copy()),
        )
    return Tracks(
        torch.from_numpy(np.stack([column("x"), column("y")], axis=-1)),
        torch.from_numpy(column("visibility").copy()),
        torch.from_numpy(column("confidence").copy()),
        Queries(
            torch.tensor(about["query_frame"], dtype=torch.int64),
            torch.tensor(about["query_xy"], dtype=torch.float64).reshape(-1, 2),
            torch.tensor(about["ids"], dtype=torch.int64),
            tuple(about["names"]),
        ),
        (int(about["wh"][0]), int(about["wh"][1])),
        int(about["first_frame"]),
        float(about["fps"]),
        states,
        numbers("source", Source) if "source" in table.column_names else None,
        None if about.get("times") is None else np.array(about["times"], np.float64),
    )
