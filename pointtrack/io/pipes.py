"""Videos from a pipe, which cannot seek."""

from __future__ import annotations

import io
import logging
import shutil
import tempfile
from typing import IO, Any

logger = logging.getLogger(__name__)

PEEKED = 64


def playable(pipe: Any) -> Any:
    """Make a pipe playable by FFmpeg: an mp4 or mov whose index may be at its end is read to the end first.

    Such a file begins with the box ftyp. If mdat comes before the index moov, no frame can be decoded until
    everything has been read; the content then goes to a temporary file.

    Args:
        pipe: a binary stream that cannot be rewound.

    Returns:
        A stream with the same bytes, from the first one on.
    """
    head = b""
    while len(head) < PEEKED and (more := pipe.read(PEEKED - len(head))):
        head += more
    if head[4:8] != b"ftyp":
        return Ahead(head, pipe)
    file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # it lives as long as what reads it
    logger.warning(
        "standard input: an mp4, whose index may be at its end: reading all of it before the first frame"
    )
    file.write(head)
    shutil.copyfileobj(pipe, file)
    file.seek(0)
    return file


class Ahead(io.RawIOBase):
    """A stream whose first bytes have been read already."""

    def __init__(self, head: bytes, pipe: Any):
        self._head, self._pipe = head, pipe

    def readable(self) -> bool:
        """Always true."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes."""
        if self._head:
            head, self._head = (self._head, b"") if size < 0 else (self._head[:size], self._head[size:])
            return head + (self._pipe.read() if size < 0 else b"")
        return self._pipe.read(size)
