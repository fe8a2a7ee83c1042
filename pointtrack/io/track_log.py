"""Tracks in a file that grows while a video is tracked: readable at any moment, and after a crash up to its last piece.

The file is a sequence of records. Each has a header (magic bytes, length of the content, its CRC-32, and the CRC-32
of the header itself) and the content. A piece of tracks is stored as the bytes of an .npz file, so numpy alone can
read it. The first record may say what the tracks are of; the last one says that the run finished. A damaged record
is an error; an incomplete last record, as a crash leaves it, is left out. Files of older versions (magic bytes
PTS1, no CRC of the header, only pieces) are read too.
"""

from __future__ import annotations

import io
import json
import logging
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import torch
from numpy.lib import format as npy

from pointtrack.io.atomic import atomic_path
from pointtrack.io.locks import lock
from pointtrack.io.outside import check_memory, read_arrays, reading
from pointtrack.io.same_run import check_same_run
from pointtrack.types import Tracks
from pointtrack.types.point_states import BLANK
from pointtrack.types.times import follow_rate, rate_of

logger = logging.getLogger(__name__)

OLD_MARK, PIECE, ABOUT, END = b"PTS1", b"PTS2", b"PTSA", b"PTSE"
BY_FRAME = {"xy", "visibility", "confidence", "times", "sources", *BLANK}  # arrays with a row for every frame
OLD_HEAD = struct.Struct("<4sQI")  # magic bytes, length of the content, its CRC-32
HEAD = struct.Struct("<4sQII")  # and the CRC-32 of those three


class TrackWriter:
    """Appends pieces of tracks to a file; once `append` returns, a crash of this process cannot lose the piece.

    Use it in a `with` block. The end of the block finishes the file; after an error in the block, the file stays
    unfinished.

    Args:
        path: the file; missing folders are made.
        keep: keep the pieces of an existing file up to this frame (not included), cut off the later ones, and continue
            from there. None starts a new file, which may replace a finished one.
        about: what the tracks are of, and how they are made; stored in a new file, compared with that of a file to
            continue.
        overwrite: let a new file replace an unfinished one too.

    Raises:
        FileNotFoundError: `keep` is given, but there is no file.
        ValueError: the file is of another kind, none of its pieces ends at the frame `keep`, it is about something
            else, or it is unfinished and would be lost.
        OSError: another process writes to it.

    Attributes:
        next_frame: the frame that the next piece must begin with; None before the first.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        keep: int | None = None,
        about: Mapping[str, str] | None = None,
        overwrite: bool = False,
    ):
        self.path = Path(path)
        self.next_frame: int | None = None
        if keep is not None and not self.path.is_file():
            raise FileNotFoundError(f"tracks: expected a file to continue, found nothing at {self.path}")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Do not truncate yet: the file may hold something worth keeping.
        self._file: BinaryIO = os.fdopen(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
        try:
            lock(self._file, self.path)
            end = 0
            if keep is not None:
                end = self._kept(keep, about)
            elif not overwrite:
                self._refuse_unfinished()
            self._file.truncate(end)
            self._file.seek(end)
            if keep is None and about is not None:
                self._write(ABOUT, json.dumps(dict(about)).encode())
        except BaseException:
            self._file.close()
            raise

    def append(self, tracks: Tracks) -> None:
        """Write the piece that follows the previous one; an empty piece is skipped. Raises ValueError for a gap."""
        if not len(tracks):
            return
        if self.next_frame is not None and tracks.first_frame != self.next_frame:
            raise ValueError(
                f"{self.path}: expected a piece from frame {self.next_frame}, got {tracks.first_frame}"
            )
        buffer = io.BytesIO()
        np.savez(buffer, **tracks.arrays())
        self._write(PIECE, buffer.getvalue())
        self.next_frame = tracks.first_frame + len(tracks)

    def close(self) -> None:
        """Mark the file as finished, and close it."""
        if not self._file.closed:
            self._write(END, json.dumps({"next_frame": self.next_frame}).encode())
            os.fsync(self._file.fileno())
            self._file.close()

    def __enter__(self) -> TrackWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self._file.close()

    def _write(self, mark: bytes, content: bytes) -> None:
        head = OLD_HEAD.pack(mark, len(content), zlib.crc32(content))
        self._file.write(head + struct.pack("<I", zlib.crc32(head)) + content)
        self._file.flush()

    def _kept(self, keep: int, about: Mapping[str, str] | None) -> int:
        """The position in the file where the kept pieces end."""
        end = 0
        for record in _records(self.path, self._file):
            if record.mark == ABOUT:
                check_same_run(_about(self.path, record.content), about or {}, self.path)
                end = record.end
            elif record.mark in (PIECE, OLD_MARK):
                piece = _piece(self.path, record.content)
                if piece.first_frame + len(piece) > keep:
                    break
                self.next_frame, end = piece.first_frame + len(piece), record.end
        if keep and self.next_frame != keep:
            raise ValueError(
                f"{self.path}: expected tracks up to frame {keep}, to continue after them, "
                f"got them up to frame {self.next_frame or 0}"
            )
        return end

    def _refuse_unfinished(self) -> None:
        marks = [record.mark for record in _records(self.path, self._file)]
        if any(mark in (PIECE, OLD_MARK) for mark in marks) and marks[-1] != END:
            raise ValueError(
                f"{self.path}: expected a new or a finished file, found the tracks of a run that was stopped; continue it with "
                "--resume (resume=True), delete the file, or replace it with --overwrite"
            )


def is_finished(path: str | Path) -> bool:
    """Whether the run that wrote a file finished; False for files of older versions, which do not say."""
    return any(record.mark == END for record in _records(Path(path)))


def read_about(path: str | Path) -> dict[str, str] | None:
    """What a file says its tracks are of; None if it does not say."""
    for record in _records(Path(path)):
        return _about(Path(path), record.content) if record.mark == ABOUT else None
    return None


def spilled_pieces(path: str | Path) -> Iterator[Tracks]:
    """Yield the pieces that a `TrackWriter` wrote, one by one; memory does not grow with the file.

    The file may still be growing. An incomplete last record, as a crash leaves it, is left out.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file of another kind, or a damaged one.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"tracks: expected a file of pieces of tracks, found nothing at {path}")
    return (_piece(path, record.content) for record in _records(path) if record.mark in (PIECE, OLD_MARK))


