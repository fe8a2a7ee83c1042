"""Sessions as files: one .npz with all prompts, their history, and the computed masks."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch

from pointtrack.io.formats.run_lengths import check_runs, runs_of
from pointtrack.io.npz import npz_path, write_npz
from pointtrack.io.outside import read_arrays, reading, whole
from pointtrack.io.storage import reads_anywhere, writes_anywhere
from pointtrack.objects.engine import ObjectResult
from pointtrack.sessions.history import History
from pointtrack.sessions.keyframes import Keyframe, SessionObject, Side
from pointtrack.sessions.mask_store import Packed, Results
from pointtrack.types import Video

FORMAT = "pointtrack session 1"
TRACK_FORMAT = "pointtrack track session 2"
# What the other kind of session is, and what reads it.
READERS = {
    FORMAT: "a session of objects, for `pointtrack segment --session` and `ObjectSession.load`",
    TRACK_FORMAT: "a session of points, for `pointtrack track --session` and `TrackSession.load`",
}
LONGEST_TEXT = 1 << 28  # bytes of the JSON text
ObjectHistory = History[tuple[SessionObject, ...]]


def write_session(path: str | Path, video: Video, history: ObjectHistory, results: Results) -> Path:
    """Write a session; the suffix .npz is added if missing. The file is never half written."""
    keys = {key.serial: key for state in history.states for one in state for key in one.keys}
    packed = [counts for key in keys.values() for counts in _packed(key)]
    rows = [row for rows in results.sides.values() for row in rows]
    entries = {
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
                "followed": key.followed,
                "score": key.score,
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
                "carried": side.carried,
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
    return write_session_npz(path, entries, arrays)


# A keyframe never changes, and its session is saved after every action, so its masks are packed only once.
_known: WeakKeyDictionary[Keyframe, list[bytes]] = WeakKeyDictionary()


def _packed(key: Keyframe) -> list[bytes]:
    """Run lengths of a keyframe's mask, and of the mask that it corrects, if any."""
    if key not in _known:
        masks = [mask for mask in (key.mask, key.base) if mask is not None]
        _known[key] = [Packed.of(ObjectResult(mask, 1.0, 1.0)).counts for mask in masks]
    return _known[key]


def read_session(path: str | Path, video: Video) -> tuple[ObjectHistory, Results]:
    """Read the history and the results that `write_session` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file holds no session, or one of another video.
    """
    names = ("counts", "lengths", "scores")
    entries, arrays = read_session_npz(path, "a session", names, format=FORMAT, video=video.fingerprint())
    with reading(path, "a session saved by pointtrack"):
        return _rebuilt(entries, arrays, video)


def _rebuilt(
    entries: dict[str, Any], arrays: dict[str, np.ndarray], video: Video
) -> tuple[ObjectHistory, Results]:
    """Rebuild history and results; ValueError, KeyError or TypeError if the content is impossible."""
    size, last = (video.wh[1], video.wh[0]), len(video) - 1
    counts = iter(_run_lengths(arrays, size[0] * size[1]))
    keys = {key.serial: key for key in (_read_key(row, counts, size, last) for row in entries["keys"])}
    known: dict[SessionObject, SessionObject] = {}  # states share the objects that did not change

    def object_of(row: dict[str, Any]) -> SessionObject:
        number, name = whole(row["id"], "object", least=-(2**53)), _text(row["name"])
        one = SessionObject(number, name, tuple(keys[key] for key in row["keys"]))
        return known.setdefault(one, one)

    states = [tuple(map(object_of, state)) for state in entries["history"]]
    for state in states:
        if len({one.id for one in state}) != len(state):
            raise ValueError("an object is in it twice")
    scores = arrays["scores"]
    if scores.ndim != 2 or scores.shape[1] != 2 or not np.isfinite(scores).all():
        raise ValueError("its scores are none")
    next_scores = iter(scores.tolist())
    results = Results()
    for row in entries["sides"]:
        side, done = _read_side(row, last)
        results.sides[side] = [Packed(_next(counts), size, *_next(next_scores)) for _ in range(done)]
    return History(states, whole(entries["now"], "now")), results


def _run_lengths(arrays: dict[str, np.ndarray], pixels: int) -> list[bytes]:
    """The run lengths of all masks in the file, each of this many pixels."""
    lengths = [whole(length, "lengths") for length in arrays["lengths"].ravel().tolist()]
    if sum(lengths) != len(arrays["counts"]) or arrays["counts"].dtype != np.uint8:
        raise ValueError("its masks are not as long as it says")
    ends = np.cumsum(lengths)[:-1].astype(int)
    every = [one.tobytes() for one in np.split(arrays["counts"], ends)] if lengths else []
    for counts in every:
        check_runs(runs_of(counts), pixels)
    return every


