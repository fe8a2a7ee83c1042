"""Reads weights from disk; if a file holds none, the error says what the file is."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from pointtrack.models.inert_pickle import read_lightning

# The number, as pickle writes it, at the start of files from torch.save before it wrote zip archives.
LEGACY_MAGIC = (0x1950A86A20F9469CFC6C).to_bytes(10, "little")
# The longest header that the safetensors format allows.
LONGEST_HEADER = 100_000_000
# How many names an error message lists.
LISTED = 8

AGAIN = "download or copy it again"
TENSORS_ALONE = (
    "save the tensors alone, with torch.save(model.state_dict(), ...), in the project that wrote the file"
)


@dataclass(frozen=True)
class WeightsFile:
    """The content of a weights file: tensors on the CPU in the stored dtype, and its notes, if it has any.

    The tensors are views of the file if its format allows that. Copy them, as `load_state_dict` does,
    before you write the file again.
    """

    tensors: dict[str, Tensor]
    metadata: dict[str, str]
    path: Path


# Our names -> other ones: patterns of whole names with their replacements; the first pattern that matches counts.
Names = tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...]

# RAFT's encoder as in CoTracker and AllTracker.
ENCODER_NAMES: Names = (
    (r"encoder\.stem\.(.+)", r"fnet.conv1.\1"),
    (r"encoder\.fusion\.mix\.(.+)", r"fnet.conv2.\1"),
    (r"encoder\.fusion\.project\.(.+)", r"fnet.conv3.\1"),
    (r"encoder\.stages\.(\d)\.(\d\.conv.+)", lambda m: f"fnet.layer{int(m[1]) + 1}.{m[2]}"),
    (r"encoder\.stages\.(\d)\.(\d)\.shortcut\.(.+)", lambda m: f"fnet.layer{int(m[1]) + 1}.{m[2]}.downsample.0.{m[3]}"),
)  # fmt: skip


def other_name(name: str, names: Names) -> str:
    """The name of one of our tensors elsewhere."""
    for pattern, replacement in names:
        if match := re.fullmatch(pattern, name):
            return replacement(match) if callable(replacement) else match.expand(replacement)
    raise AssertionError(f"no other name for {name}")


def read_weights(path: str | Path) -> WeightsFile:
    """Read a file of named tensors: safetensors, or a file from torch.save (.pth, .pt, .ckpt, .bin).

    The content decides the format, not the suffix. A torch.save file holds {name: tensor}, or a training state with
    {name: tensor} under "model" or, from Lightning, "state_dict"; the rest of such a state is ignored. Names stay
    unchanged. Only tensors and plain values are unpickled, so a file cannot run code; other objects in a Lightning
    checkpoint are skipped (`models/inert_pickle.py`).

    Raises:
        FileNotFoundError: no such file, or a folder.
        ValueError: a web page, a git-lfs pointer, an empty, truncated or damaged file, Python objects other than
            tensors, or anything else that is not a dict of tensors.
    """
    path = Path(path)
    if not path.is_file():
        got = "a folder there" if path.is_dir() else "nothing there"
        raise FileNotFoundError(f"{path}: expected a file of weights, found {got}; pass the path of the file")
    with path.open("rb") as file:
        head = file.read(1024)
    if _is_safetensors(head):
        return _read_safetensors(path, int.from_bytes(head[:8], "little"))
    if head.startswith(b"PK\x03\x04"):
        return _read_pickle(path, mmap=_can_be_mapped(path))
    if LEGACY_MAGIC in head[:32]:
        return _read_pickle(path, mmap=False)
    raise _unreadable(path, *_guess(head))


def file_sha256(path: str | Path) -> str:
    """SHA-256 of a file of any size, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def check_sha256(path: str | Path, expected: str) -> None:
    """Compare a file with its expected SHA-256, or the beginning of one. Raises ValueError if they differ."""
    got = file_sha256(path)
    if not got.startswith(expected.lower()):
        raise ValueError(
            f"{path}: not the file that is expected here\n"
            f"  expected SHA-256 {expected.lower()}\n"
            f"  got SHA-256      {got}\n"
            "  delete it and download it again, or pass the right file"
        )


