"""Packs tracks of many videos into one Parquet file, so that a hundred thousand videos do not make as many files."""

from __future__ import annotations

import contextlib
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pointtrack.fleet.output import Output
from pointtrack.fleet.tables import arrow, videos_of, write_tables
from pointtrack.io.storage import download

FOLDER = "tracks"


class Packer:
    """Packs files of single videos.

    Args:
        output: where the batch writes.
        staging: this driver's own folder under OUT for the single files.
        videos: number of videos per packed file.
    """

    def __init__(self, output: Output, staging: str, videos: int) -> None:
        self._output, self._staging, self._videos = output, staging, videos
        self._waiting: list[str] = []

    def recover(self) -> None:
        """Continue where a driver was killed: remove single files that are packed already, queue the others."""
        found = self._output.names(self._staging)
        if not found:
            return
        packed: set[str] = set()
        for name in self._output.names(FOLDER):
            with self._local(name) as path:
                packed.update(videos_of(path))
        for name in found:
            if self._key(name) in packed:
                self._output.remove(name)
            else:
                self._waiting.append(name)

    def add(self, key: str) -> None:
        """Queue the single file of a video, which must exist."""
        self._waiting.append(f"{self._staging}/{key}.parquet")
        if len(self._waiting) >= self._videos:
            self.pack()

    def waiting(self) -> list[str]:
        """Keys of videos that are done but not packed yet."""
        return [self._key(name) for name in self._waiting]

    def pack(self) -> None:
        """Pack the queued files: write the whole packed file first, then remove the single ones."""
        names = list(dict.fromkeys(self._waiting))
        self._waiting = []  # the next driver's `recover` handles failures from here on
        for start in range(0, len(names), self._videos):
            some = names[start : start + self._videos]
            with tempfile.TemporaryDirectory(prefix="pointtrack-") as folder:
                path = Path(folder) / "part.parquet"
                write_tables(path, self._tables(some), [self._key(name) for name in some])
                self._output.put(path, f"{FOLDER}/part-{uuid.uuid4().hex[:12]}.parquet")
            for name in some:
                self._output.remove(name)

    def _key(self, name: str) -> str:
        return name.removeprefix(f"{self._staging}/").removesuffix(".parquet")

    def _tables(self, names: list[str]) -> Iterator[Any]:
        """Yield one row group at a time, so that memory grows neither with the number of videos nor with their length."""
        for name in names:
            with self._local(name) as path, arrow().parquet.ParquetFile(path) as file:
                yield from (file.read_row_group(group) for group in range(file.num_row_groups))

    @contextlib.contextmanager
    def _local(self, name: str) -> Iterator[Path]:
        if self._output.folder is not None:
            yield self._output.folder / name
            return
        with tempfile.TemporaryDirectory(prefix="pointtrack-") as folder:
            yield download(self._output.url(name), folder)