def _read_key(row: dict[str, Any], counts: Iterator[bytes], size: tuple[int, int], last: int) -> Keyframe:
    """A keyframe with the next one or two masks; `size` is (h, w), and `last` the video's last frame."""

    def next_mask() -> torch.Tensor:
        return Packed(_next(counts), size, 1.0, 1.0).found().mask

    mask = next_mask()
    points = torch.tensor(row["points"], dtype=torch.float32).reshape(-1, 2)
    labels = torch.tensor(row["labels"], dtype=torch.bool)
    box = None if row["box"] is None else torch.tensor(row["box"], dtype=torch.float32)
    finite_box = box is None or (box.shape == (4,) and bool(torch.isfinite(box).all()))
    if labels.shape != points.shape[:1] or not bool(torch.isfinite(points).all()) or not finite_box:
        raise ValueError("the clicks or the box of a keyframe are none")
    serial = whole(row["serial"], "serial")
    base = next_mask() if row["corrects"] else None
    frame = whole(row["frame"], "frame", most=last)
    followed = whole(row.get("followed", 0), "followed", least=-1, most=1)  # missing in older files
    score = float(row.get("score", 1.0))  # this too
    if not 0 <= score <= 1:
        raise ValueError("the score of a keyframe is none")
    return Keyframe(frame, serial, mask, points, labels, box, base, followed, score)


def _read_side(row: dict[str, Any], last: int) -> tuple[Side, int]:
    """A side, and the number of its known frames; `last` is the video's last frame."""
    frames = _frames(row["frames"], last)
    other = None if row["other"] is None else whole(row["other"], "other")
    carried = tuple(whole(one, "carried") for one in row.get("carried", ()))  # missing in older files
    number, start = whole(row["object_id"], "object", least=-(2**53)), whole(row["start"], "start")
    return Side(number, start, other, frames, carried), whole(row["done"], "done", most=len(frames))


def _next(values: Iterator[Any]) -> Any:
    for value in values:
        return value
    raise ValueError("it holds fewer masks than it says")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("the name of an object is no text")  # noqa: TRY004
    return value


def _frames(values: Any, last: int) -> range:
    """A range of frames of the video, forward or backward."""
    start, stop, step = (whole(value, "frames", least=-1, most=last + 1) for value in values)
    frames = range(start, stop, step)
    if step not in (1, -1) or any(not 0 <= frame <= last for frame in (*frames[:1], *frames[-1:])):
        raise ValueError(f"frames {values} are not of this video")
    return frames


@writes_anywhere
def write_session_npz(path: str | Path, entries: Mapping[str, Any], arrays: Mapping[str, Any]) -> Path:
    """Write a session's entries, as JSON, and its arrays. The file is never half written.

    Args:
        path: the file; the suffix .npz is added if missing, and folders are created.
        entries: the entries, with the "format" of the file and the fingerprint of the "video".
        arrays: by name.

    Returns:
        The path of the file.
    """
    return write_npz(path, {"told": np.array(json.dumps(entries)), **arrays})


@reads_anywhere
def read_session_npz(
    path: str | Path, what: str, needed: Collection[str], *, format: str, video: str
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read the entries and the arrays that `write_session_npz` wrote.

    Args:
        path: the file.
        what: the expected content, for messages, such as "a session".
        needed: names of the arrays.
        format: the required format.
        video: fingerprint of the required video.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is of another kind, or of another video.
    """
    if not Path(path).is_file():  # saving may have added the suffix
        path = npz_path(path)
    if not Path(path).is_file():
        raise FileNotFoundError(f"session file: expected an .npz file, found nothing at {path}")
    expected = f"{what} saved by pointtrack"
    with reading(path, expected):
        text = read_arrays(path, expected, ("told",), only=("told",))["told"]
        if text.nbytes > LONGEST_TEXT or text.dtype.kind != "U":
            raise ValueError("its entries are no text, or too long")
        entries = json.loads(str(text))
        if not isinstance(entries, dict) or not isinstance(entries["video"], str):
            raise ValueError("its entries are no object with a video")
        if entries["format"] != format:
            if (reader := READERS.get(str(entries["format"]))) is not None:
                raise ValueError(f"it is {reader}")
            raise ValueError(f"its format is {str(entries['format'])[:60]!r}, not {format!r}")
        arrays = read_arrays(path, expected, needed)
        arrays = {name: arrays[name] for name in needed}
    if entries["video"] != video:
        hint = (
            "; of the same file, the session needs the same frames: the start, end and max_frames of before"
        )
        raise ValueError(
            f"{path}: expected the video that the session was made with ({entries['video'][:200]}), got another one ({video})"
            f"{hint * _is_other_part(entries['video'], video)}"
        )
    return entries, arrays


def _is_other_part(before: str, now: str) -> bool:
    """Whether two descriptions of videos (`Video.fingerprint`) differ in the number of frames, and not in their size."""
    (frames, _, size), (others, _, same) = (text.partition(" frames of ") for text in (before, now))
    return frames != others and size.partition(",")[0] == same.partition(",")[0] != ""
