"""The .npz files that tracks, masks and sessions are kept in."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np


def npz_path(path: str | Path) -> Path:
    """The path, with .npz behind its name where that is missing, as numpy adds it."""
    path = Path(path)
    return path if path.suffix == ".npz" else path.with_name(path.name + ".npz")


def read_npz(path: str | Path, what: str, needed: Collection[str]) -> dict[str, np.ndarray]:
    """All arrays of a file by name.

    Args:
        path: the file.
        what: is expected in it, for messages: "tracks" or "masks".
        needed: names of arrays that it must have.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file without some of these arrays, or a broken one.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{what} file: expected an .npz file, found nothing at {path}")
    try:
        with np.load(path) as data:
            missing, arrays = set(needed) - set(data.files), dict(data)
    except BadZipFile as error:
        raise ValueError(
            f"{path}: expected {what} saved by pointtrack, got a broken file ({error})"
        ) from error
    if missing:
        raise ValueError(f"{path}: expected {what} saved by pointtrack, but it lacks {sorted(missing)}")
    return arrays


def write_session_npz(path: str | Path, told: Mapping[str, Any], arrays: Mapping[str, Any]) -> Path:
    """Write what a session was told, as JSON, and its arrays. The file is never half written.

    Args:
        path: the file; the suffix .npz is added where it is missing, and folders are made.
        told: with the "format" of the file and the fingerprint of the "video" in it.
        arrays: by name.

    Returns:
        The path that was written.
    """
    path = npz_path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(path.name + ".part")
    with scratch.open("wb") as file:
        np.savez_compressed(file, told=np.array(json.dumps(told)), **arrays)
    scratch.replace(path)
    return path


def read_session_npz(
    path: str | Path, what: str, needed: Collection[str], *, format: str, video: str
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What `write_session_npz` wrote: what was told, and the arrays.

    Args:
        path: the file.
        what: is expected in it, for messages, as "a session".
        needed: names of the arrays.
        format: that it must have.
        video: fingerprint of the video that it must be of.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file of another kind, or of another video.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"session file: expected an .npz file, found nothing at {path}")
    try:
        with np.load(path) as data:
            told: dict[str, Any] = json.loads(str(data["told"]))
            arrays = {name: data[name] for name in needed}
        if told["format"] != format:
            raise KeyError(told["format"])
    except (BadZipFile, KeyError, OSError, ValueError) as error:
        raise ValueError(
            f"{path}: expected {what} saved by pointtrack, got another file ({error})"
        ) from error
    if told["video"] != video:
        raise ValueError(
            f"{path}: expected the video that the session was made with ({told['video']}), got another one ({video})"
        )
    return told, arrays
