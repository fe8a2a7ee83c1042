"""A project on disk: the journal gets every act before the answer goes out; results are saved now and then.

So a kill at any moment loses at most the last seconds of computing, never a person's acts.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

JOURNAL, SNAPSHOT = "journal.jsonl", "project.json"
FORMAT = "pointtrack ui project 1"


class Store:
    """The folder of a project.

    Args:
        folder: folder of the project; made if missing.

    Attributes:
        serial: number of the last act in the journal.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.serial = max((row["n"] for row in self.acts()), default=0)
        snapshot = self.snapshot()
        if snapshot is not None:
            self.serial = max(self.serial, int(snapshot["serial"]))

    def log(self, act: str, arguments: dict[str, Any], seconds: float) -> int:
        """Write an act to the journal durably; returns its number."""
        self.serial += 1
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
        row = {"n": self.serial, "time": stamp, "act": act, "args": arguments, "seconds": round(seconds, 3)}
        with (self.folder / JOURNAL).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
            file.flush()
            os.fsync(file.fileno())
        return self.serial

    def acts(self, after: int = 0) -> Iterator[dict[str, Any]]:
        """Acts with numbers above `after`; an incomplete last line, as a kill leaves it, is left out."""
        path = self.folder / JOURNAL
        if not path.is_file():
            return
        with path.open("rb") as file:
            for line in file:
                try:
                    row = json.loads(line)
                except ValueError:
                    break
                if row["n"] > after:
                    yield row

    def mend(self) -> None:
        """Cut off an incomplete line that a kill left at the end of the journal."""
        path = self.folder / JOURNAL
        if not path.is_file():
            return
        with path.open("rb+") as file:
            good = 0
            for line in file:
                try:
                    json.loads(line)
                except ValueError:
                    break
                if not line.endswith(b"\n"):
                    break
                good += len(line)
            file.truncate(good)

    def snapshot(self) -> dict[str, Any] | None:
        """The snapshot that `save` wrote last, or None."""
        path = self.folder / SNAPSHOT
        if not path.is_file():
            return None
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if content.get("format") != FORMAT:
            raise ValueError(
                f"{path}: expected {FORMAT!r}, got {content.get('format')!r}; move the folder away to begin anew"
            )
        return content

    def save(self, content: dict[str, Any], serial: int) -> None:
        """Write the snapshot, whole or not at all; then delete session files of earlier ones."""
        whole = {"format": FORMAT, "serial": serial, **content}
        part = self.folder / f"{SNAPSHOT}.part"
        with part.open("w", encoding="utf-8") as file:
            json.dump(whole, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.folder / SNAPSHOT)
        keep = {content["points"], content["objects"]}
        for path in self.folder.glob("*.npz"):
            if path.name not in keep:
                path.unlink(missing_ok=True)
