"""Tracks in a file that grows while a video is tracked: readable at any moment, and after a crash up to its last piece.

The file is a row of records. Each is a head (mark, length and CRC-32 of what follows) and the bytes of an .npz file
with one piece of the tracks, so that nothing but numpy is needed to read it, and a torn record shows.
"""

from __future__ import annotations

import io
import logging
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from numpy.lib import format as npy

from pointtrack.io.atomic import atomic_path
from pointtrack.io.outside import read_arrays
from pointtrack.types import Tracks
from pointtrack.types.point_states import BLANK

logger = logging.getLogger(__name__)

MARK = b"PTS1"
BY_FRAME = {"xy", "visibility", "confidence", "sources", *BLANK}  # arrays with a row for every frame
HEAD = struct.Struct("<4sQI")  # mark, bytes that follow, their CRC-32


class TrackWriter:
    """Appends pieces of tracks to a file, each of them safe from a crash of this process once `append` returns.

    Args:
        path: the file; missing folders are made.
        keep: keep the pieces of an existing file up to this frame (not included) and go on behind them; what comes
            later in it is cut off. None starts a new file, and replaces an existing one.

    Raises:
        FileNotFoundError: pieces to keep, and no file.
        ValueError: the file is not one of these, or none of its pieces ends at the frame `keep`.

    Attributes:
        next_frame: the frame that the next piece must begin with; None before the first.
    """

    def __init__(self, path: str | Path, *, keep: int | None = None):
        self.path = Path(path)
        self.next_frame: int | None = None
        end = 0
        if keep is not None:
            for piece, position in _records(self.path):
                if piece.first_frame + len(piece) > keep:
                    break
                self.next_frame, end = piece.first_frame + len(piece), position
            if keep and self.next_frame != keep:
                raise ValueError(
                    f"{self.path}: expected tracks up to frame {keep} to go on behind, "
                    f"got them up to frame {self.next_frame or 0}"
                )
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file: BinaryIO = self.path.open("wb" if keep is None else "r+b")
        self._file.truncate(end)
        self._file.seek(end)

    def append(self, tracks: Tracks) -> None:
        """Write a piece that follows the one before; one of no frames is left out. Raises ValueError for a gap."""
        if not len(tracks):
            return
        if self.next_frame is not None and tracks.first_frame != self.next_frame:
            raise ValueError(
                f"{self.path}: expected a piece from frame {self.next_frame}, got {tracks.first_frame}"
            )
        buffer = io.BytesIO()
        np.savez(buffer, **tracks.arrays())
        content = buffer.getvalue()
        self._file.write(HEAD.pack(MARK, len(content), zlib.crc32(content)) + content)
        self._file.flush()
        self.next_frame = tracks.first_frame + len(tracks)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> TrackWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def spilled_pieces(path: str | Path) -> Iterator[Tracks]:
    """The pieces that a `TrackWriter` wrote, one after the other; memory does not grow with the file.

    The file may still be growing, or end in a record that a crash tore off: that one is left out.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file of another kind.
    """
    return (piece for piece, _ in _records(Path(path)))


def read_spilled(path: str | Path) -> Tracks:
    """All that a `TrackWriter` has written so far, as one `Tracks`. Errors as `spilled_pieces`, and for no piece."""
    pieces = list(spilled_pieces(path))
    if not pieces:
        raise ValueError(f"{path}: expected tracks, but no piece of them is finished yet")
    return Tracks.concat(pieces)


def spilled_to_npz(path: str | Path, target: str | Path) -> Path:
    """Turn a file of pieces into the .npz file that `Tracks.load` reads, one piece in memory at a time.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file of another kind, no piece, or pieces with different points: read these with `read_spilled`.
    """
    frames, first = 0, None
    for piece in spilled_pieces(path):
        first = first or piece
        frames += len(piece)
        if not torch.equal(piece.ids, first.ids):
            raise ValueError(f"{path}: expected the same points in all pieces; use read_spilled")
    if first is None:
        raise ValueError(f"{path}: expected tracks, but no piece of them is finished yet")
    target = Path(target)
    # An .npz file is a zip of .npy files; each of these is written piece by piece, in a pass of its own.
    with atomic_path(target) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in first.arrays().items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                if name not in BY_FRAME:
                    npy.write_array(file, np.asarray(value))
                    continue
                shape = (frames, *value.shape[1:])
                npy.write_array_header_1_0(
                    file, {"descr": value.dtype.str, "fortran_order": False, "shape": shape}
                )
                for piece in spilled_pieces(path):
                    file.write(piece.arrays()[name].tobytes())
    return target


def _records(path: Path) -> Iterator[tuple[Tracks, int]]:
    """Pieces, each with the position behind it."""
    if not path.is_file():
        raise FileNotFoundError(f"tracks: expected a file of pieces of tracks, found nothing at {path}")
    with path.open("rb") as file:
        while head := file.read(HEAD.size):
            if not MARK.startswith(head[: len(MARK)]) and not head.startswith(MARK):
                raise ValueError(
                    f"{path}: expected tracks as a TrackWriter writes them; it is another kind of file"
                )
            content = b""
            if len(head) == HEAD.size:
                _, length, crc = HEAD.unpack(head)
                content = file.read(length)
            if len(head) < HEAD.size or len(content) < length or zlib.crc32(content) != crc:
                logger.info("%s: the last piece is not finished; it is left out", path)
                return
            yield _piece(content), file.tell()


def _piece(content: bytes) -> Tracks:
    return Tracks.from_arrays(read_arrays(io.BytesIO(content), "a piece of tracks"))
