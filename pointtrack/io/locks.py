"""Locks on files and outputs against other processes; the system frees them when a process ends, however it does."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

logger = logging.getLogger(__name__)


@contextmanager
def claimed(path: str | Path) -> Iterator[None]:
    """Keep others from beginning a run whose tracks grow in `path`, until all that is made of them is written.

    The lock is on a file of its own, PATH.lock, as that of the tracks is closed and replaced meanwhile. It is gone
    afterwards; what a killed process leaves of it keeps nobody out.

    Raises:
        OSError: another run has it.
    """
    place = Path(f"{path}.lock")
    place.parent.mkdir(parents=True, exist_ok=True)
    while True:
        file = place.open("ab")
        try:
            lock(file, Path(path))
            # A run that ended since this one opened the file has deleted it: then the lock keeps nobody out.
            if os.name == "nt" or _is_at(file, place):
                break
        except BaseException:
            file.close()
            raise
        file.close()
    try:
        yield
    finally:
        # In this order, so that nobody else's lock is deleted; a file with content is not a lock.
        if os.name != "nt" and not os.fstat(file.fileno()).st_size:
            place.unlink(missing_ok=True)
        file.close()
        if os.name == "nt":  # open files cannot be deleted there, so others' are safe
            with contextlib.suppress(OSError):
                place.unlink()


def lock(file: BinaryIO, path: Path) -> None:
    """Keep other processes from locking an open file of the tracks at `path` until it is closed.

    Raises:
        OSError: another process has locked it.
    """
    try:
        if os.name == "nt":
            import msvcrt

            file.seek(1 << 40)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if os.name == "nt" or isinstance(error, BlockingIOError):
            raise OSError(
                f"{path}: another process writes tracks to it; choose another output, or wait"
            ) from error
        logger.info("%s: cannot be locked (%s)", path, error)  # a file system without locks


def _is_at(file: BinaryIO, place: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), place.stat())
    except FileNotFoundError:
        return False
