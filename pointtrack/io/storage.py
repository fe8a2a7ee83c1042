"""Paths in object stores: `s3://`, `gs://`, `memory://` and whatever else fsspec supports, read and written like files.

The unit is a whole file. pointtrack writes it on this machine and then uploads it in one step, and reads it from a
local copy. So every reader and writer of this package works with stores too, and no half-written file ever appears
there.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import fsspec

F = TypeVar("F", bound=Callable[..., Any])
_SCHEME = re.compile(r"^([a-zA-Z][a-zA-Z0-9+.-]+)://")
# Schemes that FFmpeg streams by itself; all others go through fsspec.
STREAMED = ("http", "https", "rtsp", "rtsps", "rtmp", "rtmps", "udp", "rtp", "tcp", "srt", "mms", "hls")


def scheme_of(path: Any) -> str | None:
    """The scheme of a text like s3://bucket/name; None for local paths and for anything that is not a text.

    >>> scheme_of("s3://bucket/clip.mp4"), scheme_of("clips/one.mp4"), scheme_of(3)
    ('s3', None, None)
    """
    found = _SCHEME.match(path) if isinstance(path, str) else None
    return found[1].lower() if found else None


def is_stored(path: Any) -> bool:
    """Whether a path lies in a store that fsspec reads: it has a scheme, and not one that FFmpeg streams.

    >>> is_stored("gs://bucket/clip.mp4"), is_stored("https://host/clip.mp4"), is_stored("clip.mp4")
    (True, False, False)
    """
    scheme = scheme_of(path)
    return scheme is not None and scheme not in STREAMED


def local_path(path: str | Path) -> Path | None:
    """The path on this machine, also of file:///...; None for one in a store or on the net."""
    scheme = scheme_of(path)
    if scheme in ("file", "local"):
        return Path(fsspec.filesystem("file")._strip_protocol(str(path)))
    return None if scheme else Path(path)


def filesystem(url: str) -> tuple[Any, str]:
    """The fsspec file system of a URL, and the path in it.

    Raises:
        ValueError: an unknown scheme, or one whose package is not installed.
    """
    try:
        return fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise ValueError(f"{url}: expected a package that reads {scheme_of(url)}://; {error}") from error
    except ValueError as error:
        known = "s3://, gs://, abfs://, file:// or another scheme of fsspec"
        raise ValueError(f"{url}: expected {known}, but {error}") from error


def upload(local: str | Path, url: str) -> str:
    """Upload a file, or a folder with its content; returns the URL. A file appears there whole or not at all.

    Raises:
        OSError: the store refuses it; the message names the URL.
    """
    fs, path = filesystem(url)
    local = Path(local)
    files = [local] if local.is_file() else sorted(item for item in local.rglob("*") if item.is_file())
    try:
        for file in files:
            to = path if local.is_file() else f"{path.rstrip('/')}/{file.relative_to(local).as_posix()}"
            _put(fs, file, to)
    except Exception as error:  # each store has errors of its own kind
        raise OSError(f"{url}: expected a place that can be written to, but {_reason(error)}") from error
    return url


def download(url: str, folder: str | Path, *, max_bytes: int | None = None) -> Path:
    """Copy a file, or all files directly under a prefix, into a local folder; returns the path of the copy.

    Args:
        url: the file or the prefix.
        folder: where to put it, under its own name.
        max_bytes: most bytes to copy.

    Raises:
        FileNotFoundError: there is nothing at the URL.
        ValueError: more than `max_bytes`.
        OSError: the store cannot be read.
    """
    fs, path = filesystem(url)
    target = Path(folder) / path.rstrip("/").rpartition("/")[2]
    try:
        entry = fs.info(path)
        is_folder = entry["type"] == "directory"
        entries = (
            [item for item in fs.ls(path, detail=True) if item["type"] == "file"] if is_folder else [entry]
        )
        size = sum(int(item.get("size") or 0) for item in entries)
        if max_bytes is not None and size > max_bytes:
            raise ValueError(f"{url}: expected at most {max_bytes} bytes, got {size}")
        if is_folder:
            target.mkdir(parents=True, exist_ok=True)
        for item in entries:
            name = item["name"].rpartition("/")[2]
            fs.get_file(item["name"], str(target / name if is_folder else target))
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{url}: expected a file, found nothing") from error
    except ValueError:
        raise
    except Exception as error:
        raise OSError(f"{url}: expected a file that can be read, but {_reason(error)}") from error
    return target


