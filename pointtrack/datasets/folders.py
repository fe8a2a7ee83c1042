"""Folders of pictures and of sequences in unpacked sets."""

from __future__ import annotations

from pathlib import Path

from pointtrack.io.picture_lists import natural
from pointtrack.io.sources import PICTURE_SUFFIXES


def folders_in(root: Path) -> list[Path]:
    """The folders in a folder, sorted.

    Raises:
        FileNotFoundError: there are none.
    """
    found = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    if not found:
        raise FileNotFoundError(f"data set: expected a folder of sequences at {root}, found none")
    return found


def pictures_in(folder: Path, prefix: str = "") -> list[Path]:
    """The pictures of a folder whose names begin with `prefix`, in natural order (frame2 before frame10).

    Raises:
        FileNotFoundError: there are none.
    """
    found = [path for path in folder.iterdir() if _is_picture(path, prefix)] if folder.is_dir() else []
    if not found:
        raise FileNotFoundError(
            f"data set: expected a folder of frames at {folder}"
            f"{f' named {prefix}...' if prefix else ''}, found none"
        )
    return sorted(found, key=lambda path: natural(path.name))


def _is_picture(path: Path, prefix: str) -> bool:
    return path.suffix.lower() in PICTURE_SUFFIXES and path.name.startswith(prefix) and path.name[0] != "."
