"""Stores for dense tracks: arrays in memory, or a folder of memory-mapped .npy files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.lib.format import open_memmap

from pointtrack.io.atomic import write_text
from pointtrack.io.outside import finite, read_json, reading, whole
from pointtrack.io.same_run import check_same_run
from pointtrack.types import Queries, Tracks, Video
from pointtrack.types.point_states import BLANK, PointStates

ABOUT = "dense.json"
TIMES = "times.npy"
QUERY_ARRAYS = ("query_frame", "query_xy", "ids")
# Name -> values per point and frame, and their type. Probabilities need no more than half precision.
ARRAYS = {"xy": ((2,), np.float32), "visibility": ((), np.float16), "confidence": ((), np.float16)}
# The same for states, if there are any.
STATE_ARRAYS = {
    name: (
        tuple(blank.shape),
        np.uint8 if name == "state" else np.int32 if name == "times_redetected" else np.float32,
    )
    for name, blank in BLANK.items()
}


class DenseStore(Protocol):
    """Takes tracks of many points piece by piece.

    Attributes:
        done: how many points are finished, counted from the first.
    """

    done: int

    def write(self, row: int, columns: np.ndarray, tracks: Tracks) -> None:
        """Store some frames, from frame `row` on, of the points at `columns` (n,)."""

    def finish(self, done: int) -> None:
        """Record that the first `done` points are finished."""

    def result(self) -> Tracks | Path:
        """What `track_dense` returns."""


class MemoryStore:
    """Tracks in memory, with states or without."""

    def __init__(self, video: Video, queries: Queries, states: bool = False):
        self.done, self._video, self._queries = 0, video, queries
        shape = (len(video), len(queries))
        self._arrays = {name: np.zeros((*shape, *last), np.float32) for name, (last, _) in ARRAYS.items()}
        if states:
            self._arrays |= {
                name: np.zeros((*shape, *last), kind) for name, (last, kind) in STATE_ARRAYS.items()
            }

    def write(self, row: int, columns: np.ndarray, tracks: Tracks) -> None:
        """As `DenseStore`."""
        _put(self._arrays, row, columns, tracks)

    def finish(self, done: int) -> None:
        """As `DenseStore`."""
        self.done = done

    def result(self) -> Tracks:
        """The tracks."""
        tracks = _tracks(self._arrays, queries=self._queries, wh=self._video.wh, fps=self._video.fps)
        return tracks.with_times(self._video.times)


class FileStore:
    """Tracks in a folder that `open_dense` reads; a run that writes it can be resumed.

    Args:
        folder: made if missing; files of an earlier run in it are replaced, unless you resume that run.
        video, queries: the video and the queries of the tracks.
        about: settings that must be the same for a run to resume.
        resume: continue after the finished points, if there are any.
        states: store states too.

    Raises:
        ValueError: the folder to resume in belongs to other settings, or an unfinished run would be lost.
    """

    def __init__(
        self,
        folder: Path,
        video: Video,
        queries: Queries,
        about: Mapping[str, str],
        resume: bool,
        states: bool = False,
    ):
        self.folder = folder
        self._kinds = {**ARRAYS, **(STATE_ARRAYS if states else {})}
        self._note: dict[str, Any] = {
            "about": dict(about),
            "wh": list(video.wh),
            "fps": video.fps,
            "frames": len(video),
        }
        if resume and (folder / ABOUT).exists():
            found = _read_note(folder)
            check_same_run(found["about"], about, folder)
            self.done = int(found["done"])
            return
        self.done = 0
        if (folder / ABOUT).exists() and _is_unfinished(folder):
            raise ValueError(
                f"{folder}: expected a new or a finished run, found one that was stopped; continue it with --resume (resume=True), "
                "delete the folder, or replace it with --overwrite"
            )
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ABOUT).unlink(missing_ok=True)  # first, because what it says is no longer true
        for name in STATE_ARRAYS:
            (folder / f"{name}.npy").unlink(missing_ok=True)
        for name, (last, kind) in self._kinds.items():
            open_memmap(folder / f"{name}.npy", "w+", kind, (len(video), len(queries), *last))
        np.save(folder / "query_frame.npy", queries.frame.numpy())
        np.save(folder / "query_xy.npy", queries.xy.numpy())
        np.save(folder / "ids.npy", queries.ids.numpy())
        np.save(folder / TIMES, video.times)
        self.finish(0)

    def write(self, row: int, columns: np.ndarray, tracks: Tracks) -> None:
        """As `DenseStore`."""
        # Reopened every time: written pages count as memory of the process as long as the file is open.
        arrays = {name: np.load(self.folder / f"{name}.npy", mmap_mode="r+") for name in self._kinds}
        _put(arrays, row, columns, tracks)

    def finish(self, done: int) -> None:
        """As `DenseStore`."""
        self.done = done
        write_text(self.folder / ABOUT, json.dumps({**self._note, "done": done}, indent=1))

    def result(self) -> Path:
        """The folder."""
        return self.folder


@dataclass(frozen=True, eq=False)
class DenseTracks:
    """Tracks of very many points that stay in their files; only what you ask for is read.

    Attributes:
        xy: (t, n, 2) float32 memory-mapped pixels of the video.
        visibility, confidence: (t, n) float16 memory-mapped.
        queries: the n finished points, which are the first of the requested ones.
        wh: size of the video as (width, height).
        requested: number of requested points.
        fps: frames per second of the video.
        states: the arrays of `PointStates` by name, memory-mapped; empty if the tracks have no states.
        times: (t,) seconds of every frame in the video; None in folders of older versions, which do not hold them.
    """

    xy: np.ndarray
    visibility: np.ndarray
    confidence: np.ndarray
    queries: Queries
    wh: tuple[int, int]
    requested: int
    fps: float
    states: Mapping[str, np.ndarray]
    times: np.ndarray | None = None

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.xy)

    def read(self, points: Any = slice(None), frames: Sequence[int] | slice = slice(None)) -> Tracks:
        """Read some points on some frames.

        Args:
            points: which points: indices, a slice or a (n,) bool mask.
            frames: a slice, or frame numbers; they become the rows of the tracks, in this order, with the times of
                these frames if they increase.
        """
        where = points.numpy() if isinstance(points, torch.Tensor) else points
        first = (np.arange(len(self))[frames].tolist() or [0])[0]
        known = {name: getattr(self, name) for name in ARRAYS}
        arrays = {name: np.array(array[frames][:, where]) for name, array in {**known, **self.states}.items()}
        tracks = _tracks(
            arrays, queries=self.queries.select(points), wh=self.wh, first_frame=first, fps=self.fps
        )
        times = None if self.times is None else np.array(self.times[frames])
        return tracks if times is None or np.any(np.diff(times) <= 0) else tracks.with_times(times)


def open_dense(folder: str | Path) -> DenseTracks:
    """Open what `track_dense` wrote, or is still writing, without loading it.

    Raises:
        FileNotFoundError: no such folder, or not one that `track_dense` wrote.
    """
    folder = Path(folder)
    note = _read_note(folder)
    with reading(folder, "dense tracks"):
        done = whole(note["done"], "done")
        kinds = {**ARRAYS, **STATE_ARRAYS}
        names = [name for name in kinds if name in ARRAYS or (folder / f"{name}.npy").exists()]
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in names}
        queries = [np.load(folder / f"{name}.npy", mmap_mode="r")[:done] for name in QUERY_ARRAYS]
        frames, requested = arrays["xy"].shape[:2]
        for name in names:
            last, kind = kinds[name]
            if arrays[name].shape != (frames, requested, *last) or arrays[name].dtype != kind:
                raise ValueError(f"{name}.npy holds {arrays[name].shape} of {arrays[name].dtype}")
        times = np.load(folder / TIMES) if (folder / TIMES).exists() else None
        if times is not None and times.shape != (frames,):
            raise ValueError(f"{TIMES} holds {times.shape}")
        width, height = (whole(side, "wh", least=1) for side in note["wh"])
        return DenseTracks(
            **{name: arrays[name][:, :done] for name in ARRAYS},
            states={name: arrays[name][:, :done] for name in names if name not in ARRAYS},
            queries=Queries(*(np.array(values) for values in queries)),  # type: ignore[arg-type]
            wh=(width, height),
            requested=requested,
            fps=finite(note["fps"], "fps"),
            times=times,
        )


def _is_unfinished(folder: Path) -> bool:
    with reading(folder, "dense tracks"):
        return int(_read_note(folder)["done"]) < len(np.load(folder / "ids.npy", mmap_mode="r"))


def _put(arrays: Mapping[str, np.ndarray], row: int, columns: np.ndarray, tracks: Tracks) -> None:
    rows = slice(row, row + len(tracks))
    for name, array in arrays.items():
        owner = tracks if name in ARRAYS else tracks.states
        array[rows, columns] = getattr(owner, name).numpy()


def _tracks(arrays: Mapping[str, np.ndarray], **about: Any) -> Tracks:
    values: dict[str, Any] = {name: torch.from_numpy(np.asarray(arrays[name], np.float32)) for name in ARRAYS}
    if "state" in arrays:
        values["states"] = PointStates(**{name: torch.from_numpy(np.asarray(arrays[name])) for name in BLANK})
    return Tracks(**values, **about)


def _read_note(folder: Path) -> dict[str, Any]:
    path = folder / ABOUT
    if not path.is_file():
        raise FileNotFoundError(f"dense tracks: expected a folder that track_dense wrote, found no {path}")
    note = read_json(path, "the note of dense tracks", largest=1 << 24)
    if not isinstance(note, dict) or not {"about", "done", "wh", "fps"} <= set(note):
        raise ValueError(f"{path}: expected the note of dense tracks, got another JSON file")
    return note
