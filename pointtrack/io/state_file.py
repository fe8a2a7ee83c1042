"""States of runs in files: what torch saves, preceded by a checksum, because torch would not notice a flipped bit."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import torch

from pointtrack.io.atomic import atomic_path
from pointtrack.io.outside import check_memory, reading

MARK = b"PTST"
_HEAD = struct.Struct("<4sQI")  # magic bytes, length of the content, its CRC-32
EXPECTED = "the state of a run to resume; delete it to begin anew"


def write_state(path: str | Path, state: dict[str, Any]) -> Path:
    """Write tensors and plain values in one step."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getbuffer()
    with atomic_path(path) as part, part.open("wb") as file:
        file.write(_HEAD.pack(MARK, len(content), zlib.crc32(content)))
        file.write(content)
    return Path(path)


def read_state(path: str | Path) -> dict[str, Any]:
    """Read onto the CPU what `write_state` wrote, or what older versions wrote without a checksum.

    Raises:
        FileNotFoundError: no such file.
        ValueError: another kind of file, or a damaged one.
    """
    path = Path(path)
    with reading(path, EXPECTED), path.open("rb") as file:
        size = path.stat().st_size
        check_memory(2 * size, str(path))
        head = file.read(_HEAD.size)
        content = file.read()
        if head.startswith(MARK):
            _, length, crc = _HEAD.unpack(head)
            if length != len(content) or zlib.crc32(content) != crc:
                raise ValueError("it is damaged")
        else:
            content = head + content
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        if not isinstance(state, dict) or not isinstance(state.get("about"), dict):
            raise ValueError("it holds something else")
        return state


def moved(value: Any, device: torch.device | str) -> Any:
    """Copy a state, or a part of one, with all its tensors on a device. Containers are new; other values are shared.

    A tensor that occurs several times, such as features that groups of points share, is copied once.
    """
    there: dict[int, torch.Tensor] = {}  # by identity

    def move(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            if id(value) not in there:
                there[id(value)] = value.to(device)
            return there[id(value)]
        if isinstance(value, dict):
            return {key: move(inner) for key, inner in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(move(inner) for inner in value)
        return value

    return move(value)
