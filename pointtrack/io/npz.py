"""The .npz files that hold tracks, masks and sessions."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pointtrack.io.atomic import atomic_path
from pointtrack.io.outside import read_arrays


def npz_path(path: str | Path) -> Path:
    """The path with the suffix .npz, added if missing, as numpy does."""
    path = Path(path)
    return path if path.suffix.lower() == ".npz" else path.with_name(path.name + ".npz")


def write_npz(path: str | Path, arrays: Mapping[str, Any]) -> Path:
    """Write compressed arrays in one step; adds the suffix .npz if it is missing. Returns the path."""
    path = npz_path(path)
    with atomic_path(path) as part, part.open("wb") as file:
        np.savez_compressed(file, **arrays)
    return path


def read_npz(path: str | Path, what: str, needed: Collection[str]) -> dict[str, np.ndarray]:
    """Read all arrays of a file, by name.

    Args:
        path: the file.
        what: what it should hold, for messages: "tracks" or "masks".
        needed: names of arrays that it must have.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file without some of these arrays, or a broken one.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{what} file: expected an .npz file, found nothing at {path}")
    return read_arrays(path, f"{what} saved by pointtrack", needed)