def shapes_of(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Shapes by name, for `compare_shapes`."""
    return {name: tuple(x.shape) for name, x in tensors.items()}


def tensors_to_save(network: nn.Module, half: bool) -> dict[str, Tensor]:
    """Copies of a network's tensors on the CPU, in float16 or else float32."""
    dtype = torch.float16 if half else torch.float32
    return {name: x.detach().to("cpu", dtype).contiguous() for name, x in network.state_dict().items()}


def set_tensors(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give a network these tensors, as float32 copies, because they may be views of a file."""
    copies = {name: x.to(torch.float32, copy=True) for name, x in tensors.items()}
    network.load_state_dict(copies, assign=True)


def compare_shapes(
    wanted: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]], path: str | Path, what: str
) -> None:
    """Check that a file has the tensors of a model.

    Args:
        wanted, found: shapes by name, of the model and of the file.
        path: the file, for the message.
        what: the model, for the message.

    Raises:
        ValueError: missing or unexpected names, or shapes that differ; one message lists them all, and the names
            that look like renamed ones.
    """
    missing = [name for name in wanted if name not in found]
    unexpected = [name for name in found if name not in wanted]
    shapes = [
        f"{name} is {tuple(found[name])}, not {tuple(wanted[name])}"
        for name in wanted
        if name in found and tuple(found[name]) != tuple(wanted[name])
    ]
    if not (missing or unexpected or shapes):
        return
    lists = {
        "missing": missing,
        "unexpected": unexpected,
        "shapes": shapes,
        "renamed?": _renamed(wanted, found, missing, unexpected),
    }
    lines = [f"  {title}: {_some(items)}" for title, items in lists.items() if items]
    raise ValueError(
        f"{path}: expected the weights of {what}, got other tensors; pass the file of that model, "
        "or choose the model of that file\n" + "\n".join(lines)
    )


def _is_safetensors(head: bytes) -> bool:
    """Whether a file begins with the length of a header in 8 bytes, then the header, a JSON object."""
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= LONGEST_HEADER


def _read_safetensors(path: Path, header: int) -> WeightsFile:
    size = path.stat().st_size
    if 8 + header > size:
        raise _cut(path, f"a header of {header} bytes, and {size} bytes in all")
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
    except (SafetensorError, MemoryError, ValueError, TypeError, KeyError, RuntimeError) as error:
        raise _cut(path, " ".join(str(error).split())[:200]) from error
    return WeightsFile(_only_tensors(path, tensors), metadata, path)


def _can_be_mapped(path: Path) -> bool:
    """Whether torch.load can map the tensors of a zip archive into memory instead of reading all of it.

    Raises ValueError for an archive that torch.load cannot read, or whose error would be hard to understand.
    """
    try:
        with ZipFile(path) as archive:
            members = archive.infolist()
    except (BadZipFile, OSError, ValueError, NotImplementedError) as error:
        # The list of contents is at the end of a zip archive, so a truncated file lacks it.
        raise _cut(path, "a zip archive without a list of its contents") from error
    names = {member.filename.partition("/")[2] for member in members}
    if "data.pkl" not in names:
        raise _unreadable(path, "a zip archive that torch.save did not write", "pass the right file")
    if "constants.pkl" in names:
        raise _unreadable(path, "a TorchScript program", TENSORS_ALONE)
    # torch.save does not compress, but repacking such an archive may. And torch.load takes any path that
    # ends in .safetensors for that format: it then gets the open file instead, which it cannot map.
    return path.suffix != ".safetensors" and all(m.compress_type == ZIP_STORED for m in members)


def _read_pickle(path: Path, mmap: bool) -> WeightsFile:
    try:
        with path.open("rb") as file:
            content = torch.load(path if mmap else file, map_location="cpu", weights_only=True, mmap=mmap)
    except OSError:  # the disk, not the content
        raise
    except MemoryError as error:
        raise _unreadable(path, "one that takes more memory than there is", "pass the right file") from error
    except Exception as error:  # a broken pickle can raise anything
        content = read_lightning(path)
        if content is not None:
            pass
        elif refused := re.search(r"GLOBAL (\S+)", str(error)):
            got = f"a pickle of {refused[1]}, which could run code when it is loaded"
            raise _unreadable(path, got, TENSORS_ALONE) from error
        elif "Unsupported operand" in str(error):
            got = "a pickle that is damaged, or of another protocol than 2"
            raise _unreadable(path, got, f"{AGAIN}, or {TENSORS_ALONE}") from error
        else:
            raise _cut(path, f"{type(error).__name__} while reading") from error
    for key in ("model", "state_dict"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    return WeightsFile(_only_tensors(path, content), {}, path)


def _only_tensors(path: Path, content: Any) -> dict[str, Tensor]:
    """The content as plain tensors by name. Raises ValueError for anything else."""
    if not isinstance(content, Mapping):
        raise _unreadable(path, f"a {type(content).__name__}", TENSORS_ALONE)
    others = [
        f"{name!r} ({type(x).__name__})"
        for name, x in content.items()
        if not (isinstance(name, str) and isinstance(x, Tensor))
    ]
    if others:
        raise _unreadable(path, f"a dict with other entries: {_some(others)}", TENSORS_ALONE)
    if not content:
        raise _unreadable(path, "a file without any tensor", TENSORS_ALONE)
    return {name: x.detach() for name, x in content.items()}


def _guess(head: bytes) -> tuple[str, str]:
    """What a file without weights seems to be, and what to do about it."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not head:
        return "an empty file", AGAIN
    if text.startswith(b"<"):
        return (
            f"a web page, {_begins(text)}",
            "download the raw file again, not the page that shows it or asks to log in",
        )
    if text.startswith(b"version https://git-lfs"):
        return (
            "a git-lfs pointer, which only names the file",
            "run `git lfs pull` in the clone, or download the raw file",
        )
    if head.startswith(b"\x80"):
        return "a pickle that torch.save did not write", TENSORS_ALONE
    return f"something else, {_begins(head)}", f"{AGAIN}, or pass the right file"


def _begins(head: bytes) -> str:
    return "which begins with " + repr(head[:40].decode("utf-8", "backslashreplace"))


def _cut(path: Path, reason: str) -> ValueError:
    return _unreadable(path, f"one that is cut short or damaged ({reason})", AGAIN)


def _unreadable(path: Path, got: str, to_do: str) -> ValueError:
    return ValueError(
        f"{path}: expected a file of weights (safetensors, or torch.save of a dict of tensors), got {got}; "
        f"{to_do}"
    )


def _renamed(
    wanted: Mapping[str, tuple[int, ...]],
    found: Mapping[str, tuple[int, ...]],
    missing: list[str],
    unexpected: list[str],
) -> list[str]:
    """The listed missing names that look like an unexpected name of the same shape."""
    left, pairs = list(unexpected), []
    for name in missing[:LISTED]:
        candidates = [other for other in left if tuple(found[other]) == tuple(wanted[name])]
        for other in get_close_matches(name, candidates, n=1):
            left.remove(other)
            pairs.append(f"{name} is {other} in the file")
    return pairs


def _some(items: Iterable[str]) -> str:
    """The first items, and the number of the others."""
    items = list(items)
    more = f" ... and {len(items) - LISTED} more" if len(items) > LISTED else ""
    return ", ".join(items[:LISTED]) + more
