"""Damage and malice for files: bytes, texts, JSON values and members of archives."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

# Values that schemas have to catch, in the place of any value.
HOSTILE: list[Any] = [
    None, True, -1, 0, 1, 10**6, 10**11, 2**63, -(10**400), 1e308, -0.5, float("nan"), float("inf"), "", "x" * 5000, "../../etc/passwd",
    "/etc/passwd", "C:\\x", "\0", [], {}, [[]], [None] * 50, {"": {}}, {"a": 1}, "nan", "9" * 5000, -10**11, [1e9] * 8,
]  # fmt: skip
HEADS = [
    b"",
    b"\x89PNG\r\n\x1a\n",
    b"PK\x03\x04",
    b"PTS2",
    b"\x80\x02",
    b"{",
    b"[" * 3000,
    b"RIFF",
    b"\0" * 64,
    b"\xff\xd8\xff",
]


def mutate(path: Path, rng: np.random.Generator) -> str:
    """Damage a file in place; says how."""
    content = path.read_bytes()
    kinds = ["flip", "flip", "cut", "insert", "delete", "repeat", "replace", "head", "zero"]
    if path.suffix == ".json":
        kinds += ["value"] * 12 + ["deep"]
    if content[:2] == b"PK":
        kinds += ["member"] * 10
    if path.suffix in (".csv", ".txt", ".xml"):
        kinds += ["text"] * 10
    if path.suffix == ".safetensors":
        kinds += ["config"] * 8
    kind = kinds[int(rng.integers(len(kinds)))]
    path.write_bytes(_MUTATIONS[kind](content, rng))
    return kind


def _flip(content: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(content)
    for at in rng.integers(0, max(len(content), 1), int(rng.integers(1, 9))):
        changed[at] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _cut(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: int(rng.integers(len(content)))]


def _insert(content: bytes, rng: np.random.Generator) -> bytes:
    at = int(rng.integers(len(content)))
    return content[:at] + rng.bytes(int(rng.integers(1, 64))) + content[at:]


def _delete(content: bytes, rng: np.random.Generator) -> bytes:
    at = int(rng.integers(len(content)))
    return content[:at] + content[at + int(rng.integers(1, 64)) :]


def _repeat(content: bytes, rng: np.random.Generator) -> bytes:
    at, size = int(rng.integers(len(content))), int(rng.integers(1, 200))
    return content[:at] + content[at : at + size] * int(rng.integers(2, 50)) + content[at:]


def _replace(content: bytes, rng: np.random.Generator) -> bytes:
    at = int(rng.integers(len(content)))
    part = [b"\xff" * 8, b"\0" * 8, b"\x7f\xff\xff\xff", b"\x80\0\0\0"][int(rng.integers(4))]
    return content[:at] + part + content[at + len(part) :]


def _head(content: bytes, rng: np.random.Generator) -> bytes:
    head = HEADS[int(rng.integers(len(HEADS)))]
    return head + content[len(head) :] if rng.integers(2) else head


def _zero(content: bytes, rng: np.random.Generator) -> bytes:
    at = int(rng.integers(len(content)))
    return content[:at] + bytes(len(content) - at)


def _value(content: bytes, rng: np.random.Generator) -> bytes:
    """Another value somewhere in a JSON file."""
    try:
        root = json.loads(content)
    except (ValueError, RecursionError):
        return _flip(content, rng)
    return json.dumps(_changed(root, rng)).encode()


def _changed(root: Any, rng: np.random.Generator) -> Any:
    holder: list[Any] = [root]
    place: Any = holder
    key: Any = 0
    while isinstance(place[key], dict | list) and place[key] and rng.random() < 0.85:
        place = place[key]
        key = (
            list(place)[int(rng.integers(len(place)))]
            if isinstance(place, dict)
            else int(rng.integers(len(place)))
        )
    hostile = HOSTILE[int(rng.integers(len(HOSTILE)))]
    what = int(rng.integers(4))
    if what == 0 and isinstance(place, dict):
        del place[key]
    elif what == 1 and isinstance(place, list) and place is not holder:
        place.append(hostile)
    else:
        place[key] = hostile
    return holder[0]


def _deep(content: bytes, rng: np.random.Generator) -> bytes:
    depth = int(10 ** rng.uniform(2, 5.5))
    return b"[" * depth + (b"]" * depth if rng.integers(2) else b"")


def _text(content: bytes, rng: np.random.Generator) -> bytes:
    """Another word somewhere in a text."""
    words = content.replace(b",", b" , ").split(b" ")
    word = str(HOSTILE[int(rng.integers(len(HOSTILE)))]).encode()
    words[int(rng.integers(len(words)))] = word
    return b" ".join(words).replace(b" , ", b",")


def _config(content: bytes, rng: np.random.Generator) -> bytes:
    """Another value in the settings of a safetensors file."""
    try:
        size = int.from_bytes(content[:8], "little")
        head = json.loads(content[8 : 8 + size])
        notes = head["__metadata__"]
        notes["pointtrack_config"] = json.dumps(_changed(json.loads(notes["pointtrack_config"]), rng))
        new = json.dumps(head).encode()
        return len(new).to_bytes(8, "little") + new + content[8 + size :]
    except (ValueError, KeyError, TypeError):
        return _flip(content, rng)


def _member(content: bytes, rng: np.random.Generator) -> bytes:
    """An archive with a member that is missing, damaged, of another shape or type."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
    except Exception:  # what was damaged before raises anything
        return _flip(content, rng)
    name = list(members)[int(rng.integers(len(members)))]
    what = int(rng.integers(6))
    if what == 0:
        del members[name]
    elif what == 1:
        members[name] = _flip(members[name], rng) or b"x"
    elif what == 2:
        members[name] = _npy(_array(rng))
    elif what == 3:  # a shape that the content does not have
        shape = ("(100000000000,)", "(-1,)", "(2, 3, 4, 5, 6)", "()", "(1000000, 1000000)")[
            int(rng.integers(5))
        ]
        members[name] = members[name].replace(b"'shape': (", b"'shape': " + shape.encode() + b" or (", 1)
    elif what == 4 and name == "told.npy":
        told = json.loads(str(np.load(io.BytesIO(members[name]))))
        members[name] = _npy(np.array(json.dumps(_changed(told, rng))))
    else:
        members["../outside.npy"] = members[name]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for key, value in members.items():
            archive.writestr(key, value)
    return out.getvalue()


def _array(rng: np.random.Generator) -> np.ndarray:
    choices = [
        np.array(3), np.zeros((0, 2)), np.full((6, 3, 2), np.nan), np.full((6, 3), 7.0), np.array("text"), np.array([2**62] * 3),
        np.zeros((6, 3, 2), complex), np.array([-5]), np.zeros((1, 1, 1, 1), np.uint8), np.array(["a", "b"]),
    ]  # fmt: skip
    return choices[int(rng.integers(len(choices)))]


def _npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


_MUTATIONS = {
    "flip": _flip, "cut": _cut, "insert": _insert, "delete": _delete, "repeat": _repeat, "replace": _replace, "head": _head,
    "zero": _zero, "value": _value, "deep": _deep, "text": _text, "config": _config, "member": _member,
}  # fmt: skip


def seeds_of(count: int, start: int) -> list[int]:
    """Seeds for `count` inputs, drawn by Hypothesis so that they spread, the same ones every time."""
    found: list[int] = []

    @seed(start)
    @settings(
        max_examples=count, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.integers(0, 2**62))
    def draw(value: int) -> None:
        found.append(value)

    draw()
    return (found * (count // max(len(found), 1) + 1))[:count]
