"""Files that appear whole or not at all: every writer of this package goes through here.

What is written gets a temporary name beside the final one, is flushed to the disk, and only then renamed. So a crash, a full
disk or Ctrl-C leaves the file that was there before, or none; never half of one under the final name.
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
    """A path to write to in the place of `path`; what is there when the block ends becomes `path`, in one step.

    Args:
        path: the file to write; missing folders are made, an existing file is replaced, also through a link to it. What is
            no plain file (a pipe, a device) is written directly.
        durable: wait until the disk has it. False for one of many pictures, each of which would cost a wait.

    Yields:
        A temporary path in the same folder, with the same suffix; nothing is there yet. Where the block raises, it is
        removed and `path` stays as it was. Those that a killed process left behind are removed by the next writer.

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
    """How temporary names of a file begin on this machine: hidden, so that no reader of folders takes them for content."""
    host = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
    return f".{path.stem[:40]}.{host}-"


def _remove_orphans(path: Path) -> None:
    """Remove temporary files for `path` whose process is gone."""
    if os.name != "posix":  # elsewhere asking for a process may end it
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
    except (OSError, OverflowError):  # somebody else's
        return True
    return True


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