def exists(path: str | Path) -> bool:
    """Whether there is a file or folder at a path, or in a store at a URL."""
    here = local_path(path)
    if here is not None:
        return here.exists()
    fs, name = filesystem(str(path))
    return bool(fs.exists(name))


def check_store(url: str) -> None:
    """Check that a store accepts a URL, before computing results that go there.

    Raises:
        ValueError: a scheme that cannot be written to, or whose package is not installed.
        OSError: the store does not answer, or refuses the credentials.
    """
    _refuse_streamed(url)
    fs, path = filesystem(url)
    try:
        fs.exists(path)
    except Exception as error:  # each store has errors of its own kind
        raise OSError(f"{url}: expected a place that can be written to, but {_reason(error)}") from error


@contextmanager
def written_to(path: str | Path) -> Iterator[Path]:
    """Yield a local path to write to; when the block ends without an error, the file or folder there goes to `path`.

    If `path` is local, also as file://, the yielded path is `path` itself.
    """
    here = local_path(path)
    if here is not None:
        yield here
        return
    _refuse_streamed(str(path))
    with tempfile.TemporaryDirectory(prefix="pointtrack-") as folder:
        parent, _, name = str(path).rstrip("/").rpartition("/")
        yield Path(folder) / name
        for item in sorted(Path(folder).iterdir()):  # the suffix may have been added to the name
            upload(item, f"{parent}/{item.name}")


def writes_anywhere(write: F) -> F:
    """Let a function whose first argument is the path to write to take URLs of stores too.

    The function gets a local path, and what it writes there goes to the store. The result is then the URL, as a text
    because a `Path` would turn it into `s3:/bucket`.
    """

    @functools.wraps(write)
    def wrapper(path: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(path, str | os.PathLike):
            name = write.__name__
            raise ValueError(
                f"{name}: expected the path of a file first, as in {name}(path, ...), got {type(path).__name__}"
            )
        path = path if isinstance(path, str) else Path(path)
        if scheme_of(path) is None:
            return write(path, *args, **kwargs)
        with written_to(path) as here:
            result = write(here, *args, **kwargs)
        return path if local_path(path) is None else result

    return cast(F, wrapper)


def reads_anywhere(read: F) -> F:
    """Let a function whose first argument is the path to read take URLs of stores too; it gets a local copy."""

    @functools.wraps(read)
    def wrapper(path: Any, *args: Any, **kwargs: Any) -> Any:
        here = path if scheme_of(path) is None else local_path(path)
        if here is not None:
            return read(here, *args, **kwargs)
        with tempfile.TemporaryDirectory(prefix="pointtrack-") as folder:
            return read(download(path, folder), *args, **kwargs)

    return cast(F, wrapper)


def _put(fs: Any, file: Path, to: str) -> None:
    """Upload one file. Object stores show only whole objects; other stores get it under a temporary name first."""
    parent = to.rpartition("/")[0]
    if _is_object_store(fs):  # it needs no folders, and makedirs would make buckets
        fs.put_file(str(file), to)
        return
    with contextlib.suppress(FileExistsError):
        fs.makedirs(parent, exist_ok=True)
    part = f"{parent}/.{os.getpid()}-{to.rpartition('/')[2]}.part"
    fs.put_file(str(file), part)
    fs.mv(part, to)


def _is_object_store(fs: Any) -> bool:
    protocol = fs.protocol if isinstance(fs.protocol, str) else fs.protocol[0]
    return protocol in ("s3", "s3a", "gs", "gcs", "abfs", "az", "oci", "oss", "tos", "memory")


def _refuse_streamed(url: str) -> None:
    if scheme_of(url) in STREAMED:
        raise ValueError(f"{url}: expected a path, or a store that can be written to (s3://, gs://, ...)")


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
