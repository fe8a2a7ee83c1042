"""The ledger of a batch: a row for each video that is done or put aside, readable while drivers still write.

Every driver writes its own files, so that no two write the same one. It adds a line of JSON when a video ends, and
replaces the lines by Parquet when there are many or the driver ends. The newest row of a video counts.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import time
from datetime import datetime, timezone
from typing import Any

import numpy as np

from pointtrack.fleet.output import Output
from pointtrack.fleet.tables import arrow

FOLDER = "ledger"
ROLL = 10_000  # rows that become a Parquet file
CHUNK_ROWS, CHUNK_SECONDS = 1000, 20.0  # to write together, as stores cannot append, and the longest wait

COLUMNS: dict[str, str] = {
    "key": "string", "video": "string", "status": "string", "reason": "string", "message": "string",
    "seconds": "float64", "track_seconds": "float64", "peak_memory": "int64", "frames": "int64", "width": "int32",
    "height": "int32", "fps": "float64", "points": "int64", "objects": "int64", "share_visible": "float64",
    "share_lost": "float64", "mean_confidence": "float64", "jumps": "int64", "cuts": "int64", "mask_present": "float64",
    "mask_area": "float64", "mask_score": "float64", "warnings": "int32", "tracks": "string", "masks": "string",
    "host": "string", "device": "string", "run": "string", "attempt": "int32", "finished": "string",
    "version": "string", "torch": "string", "weights": "string", "options": "string",
}  # fmt: skip


def now() -> str:
    """The current time for the ledger: UTC, in ISO 8601, so that texts sort like times."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def ledger_schema() -> Any:
    """Columns and types of the ledger."""
    pa = arrow()
    return pa.schema([(name, getattr(pa, kind)()) for name, kind in COLUMNS.items()])


class LedgerWriter:
    """Writes the rows of one driver.

    Args:
        output: where the batch writes.
        run: a name that no other driver has.
    """

    def __init__(self, output: Output, run: str) -> None:
        self._output, self._run = output, run
        self._rows: list[dict[str, Any]] = []
        self._part, self._chunks, self._flushed = 0, 0, 0
        self._due = time.monotonic() + CHUNK_SECONDS
        self._file: Any = None

    def add(self, row: dict[str, Any]) -> None:
        """Add a row; on local file systems it is readable at once.

        Raises:
            OSError: OUT does not take it.
        """
        row = {name: row.get(name) for name in COLUMNS}
        self._rows.append(row)
        if self._output.folder is not None:
            if self._file is None:
                path = self._output.folder / f"{self._name()}.jsonl"
                path.parent.mkdir(parents=True, exist_ok=True)
                self._file = path.open("ab", buffering=0)
            line = json.dumps(row).encode() + b"\n"
            # A single write: after a kill lines are whole; a full disk may leave half a line.
            if self._file.write(line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._file.name)
        elif len(self._rows) - self._flushed >= CHUNK_ROWS or time.monotonic() > self._due:
            self.flush()
        if len(self._rows) >= ROLL:
            self._roll()

    def flush(self) -> None:
        """Write the rows that are waiting."""
        self._due = time.monotonic() + CHUNK_SECONDS
        new = self._rows[self._flushed :]
        if self._output.folder is None and new:
            lines = b"".join(json.dumps(row).encode() + b"\n" for row in new)
            self._output.write(f"{self._name()}-{self._chunks:04d}.jsonl", lines)
            self._chunks, self._flushed = self._chunks + 1, len(self._rows)

    def close(self) -> None:
        """Write all rows of this driver as Parquet."""
        if self._rows:
            self._roll()

    def _name(self) -> str:
        return f"{FOLDER}/{self._run}-{self._part:04d}"

    def _roll(self) -> None:
        pa = arrow()
        sink = io.BytesIO()
        pa.parquet.write_table(pa.Table.from_pylist(self._rows, ledger_schema()), sink, compression="zstd")
        self._output.write(f"{self._name()}.parquet", sink.getvalue())
        if self._file is not None:
            self._file.close()
            self._file = None
            self._output.remove(f"{self._name()}.jsonl")
        for chunk in range(self._chunks):
            self._output.remove(f"{self._name()}-{chunk:04d}.jsonl")
        self._rows, self._chunks, self._flushed = [], 0, 0
        self._part += 1


def read_rows(output: Output, columns: list[str] | None = None) -> Any:
    """The newest row of every video, as a pyarrow table.

    Args:
        output: where the batch wrote.
        columns: names of columns; by default all.
    """
    pa = arrow()
    wanted = list(COLUMNS) if columns is None else columns
    needed = list(dict.fromkeys([*wanted, "key", "attempt", "finished"]))
    schema = pa.schema([ledger_schema().field(name) for name in needed])
    tables = [schema.empty_table()]
    names = output.names(FOLDER)
    for name in names:
        try:
            content = output.read(name)
        except FileNotFoundError:  # its driver has just replaced it by Parquet
            content = b""
            part = name.removesuffix(".jsonl")
            # In stores the number of a chunk comes last.
            name = f"{part if output.folder is not None else part.rpartition('-')[0]}.parquet"
            if name not in names and output.exists(name):
                content = output.read(name)
        if name.endswith(".parquet") and content:
            tables.append(pa.parquet.read_table(pa.BufferReader(content), columns=needed).cast(schema))
        elif name.endswith(".jsonl"):
            content = content[: content.rfind(b"\n") + 1]  # a killed driver may have left half a line
            if content:
                tables.append(_read_lines(content, schema))
    table = pa.concat_tables(tables)
    if len(table):
        table = table.take(_newest(table))
    return table.select(wanted)


def _read_lines(content: bytes, schema: Any) -> Any:
    """Lines of JSON as a table, without those that a full disk cut off."""
    pa = arrow()
    import pyarrow.json

    parse = pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    read = pyarrow.json.ReadOptions(block_size=max(1 << 20, len(content)))
    try:
        table = pyarrow.json.read_json(pa.BufferReader(content), read, parse)
    except pa.ArrowInvalid:
        rows = []
        for line in content.splitlines():
            with contextlib.suppress(ValueError):
                rows.append(json.loads(line))
        table = pa.Table.from_pylist(rows, schema)
    return table.select(schema.names).cast(schema)


def _newest(table: Any) -> np.ndarray:
    """Indices of the newest row of each key, in the order of keys."""
    import pyarrow.compute as pc

    coded = pc.dictionary_encode(table["key"]).combine_chunks()
    codes = coded.indices.to_numpy(zero_copy_only=False)
    finished = pc.rank(pc.fill_null(table["finished"], ""), tiebreaker="dense").to_numpy(zero_copy_only=False)
    attempts = pc.fill_null(table["attempt"], 0).to_numpy()
    order = np.lexsort((finished, attempts, codes))
    last = np.append(codes[order][1:] != codes[order][:-1], True)
    newest = order[last]
    keys = np.asarray(coded.dictionary.to_pylist(), dtype=object)[codes[newest]]
    return newest[np.argsort(keys)]
