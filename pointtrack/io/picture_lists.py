"""Videos of many files: lists of pictures, patterns like frames/*.png, and numbered ones like frames/%04d.png."""

from __future__ import annotations

import glob
import re
from pathlib import Path
from typing import Any

PRINTF = re.compile(r"%(0?)(\d*)d")


def matching(pattern: str) -> list[Path] | None:
    """The files that match *, ? or [...], in natural order, or %d or %04d, in the order of their numbers.

    None if the text is no pattern, or names an existing file.

    Raises:
        FileNotFoundError: no file matches the pattern.
    """
    if Path(pattern).exists():
        return None
    number = PRINTF.search(Path(pattern).name)
    if number:
        width = number[2] if number[1] else ""
        form = re.escape(Path(pattern).name).replace(re.escape(number[0]), rf"(\d{{{width or 1},}})")
        folder = Path(pattern).parent
        found = (
            [(re.fullmatch(form, path.name), path) for path in folder.glob("*")] if folder.is_dir() else []
        )
        paths = [path for _, path in sorted((int(match[1]), path) for match, path in found if match)]
    elif glob.has_magic(pattern):
        paths = [Path(path) for path in sorted(glob.glob(pattern, recursive=True), key=natural)]
    else:
        return None
    if not paths:
        raise FileNotFoundError(f"{pattern}: expected files that fit this pattern, found none")
    return paths


def natural(path: Any) -> list[Any]:
    """A sort key that puts frame2 before frame10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"([0-9]+)", str(path).lower())]


def are_paths(items: Any) -> bool:
    """Whether `items` is a list or tuple of paths, not of frames."""
    return (
        isinstance(items, list | tuple)
        and len(items) > 0
        and all(isinstance(item, str | Path) for item in items)
    )
