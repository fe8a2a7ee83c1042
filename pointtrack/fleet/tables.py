"""Tracks as long tables, a row per frame and point, in Parquet files for pandas, DuckDB, Polars and Ray Data."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pointtrack.types import Tracks
from pointtrack.types.point_states import PointState

ROWS = 1 << 20  # rows per row group
VIDEOS = b"pointtrack_videos"  # in the metadata of a packed file: the keys of its videos


def arrow() -> Any:
    """The module pyarrow; ValueError if the extra is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ValueError("batch: expected the package pyarrow; pip install 'pointtrack[fleet]'") from error
    return pyarrow


def track_schema() -> Any:
    """Columns of a table of tracks: x and y are null where the point is not tracked, state where there is none.

    Texts are plain, not dictionaries: a file stores each once per row group anyway, and tables of many files need
    no unifying.
    """
    pa = arrow()
    return pa.schema(
        [
            ("video", pa.string()),
            ("frame", pa.int32()),
            ("time", pa.float64()),
            ("point", pa.int64()),
            ("x", pa.float32()),
            ("y", pa.float32()),
            ("visibility", pa.float32()),
            ("confidence", pa.float32()),
            ("state", pa.string()),
        ]
    )


def tracks_table(key: str, tracks: Tracks, times: np.ndarray) -> Any:
    """Tracks of one video as a table, frame by frame.

    Args:
        key: key of the video.
        tracks: its tracks.
        times: (t,) seconds of its frames.
    """
    pa = arrow()
    t, n = tracks.visibility.shape
    known = tracks.tracked().flatten().numpy()
    names = [PointState(value).name.lower() for value in range(len(PointState))]
    if tracks.states is None:
        state = pa.nulls(t * n, pa.string())
    else:
        codes = tracks.states.state.flatten().to(torch.int32).numpy()
        state = pa.DictionaryArray.from_arrays(codes, names).cast(pa.string())
    columns = [
        pa.repeat(key, t * n),
        np.repeat(np.arange(t, dtype=np.int32) + tracks.first_frame, n),
        np.repeat(np.asarray(times, np.float64), n),
        np.tile(tracks.ids.numpy(), t),
        pa.array(tracks.xy[..., 0].flatten().numpy(), mask=~known),
        pa.array(tracks.xy[..., 1].flatten().numpy(), mask=~known),
        tracks.visibility.flatten().numpy(),
        tracks.confidence.flatten().numpy(),
        state,
    ]
    return pa.table([pa.array(c) if isinstance(c, np.ndarray) else c for c in columns], schema=track_schema())


def track_tables(key: str, pieces: Iterable[Tracks], times: np.ndarray) -> Iterator[Any]:
    """As `tracks_table`, of consecutive pieces: several tables of about as many rows as a row group, one in memory at a time.

    Args:
        key: key of the video.
        pieces: its tracks.
        times: seconds of all its frames.
    """
    held: list[Tracks] = []

    def table() -> Any:
        tracks = Tracks.concat(held)
        return tracks_table(key, tracks, times[tracks.first_frame : tracks.first_frame + len(tracks)])

    for piece in pieces:
        held.append(piece)
        if sum(rows.visibility.numel() for rows in held) >= ROWS:
            yield table()
            held.clear()
    if held:
        yield table()


def write_tables(path: Path, tables: Iterable[Any], keys: Sequence[str]) -> None:
    """Write tables, each in row groups of its own, so that a reader of one video can skip the others."""
    pa = arrow()
    schema = track_schema().with_metadata({VIDEOS: json.dumps(list(keys)).encode()})
    with pa.parquet.ParquetWriter(
        path, schema, compression="zstd", use_dictionary=["video", "point", "time", "state"]
    ) as writer:
        for table in tables:
            writer.write_table(table.cast(schema) if table.schema != schema else table, row_group_size=ROWS)


def videos_of(path: Path) -> list[str]:
    """Keys of the videos in a file that `write_tables` wrote."""
    found = arrow().parquet.read_schema(path).metadata or {}
    return list(json.loads(found.get(VIDEOS, b"[]")))
