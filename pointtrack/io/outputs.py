"""Checks what a command may write: never over its inputs, and over results of another video only with `overwrite`."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterable
from itertools import chain, count
from pathlib import Path
from typing import Any

from pointtrack.io.atomic import write_text

ORIGINS = ".pointtrack-origins.json"
_RUNS = "/runs"  # the entry of ORIGINS with name -> run; no file is called that
_ENDS = 1 << 20  # bytes at a file's beginning and end that identify it
_LARGEST = 16 << 20  # largest ORIGINS file to trust, in bytes


def check_outputs(
    inputs: Iterable[Any],
    outputs: Iterable[str | Path],
    *,
    folders: Iterable[str | Path] = (),
    source: Any = None,
    overwrite: bool = False,
) -> None:
    """Make sure that a command can write its outputs without losing anything; call it before computing anything.

    Args:
        inputs: everything that the command reads: files and folders; URLs, names and None are allowed too.
        outputs: every file that it will write.
        folders: every folder that it will write.
        source: the video that the outputs are results of; None if they belong to no video.
        overwrite: replace existing files, whatever they contain.

    Raises:
        ValueError: an output is an input, also through links, or lies in an input folder; without `overwrite`, it
            exists and is not a result of the same `source` (`record_origin`); or it cannot be written.
    """
    read = [path for path in map(_local, inputs) if path is not None]
    files = [Path(path) for path in outputs]
    written = [*files, *map(Path, folders)]
    for output in written:
        for path in read:
            refuse_same(output, path)
            if (
                path == _local(source)
                and path.is_dir()
                and not output.is_dir()
                and Path(os.path.realpath(path)) in Path(os.path.realpath(output)).parents
            ):
                raise ValueError(
                    f"{output}: expected an output outside the input folder {path}; choose another with --out"
                )
    for file in files:
        if file.is_dir():
            raise ValueError(
                f"{file}: expected a file to write, found a folder of that name; choose another place"
            )
    # Pipes and devices are written directly.
    plain = [file for file in files if file.is_file() or not file.exists()]
    within = [(file.resolve() if file.is_symlink() else file).parent for file in plain]
    for folder in dict.fromkeys([*within, *written[len(files) :]]):
        _check_takes_files(folder)
    if source is None or overwrite:
        return
    mine = origin_of(source)
    for output in written:
        there = output.is_file() or (output.is_dir() and any(output.iterdir()))
        if there and _origins(output.parent).get(output.name) != mine:
            kind = "file" if output.is_file() else "folder"
            raise ValueError(
                f"{output}: expected a new {kind} or an earlier result of the same video, found another {kind}; "
                "choose another --out, or replace it with --overwrite"
            )


def _check_takes_files(folder: Path) -> None:
    """Raise ValueError if a folder, or the one it will be made in, takes no files; tests this by making one."""
    there = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise ValueError(
            f"{folder}: expected a folder that can be written to, but {there}: {error.strerror}; choose another place"
        ) from error


def refuse_same(output: str | Path, read: str | Path) -> None:
    """Raise ValueError if both are the same file, also through links."""
    output, read = Path(output), Path(read)
    same = os.path.realpath(output) == os.path.realpath(read)
    if not same and output.exists() and read.exists():
        same = os.path.samefile(output, read)
    if same:
        raise ValueError(
            f"{output}: expected an output that is not the input {read}; choose another with --out"
        )


def record_origin(outputs: Iterable[str | Path], source: Any) -> None:
    """Record, beside outputs about to be written, which video they are results of, for later `check_outputs`.

    Call it before you write them, so that a run that is killed in between can be repeated.
    """
    written: dict[Path, list[str]] = {}
    for output in map(Path, outputs):
        if not output.is_dir():
            written.setdefault(output.parent, []).append(output.name)
    for folder, names in written.items():
        there = dict.fromkeys(names, origin_of(source))
        runs = {name: run for name, run in _runs(folder).items() if name not in there}
        _write_record(folder, {**_origins(folder), **there}, runs, new=there)


def conclude_run(
    outputs: Iterable[str | Path],
    others: Iterable[str | Path],
    run: str,
    *,
    inputs: Iterable[Any] = (),
) -> list[tuple[Path, Path]]:
    """Note which run the outputs are of, and give what an earlier run left beside them a name that says so.

    Otherwise a contact sheet or an export of other points would look like a result of this run. Only what `record_origin`
    recorded is renamed; nothing is replaced or deleted.

    Args:
        outputs: what the run has written, after `record_origin`.
        others: whatever a run of the same command with other options may write at the same place.
        run: the command and what tells its results apart, as in "track 1f0c". Files of an equal run stay as they are.
        inputs: what the run has read; that stays too.

    Returns:
        (path, its new path) of everything renamed.
    """
    mine = {Path(output) for output in outputs}
    read = {os.path.realpath(path) for path in map(_local, inputs) if path is not None}
    moved: list[tuple[Path, Path]] = []
    for folder in dict.fromkeys(path.parent for path in mine):
        origins, runs = _origins(folder), _runs(folder)
        runs |= {path.name: run for path in mine if path.parent == folder and path.name in origins}
        for path in dict.fromkeys(map(Path, others)):
            of = runs.get(path.name, run.partition(" ")[0])
            stale = path.name in origins and of != run and of.partition(" ")[0] == run.partition(" ")[0]
            if path.parent != folder or path in mine or not stale or not path.exists():
                continue
            if os.path.realpath(path) in read:
                continue
            aside = _free_name(path)
            path.rename(aside)
            moved.append((path, aside))
            for record in (origins, runs):
                if path.name in record:
                    record[aside.name] = record.pop(path.name)
        _write_record(folder, origins, runs)
    return moved


def _free_name(path: Path) -> Path:
    """clip.csv -> clip_earlier.csv, or clip_earlier2.csv and so on where there is one."""
    stem, suffix = (path.name, "") if path.is_dir() else (path.stem, path.suffix)
    names = (path.with_name(f"{stem}_earlier{number}{suffix}") for number in chain([""], count(2)))
    return next(name for name in names if not os.path.lexists(name))


def _write_record(
    folder: Path, origins: dict[str, str], runs: dict[str, str], new: Iterable[str] = ()
) -> None:
    """Write what is known of the files in a folder, without those that are gone; the `new` ones are still to come."""
    kept = {name: origin for name, origin in origins.items() if name in new or (folder / name).exists()}
    noted = {name: run for name, run in runs.items() if name in kept}
    content = {**kept, _RUNS: noted} if noted else kept
    write_text(folder / ORIGINS, json.dumps(content, indent=1) + "\n")


def noted_results(paths: Iterable[str | Path], base: str | Path) -> set[str | Path]:
    """The paths below a folder that `record_origin` recorded as results of commands, or that lie inside them."""
    noted, base = functools.cache(_origins), Path(base)

    def is_noted(path: Path) -> bool:
        within = [one for one in (path, *path.parents) if base in one.parents]
        return any(one.name in noted(one.parent) for one in within)

    return {path for path in paths if is_noted(Path(path))}


def origin_of(source: Any) -> str:
    """What identifies a video: a file's size and both ends, a folder's path, otherwise the text itself."""
    if source == "-":  # it may differ from last time
        return f"standard input at {time.time_ns()}"
    path = _local(source)
    if path is None or not path.exists():
        return f"named {source}"
    if not path.is_file():
        return f"at {os.path.realpath(path)}"
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        digest.update(file.read(_ENDS))
        file.seek(max(size - _ENDS, 0))
        digest.update(file.read(_ENDS))
    return f"sha256 {digest.hexdigest()}"


def _local(source: Any) -> Path | None:
    """The path of an existing local source; None for URLs, standard input, cameras, arrays, and missing paths."""
    if not isinstance(source, str | os.PathLike) or source in ("", "-"):
        return None
    text = os.fspath(source)
    if text.startswith("file:"):
        text = text.removeprefix("file:").removeprefix("//")
    elif "://" in text:
        return None
    try:
        return Path(text) if Path(text).exists() else None
    except (OSError, ValueError):  # the text is too long, or has zero bytes
        return None


def _origins(folder: Path) -> dict[str, str]:
    """Name -> origin of the results in a folder; empty if the record, only a safeguard, is missing or damaged."""
    return _texts(_record(folder))


def _runs(folder: Path) -> dict[str, str]:
    """Name -> run of the results in a folder, as `conclude_run` noted it."""
    return _texts(_record(folder).get(_RUNS))


def _record(folder: Path) -> dict[str, Any]:
    path = folder / ORIGINS
    try:
        if path.stat().st_size > _LARGEST:
            return {}
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _texts(content: Any) -> dict[str, str]:
    return {k: v for k, v in content.items() if isinstance(v, str)} if isinstance(content, dict) else {}
