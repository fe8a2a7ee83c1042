"""Sessions as files: one .npz with what was said (all of the history) and what was computed."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch

from pointtrack.io.npz import write_npz
from pointtrack.objects.engine import ObjectResult
from pointtrack.sessions.history import History
from pointtrack.sessions.keyframes import Keyframe, SessionObject, Side
from pointtrack.sessions.mask_store import Packed, Results
from pointtrack.types import Video

FORMAT = "pointtrack session 1"
Said = History[tuple[SessionObject, ...]]


def write_session(path: str | Path, video: Video, history: Said, results: Results) -> Path:
    """Write a session; the suffix .npz is added where it is missing. The file is never half written."""
    keys = {key.serial: key for state in history.states for one in state for key in one.keys}
    masks = [mask for key in keys.values() for mask in (key.mask, key.base) if mask is not None]
    packed = [Packed.of(ObjectResult(mask, 1.0, 1.0)).counts for mask in masks]
    rows = [row for rows in results.sides.values() for row in rows]
    told = {
        "format": FORMAT,
        "video": video.fingerprint(),
        "now": history.now,
        "keys": [
            {
                "serial": key.serial,
                "frame": key.frame,
                "points": key.points.tolist(),
                "labels": key.labels.tolist(),
                "box": None if key.box is None else key.box.tolist(),
                "corrects": key.base is not None,
            }
            for key in keys.values()
        ],
        "history": [
            [{"id": one.id, "name": one.name, "keys": [key.serial for key in one.keys]} for one in state]
            for state in history.states
        ],
        "sides": [
            {
                "object_id": side.object_id,
                "start": side.start,
                "other": side.other,
                "frames": [side.frames.start, side.frames.stop, side.frames.step],
                "done": len(found),
            }
            for side, found in results.sides.items()
        ],
    }
    counts = [*packed, *(row.counts for row in rows)]
    arrays = {
        "counts": np.frombuffer(b"".join(counts), np.uint8),
        "lengths": np.array([len(one) for one in counts], np.int64),
        "scores": np.array([[row.score, row.quality] for row in rows]).reshape(-1, 2),
    }
    return write_session_npz(path, told, arrays)


def read_session(path: str | Path, video: Video) -> tuple[Said, Results]:
    """History and results, as `write_session` wrote them.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file that is no session, or the session of another video.
    """
    names = ("counts", "lengths", "scores")
    told, arrays = read_session_npz(path, "a session", names, format=FORMAT, video=video.fingerprint())
    size = (video.wh[1], video.wh[0])
    ends = np.cumsum(arrays["lengths"])[:-1]
    next_counts = (one.tobytes() for one in np.split(arrays["counts"], ends))

    def next_mask() -> torch.Tensor:
        return Packed(next(next_counts), size, 1.0, 1.0).found().mask

    keys = {}
    for row in told["keys"]:
        mask = next_mask()
        keys[row["serial"]] = Keyframe(
            row["frame"],
            row["serial"],
            mask,
            torch.tensor(row["points"], dtype=torch.float32).reshape(-1, 2),
            torch.tensor(row["labels"], dtype=torch.bool),
            None if row["box"] is None else torch.tensor(row["box"]),
            next_mask() if row["corrects"] else None,
        )
    states = [
        tuple(SessionObject(one["id"], one["name"], tuple(keys[k] for k in one["keys"])) for one in state)
        for state in told["history"]
    ]
    next_scores = iter(arrays["scores"].tolist())
    results = Results()
    for row in told["sides"]:
        side = Side(row["object_id"], row["start"], row["other"], range(*row["frames"]))
        results.sides[side] = [
            Packed(next(next_counts), size, *next(next_scores)) for _ in range(row["done"])
        ]
    return History(states, int(told["now"])), results


def write_session_npz(path: str | Path, told: Mapping[str, Any], arrays: Mapping[str, Any]) -> Path:
    """Write what a session was told, as JSON, and its arrays. The file is never half written.

    Args:
        path: the file; the suffix .npz is added where it is missing, and folders are made.
        told: with the "format" of the file and the fingerprint of the "video" in it.
        arrays: by name.

    Returns:
        The path that was written.
    """
    return write_npz(path, {"told": np.array(json.dumps(told)), **arrays})


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
