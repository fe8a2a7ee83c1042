"""Reads untrusted data: checks sizes before taking memory, and reports damage in one line.

Every reader of this package uses `reading`; those of JSON and .npz files use `read_json` and `read_arrays`.
"""

from __future__ import annotations

import json
import math
import pickle  # nosec B403: only for the name of its error
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy

from pointtrack.system import machine_memory

# What readers raise for damaged or hostile content. Not OSError as a whole: disk errors have clear messages.
DAMAGE = (
    ValueError,
    KeyError,
    TypeError,
    IndexError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    EOFError,
    RuntimeError,  # also RecursionError, NotImplementedError, and what torch raises
    MemoryError,
    SyntaxError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
    pickle.UnpicklingError,
    tokenize.TokenError,  # of heads of .npy files
)
SESSION = "told"  # array that session files hold, and no results
LONGEST_PATH = 1000  # characters of a path read from a file
_SHARE = 0.8  # largest share of the machine's memory that one file may take
_JSON_FACTOR = 12  # bytes of Python objects per byte of JSON, roughly
_INFLATED = 1100  # most bytes that deflate makes from one


@contextmanager
def reading(path: str | Path, expected: str) -> Iterator[None]:
    """Turn any error that damaged content causes inside the block into a one-line ValueError.

    Args:
        path: the file; its name begins the message.
        expected: what should be in it: "tracks saved by pointtrack".
    """
    try:
        yield
    except DAMAGE as error:
        text = " ".join(str(error).split())[:400]
        if isinstance(error, ValueError) and text.startswith(str(path)):
            raise
        if isinstance(error, KeyError):
            reason = f"no {text}"
        elif isinstance(error, MemoryError):
            reason = f"it takes more memory than there is ({text or 'none left'})"
        elif isinstance(error, RecursionError):
            reason = "it is nested too deeply"
        else:
            reason = text or type(error).__name__
        raise ValueError(f"{path}: expected {expected}, but {reason}") from error


def check_memory(needed: int, what: str) -> None:
    """Raise ValueError if something would take more than a large share of the machine's memory."""
    memory = machine_memory() or 1 << 36
    if needed > _SHARE * memory:
        raise ValueError(f"{what}: expected less, but it would take {needed / 1e9:.1f} GB of memory")


def read_json(path: str | Path, expected: str, *, largest: int | None = None, **how: Any) -> Any:
    """Read a JSON file.

    Args:
        path: the file.
        expected: what should be in it, for messages.
        largest: most bytes that it may have; by default as many as memory allows.
        how: options of `json.loads`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not JSON, too large or too deep.
    """
    path = Path(path)
    with reading(path, expected):
        size = path.stat().st_size
        if largest is not None and size > largest:
            raise ValueError(f"it has {size} bytes, more than {largest}")
        check_memory(_JSON_FACTOR * size, str(path))
        return json.loads(path.read_text(encoding="utf-8-sig"), **how)


def read_arrays(
    path: str | Path | BinaryIO,
    expected: str,
    needed: Collection[str] = (),
    *,
    only: Collection[str] | None = None,
) -> dict[str, np.ndarray]:
    """Read the arrays of an .npz file, by name; arrays of Python objects are refused.

    Before it reads anything, it compares each member's stated shape with its length, and all lengths with the
    memory of the machine.

    Args:
        path: the file, or an open binary one.
        expected: what should be in it, for messages.
        needed: names of arrays that it must have.
        only: names of arrays to read if they exist; None reads all.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a damaged file, a missing array, or one that does not fit into memory.
    """
    name = path if isinstance(path, str | Path) else "piece"
    with reading(name, expected), zipfile.ZipFile(path) as archive:
        members = {item.filename.removesuffix(".npy"): item for item in archive.infolist()}
        if len(members) != len(archive.infolist()):
            raise ValueError("an array is in it twice")
        lacks = sorted(set(needed) - set(members))
        if lacks and SESSION in members:
            kind, command = ("points", "track") if "xy" in members else ("objects", "segment")
            raise ValueError(
                f"it is a session of {kind}; `pointtrack {command} VIDEO --session {Path(str(name)).name}` writes its results"
            )
        if lacks:
            raise ValueError(f"it lacks {', '.join(lacks)}")
        chosen = [key for key in members if only is None or key in only]
        total = sum(members[key].file_size for key in chosen)
        packed = sum(members[key].compress_size for key in chosen)
        if total > _INFLATED * (packed + 64 * len(chosen)):
            raise ValueError("it claims to hold more than its length allows")
        check_memory(total, str(name))
        return {key: _read_member(archive, members[key]) for key in chosen}


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(member) as file:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(file)  # type: ignore[arg-type]
        if dtype.hasobject:
            raise ValueError(f"{member.filename} holds Python objects, which are not read")
        if len(shape) > 16 or any(side < 0 for side in shape):
            raise ValueError(f"{member.filename} has the shape {shape}")
        wanted = math.prod(shape) * dtype.itemsize
        if wanted > member.file_size:
            raise ValueError(f"{member.filename} is to be {shape} of {dtype}, but holds fewer bytes")
        content = file.read(wanted + 1)
        while len(content) < wanted and (more := file.read(wanted - len(content))):
            content += more
    if len(content) != wanted:
        raise ValueError(f"{member.filename} is to be {shape} of {dtype}, but holds other bytes")
    flat = np.frombuffer(content, dtype) if dtype.itemsize else np.zeros(math.prod(shape), dtype)
    return flat.reshape(shape, order="F" if fortran else "C").copy()


def plain_name(name: Any, what: str) -> str:
    """Return the name if it is a plain file name: no path, not hidden. Raises ValueError for others.

    >>> plain_name("encoder.onnx", "graph")
    'encoder.onnx'
    """
    text = str(name)
    parts = {PurePosixPath(text).name, PureWindowsPath(text).name}
    if not isinstance(name, str) or parts != {text} or text.startswith(".") or "\0" in text:
        raise ValueError(f"{what}: expected the name of a file in the same folder, got {text[:80]!r}")
    return text


def inside(root: str | Path, path: str, what: str) -> Path:
    """Return root / path if that stays inside root, also through links. Raises ValueError for others."""
    if len(path) > LONGEST_PATH:
        raise ValueError(f"{what}: expected a path of at most {LONGEST_PATH} characters, got {len(path)}")
    full = Path(root) / path
    if not full.resolve().is_relative_to(Path(root).resolve()):
        raise ValueError(f"{what}: expected a path within {root}, got {path[:120]!r}")
    return full


def finite(value: Any, what: str, *, least: float = -math.inf, most: float = math.inf) -> float:
    """Return an untrusted number if it is within bounds. Raises ValueError for others, also for texts and bools."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise ValueError(f"{what}: expected a number, got {str(value)[:60]!r}")
    if not (least <= value <= most and abs(value) < 2**1000 and math.isfinite(value)):
        raise ValueError(f"{what}: expected a number in {least:g}..{most:g}, got {str(value)[:60]}")
    return float(value)


def whole(value: Any, what: str, *, least: int = 0, most: int = 2**53) -> int:
    """Return an untrusted whole number if it is within bounds. Raises ValueError for others."""
    number = finite(value, what, least=least, most=most)
    if number != int(number):
        raise ValueError(f"{what}: expected a whole number, got {value}")
    return int(value)