def spilled_backward(path: str | Path) -> Iterator[Tracks]:
    """Yield the pieces of `spilled_pieces` from the last to the first."""
    path = Path(path)
    with path.open("rb") as file:
        places = [
            (r.end - len(r.content), r.end) for r in _records(path, file) if r.mark in (PIECE, OLD_MARK)
        ]
        for start, end in reversed(places):
            file.seek(start)
            yield _piece(path, file.read(end - start))


def read_spilled(path: str | Path) -> Tracks:
    """Read everything a `TrackWriter` has written so far. Raises as `spilled_pieces`, and if there is no piece."""
    pieces = list(spilled_pieces(path))
    if not pieces:
        raise ValueError(f"{path}: expected tracks, but no piece of them is finished yet")
    tracks = Tracks.concat(pieces)
    if tracks.times is None:
        return tracks
    return replace(tracks, fps=_rate(path, tracks.times, tracks.fps)).with_times(tracks.times)


def spilled_to_npz(
    path: str | Path, target: str | Path, more: Mapping[str, np.ndarray] | None = None
) -> Path:
    """Turn a file of pieces into an .npz file for `load_tracks`, one piece in memory at a time; `more` adds arrays.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file of another kind, no piece, or pieces with different points: read these with `read_spilled`.
    """
    frames, first = 0, None
    seconds: list[np.ndarray] = []
    for piece in spilled_pieces(path):
        first = first or piece
        frames += len(piece)
        seconds.append(piece.seconds())
        if not torch.equal(piece.ids, first.ids):
            raise ValueError(f"{path}: expected the same points in all pieces; use read_spilled")
    if first is None:
        raise ValueError(f"{path}: expected tracks, but no piece of them is finished yet")
    target = Path(target)
    arrays = {name: value for name, value in first.arrays().items() if name != "times"} | dict(more or {})
    times = np.concatenate(seconds)
    if not follow_rate(times, first.first_frame, first.fps) and np.all(np.diff(times) > 0):
        arrays |= {"times": times, "fps": np.array(_rate(path, times, first.fps))}
    # An .npz file is a zip of .npy files; each array is written piece by piece, in a pass of its own.
    with atomic_path(target) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                if name not in BY_FRAME or name == "times":
                    npy.write_array(file, np.asarray(value))
                    continue
                shape = (frames, *value.shape[1:])
                npy.write_array_header_1_0(
                    file, {"descr": value.dtype.str, "fortran_order": False, "shape": shape}
                )
                for piece in spilled_pieces(path):
                    file.write(piece.arrays()[name].tobytes())
    return target


