"""Limits the files that a page may see to those below the folders given at start."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pointtrack.io.sources import PICTURE_SUFFIXES, VIDEO_SUFFIXES

MOST_ENTRIES = 2000  # most entries of a folder to list


class Folders:
    """Folders that a page may look into.

    Args:
        roots: the folders. Links that lead out of them are not followed.

    Raises:
        FileNotFoundError: a root is not a folder.
    """

    def __init__(self, roots: Iterable[str | Path]):
        self.roots: list[Path] = []
        for root in roots:
            if not Path(root).is_dir():
                raise FileNotFoundError(f"folder: expected an existing folder, found none at {root}")
            resolved = Path(root).resolve()
            if resolved not in self.roots:
                self.roots.append(resolved)

    def allowed(self, path: str | Path) -> Path:
        """The path, resolved.

        Raises:
            PermissionError: it is outside all roots, also through a link. The message does not say whether it exists.
        """
        try:
            resolved = Path(path).resolve()
        except (OSError, RuntimeError, ValueError) as error:
            raise PermissionError(f"{path}: expected a path inside of the given folders") from error
        if not any(resolved == root or root in resolved.parents for root in self.roots):
            names = ", ".join(map(str, self.roots))
            raise PermissionError(
                f"{path}: expected a path inside of {names}; start with --folders to allow others"
            )
        return resolved

    def entries(self, path: str | Path | None) -> dict[str, Any]:
        """The content of a folder, ready for JSON: folders first, then videos; for None, the roots.

        Raises:
            PermissionError: as `allowed`. FileNotFoundError: no such folder.
        """
        if path is None and len(self.roots) > 1:
            rows = [{"name": str(root), "path": str(root), "kind": "folder"} for root in self.roots]
            return {"path": None, "parent": None, "entries": rows, "left_out": 0}
        folder = self.allowed(self.roots[0] if path is None else path)
        if not folder.is_dir():
            raise FileNotFoundError(f"{path}: expected a folder, found none")
        folders, videos, left_out = [], [], 0
        for entry in sorted(folder.iterdir(), key=lambda one: one.name.lower()):
            if entry.name.startswith("."):
                continue
            try:
                self.allowed(entry)
                row: dict[str, Any] = {"name": entry.name, "path": str(entry)}
                if entry.is_dir():
                    pictures = any(one.suffix.lower() in PICTURE_SUFFIXES for one in _some(entry))
                    folders.append({**row, "kind": "pictures" if pictures else "folder"})
                elif entry.suffix.lower() in VIDEO_SUFFIXES:
                    videos.append({**row, "kind": "video", "bytes": entry.stat().st_size})
            except OSError:
                left_out += 1
        every = [*folders, *videos]
        parent = folder.parent if folder not in self.roots else None
        return {
            "path": str(folder),
            "parent": None if parent is None else str(parent),
            "entries": every[:MOST_ENTRIES],
            "left_out": left_out + max(len(every) - MOST_ENTRIES, 0),
        }


def safe_name(name: str) -> str:
    """Turn a client's file name into one that is safe on every system; never a path, never hidden.

    >>> safe_name("../../etc/<b>pass wd.mp4")
    'b_pass wd.mp4'
    """
    name = unicodedata.normalize("NFC", name).replace("\\", "/").rpartition("/")[2]
    name = re.sub(r"[^\w .()+-]+", "_", name).strip(" ._")
    stem, dot, suffix = name.rpartition(".")
    if not dot:
        stem, suffix = name, ""
    stem = stem.encode()[:120].decode(errors="ignore").strip(" ._") or "video"
    return f"{stem}.{suffix[:10]}" if suffix else stem


def _some(folder: Path) -> list[Path]:
    found = []
    for place, entry in enumerate(folder.iterdir()):
        if place == 50:
            break
        found.append(entry)
    return found
