"""Files that appear whole or not at all; every writer of this package uses this module.

A writer writes to a temporary name beside the final one, flushes to the disk, and only then renames. After a crash,
a full disk or Ctrl-C, the final name holds the previous file or nothing, never half a file.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import itertools
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_counter = itertools.count()


@contextmanager
def atomic_path(path: str | Path, *, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary path to write to; when the block ends, the file there becomes `path` in one step.

    Args:
        path: the file to write; missing folders are made, an existing file is replaced, also through a link to it.
            A pipe or a device is written directly.
        durable: wait until the disk has the file. Pass False for one of many pictures, each of which would cost a wait.

    Yields:
        A temporary path in the same folder, with the same suffix; no file exists there yet. If the block raises,
        the temporary file is removed and `path` stays as it was. The next writer removes those that a killed
        process left behind.

    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "numbers.txt"
    >>> with atomic_path(target) as part:
    ...     _ = part.write_text("1 2 3")
    ...     target.exists()
    False
    >>> target.read_text()
    '1 2 3'
    """
    path = Path(path)
    if path.exists() and not path.is_file() and not path.is_dir():
        yield path
        return
    if path.is_dir():
        raise IsADirectoryError(f"{path}: expected a file to write, found a folder of that name")
    target = path.resolve() if path.is_symlink() else path
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_orphans(target)
    part = target.with_name(f"{_prefix(target)}{os.getpid()}-{next(_counter)}.part{target.suffix}")
    try:
        yield part
        if target.exists():
            shutil.copymode(target, part)
        if durable:
            _sync(part)
        part.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    if durable:
        with contextlib.suppress(OSError):  # not every system opens folders
            _sync(target.parent)


def write_bytes(path: str | Path, content: bytes, *, durable: bool = True) -> Path:
    """Write a file in one step, as `atomic_path` does; returns the path."""
    with atomic_path(path, durable=durable) as part:
        part.write_bytes(content)
    return Path(path)


def write_text(path: str | Path, text: str, *, durable: bool = True) -> Path:
    """Write UTF-8 text in one step, as `atomic_path` does, line ends as they are; returns the path."""
    return write_bytes(path, text.encode("utf-8"), durable=durable)


def _prefix(path: Path) -> str:
    """The prefix of a file's temporary names on this machine: hidden, so that folder readers skip them."""
    host = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
    return f".{path.stem[:40]}.{host}-"


def _remove_orphans(path: Path) -> None:
    """Remove temporary files for `path` whose process is gone."""
    if os.name != "posix":  # on other systems, checking for a process may end it
        return
    prefix = _prefix(path)
    for name in glob.glob(f"{glob.escape(prefix)}*.part{glob.escape(path.suffix)}", root_dir=path.parent):
        process = name.removeprefix(prefix).partition("-")[0]
        if process.isdecimal() and not _is_alive(int(process)):
            with contextlib.suppress(OSError):
                (path.parent / name).unlink()


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # another user's process
        return True
    return True


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