def _rate(path: str | Path, times: np.ndarray, fps: float) -> float:
    """Frames per second of a whole file: from its times if a run wrote it, as that knew only the header's rate."""
    return fps if read_about(path) is None else rate_of(times, fps)


class _Record(NamedTuple):
    """The kind of a record, its content, and the position after it."""

    mark: bytes
    content: bytes
    end: int


def _records(path: Path, file: BinaryIO | None = None) -> Iterator[_Record]:
    """Yield the complete records of a file. Raises ValueError for another kind of file, and for damage."""
    if file is None:
        if not path.is_file():
            raise FileNotFoundError(f"tracks: expected a file of pieces of tracks, found nothing at {path}")
        with path.open("rb") as opened:
            yield from _records(path, opened)
        return
    file.seek(0, os.SEEK_END)
    size = file.tell()
    file.seek(0)
    at = 0
    while head := file.read(OLD_HEAD.size):
        mark = head[:4]
        is_old = mark == OLD_MARK
        if not any(known.startswith(mark) for known in (OLD_MARK, PIECE, ABOUT, END)):
            if at:
                raise _damaged(path, at)
            raise ValueError(
                f"{path}: expected tracks as a TrackWriter writes them; it is another kind of file"
            )
        own = b"" if is_old else file.read(HEAD.size - OLD_HEAD.size)
        whole = len(head) == OLD_HEAD.size and (is_old or len(own) == 4)
        if whole and not is_old and zlib.crc32(head) != int.from_bytes(own, "little"):
            raise _damaged(path, at)
        _, length, crc = OLD_HEAD.unpack(head) if whole else (b"", 0, 0)
        begin = file.tell()
        if not whole or begin + length > size:
            if is_old and whole and any(known in file.read() for known in (OLD_MARK, PIECE)):
                raise _damaged(path, at)  # other records follow, so the stated length is wrong
            logger.info("%s: the last piece is not finished; it is left out", path)
            return
        check_memory(2 * length, str(path))
        content = file.read(length)
        if zlib.crc32(content) != crc:
            raise _damaged(path, at)
        at = file.tell()
        yield _Record(mark, content, at)
        file.seek(at)


def _damaged(path: Path, at: int) -> ValueError:
    return ValueError(
        f"{path}: expected whole records, but it is damaged at byte {at}; copy it again, or track the video anew"
    )


def _piece(path: Path, content: bytes) -> Tracks:
    with reading(path, "pieces of tracks"):
        return Tracks.from_arrays(read_arrays(io.BytesIO(content), "a piece of tracks"))


def _about(path: Path, content: bytes) -> dict[str, str]:
    with reading(path, "what tracks are of"):
        about: Any = json.loads(content)
        return {str(name): str(value) for name, value in about.items()}


def delete_tracks(path: str | Path) -> None:
    """Delete the file of a run that is no more, if there is one. Raises OSError if another process writes to it."""
    path = Path(path)
    if path.exists():
        with path.open("r+b") as file:
            lock(file, path)
        path.unlink(missing_ok=True)
