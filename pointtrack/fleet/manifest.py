"""Finds the videos of a folder, a pattern, a prefix in a store, or a manifest, whose lines may have own options."""

from __future__ import annotations

import csv
import fnmatch
import functools
import json
import logging
import math
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from pointtrack.fleet.options import JobOptions
from pointtrack.fleet.settings import NAME
from pointtrack.io.outputs import noted_results
from pointtrack.io.sources import PICTURE_SUFFIXES, VIDEO_SUFFIXES
from pointtrack.io.storage import download, filesystem, is_stored, local_path, scheme_of

logger = logging.getLogger(__name__)

MANIFEST_SUFFIXES = (".csv", ".jsonl", ".parquet")
# What a batch writes under OUT, not to be taken for new videos if OUT lies among the videos.
RESULTS = ("exports", "ledger", "logs", "masks", "previews", "staging", "tracks", NAME)
# Columns of a manifest whose names differ from the option that they set.
COLUMNS = {"clicks": "click", "boxes": "box", "masks": "mask", "points_file": "queries"}
# Options that are paths; in a manifest they are relative to its folder.
PATHS = ("queries", "tracks")


@dataclass(frozen=True)
class VideoTask:
    """One video to process.

    Attributes:
        key: its name in the ledger and among the results: the path below the source, or its name in the manifest.
        video: path or URL.
        changes: options of its own.
    """

    key: str
    video: str
    changes: Mapping[str, Any] = field(default_factory=dict)


def read_source(source: str | Path, job: JobOptions) -> list[VideoTask]:
    """The videos of a source, in the order of their keys.

    Args:
        source: a folder, searched with all its subfolders (a folder that holds only pictures is one video); a
            pattern such as clips/**/*.mp4 (both leave out recorded results of pointtrack's commands, with a
            warning); a prefix of a store, such as s3://bucket/clips; or a manifest in .csv, .jsonl or .parquet.
        job: the options of all videos, to check those of single lines with.

    Raises:
        FileNotFoundError: there is nothing at the source.
        ValueError: no video there, a broken manifest, or two videos of the same name.
    """
    text = str(source)
    here = local_path(text)
    if text.lower().endswith(MANIFEST_SUFFIXES):
        tasks = list(_read_manifest(text, job))
    elif any(sign in text for sign in "*?["):
        tasks = _matching(text if here is None else str(here))
    elif here is not None:
        tasks = _in_folder(here)
    else:
        tasks = _in_store(text)
    if not tasks:
        raise ValueError(
            f"{source}: expected videos ({', '.join(VIDEO_SUFFIXES)}) or folders of pictures, found none"
        )
    twice = [key for key, count in Counter(task.key for task in tasks).items() if count > 1]
    if twice:
        raise ValueError(
            f"{source}: expected each video once, got {twice[0]!r} several times; a column `name` tells them apart"
        )
    return sorted(tasks, key=lambda task: task.key)


def _in_folder(folder: Path) -> list[VideoTask]:
    if folder.is_file():
        return [VideoTask(folder.name, str(folder))]
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder}: expected a folder, a pattern or a manifest of videos, found nothing"
        )
    tasks, local = [], filesystem(str(folder))[0]
    for top, folders, files in os.walk(folder):
        left_out = RESULTS if _is_out(local, top) else ()
        folders[:], names = (
            sorted(name for name in some if name[0] != "." and name not in left_out)
            for some in (folders, files)
        )
        videos = [name for name in names if name.lower().endswith(VIDEO_SUFFIXES)]
        for name in videos:
            path = Path(top) / name
            tasks.append(VideoTask(path.relative_to(folder).as_posix(), str(path)))
        if not videos and names and all(name.lower().endswith(PICTURE_SUFFIXES) for name in names):
            at = Path(top).relative_to(folder).as_posix()
            tasks.append(VideoTask(Path(top).name if at == "." else at, top))
    return _without_noted(tasks, folder)


def _without_noted(tasks: list[VideoTask], base: Path) -> list[VideoTask]:
    """Leave out videos that are recorded results of `track`, `segment` and others, which draw into copies of videos."""
    results = noted_results([task.video for task in tasks], base)
    if results:
        left = [task.key for task in tasks if task.video in results]
        logger.warning(
            "%s: left out %d, results of earlier commands: %s%s; to take them too, name the videos in a manifest",
            base,
            len(left),
            ", ".join(left[:3]),
            ", ..." * (len(left) > 3),
        )
    return [task for task in tasks if task.video not in results]


def _is_out(fs: Any, folder: str) -> bool:
    """Whether a run of `pointtrack batch` wrote its results to a folder."""
    return bool(fs.isfile(f"{folder}/{NAME}") and fs.isdir(f"{folder}/ledger"))


def _without_results(fs: Any, names: Iterable[str], base: str) -> list[str]:
    """The names below a base that are not results of a batch; a base that itself holds results keeps its content."""
    is_out = functools.cache(lambda folder: _is_out(fs, folder))
    kept = []
    for name in names:
        parts = name.removeprefix(base).strip("/").split("/")
        within = ["/".join([base.rstrip("/"), *parts[:i]]) for i, part in enumerate(parts) if part in RESULTS]
        if not any(map(is_out, within)):
            kept.append(name)
    return kept


def _matching(pattern: str) -> list[VideoTask]:
    """What a pattern matches; keys are relative to the last folder before its first wildcard."""
    fs, path = filesystem(pattern)
    base = path[: min(path.index(sign) for sign in "*?[" if sign in path)].rpartition("/")[0]
    scheme = scheme_of(pattern)
    found = sorted(
        name
        for name in _without_results(fs, fs.glob(path), base)
        if fs.isfile(name) or (scheme is None and os.path.isdir(name) and not _is_out(fs, name))
    )
    videos = [name for name in found if os.path.isdir(name) or fnmatch.fnmatch(name, path) or "**" in path]
    tasks = [
        VideoTask(
            name.removeprefix(base).lstrip("/"), name if scheme is None else f"{scheme}://{name.lstrip('/')}"
        )
        for name in videos
        if not name.rpartition("/")[2].startswith(".")
    ]
    return tasks if scheme is not None else _without_noted(tasks, Path(base))


def _in_store(url: str) -> list[VideoTask]:
    fs, path = filesystem(url)
    scheme = scheme_of(url)
    try:
        names = fs.find(path)
    except Exception as error:  # each store has errors of its own kind
        raise FileNotFoundError(
            f"{url}: expected a prefix with videos, but {type(error).__name__}: {error}"
        ) from error
    base = path.rstrip("/") + "/"
    if names == [path]:
        base = path.rpartition("/")[0] + "/"
    return [
        VideoTask(name.removeprefix(base), f"{scheme}://{name.lstrip('/')}")
        for name in _without_results(fs, names, base)
        if name.lower().endswith(VIDEO_SUFFIXES) and not name.rpartition("/")[2].startswith(".")
    ]


def _read_manifest(path: str, job: JobOptions) -> Iterator[VideoTask]:
    """The lines of a manifest; relative paths in it start from its folder."""
    here = local_path(path)
    with tempfile.TemporaryDirectory(prefix="pointtrack-") as folder:
        file = download(path, folder) if here is None else here
        if not file.is_file():
            raise FileNotFoundError(f"{path}: expected a manifest, found nothing")
        base = path.rpartition("/")[0] if here is None else str(here.parent)
        for place, row in _rows(file, path):
            yield _task(row, base, f"{path}, {place}", job)


def _rows(file: Path, name: str) -> Iterable[tuple[str, Mapping[str, Any]]]:
    suffix = file.suffix.lower()
    if suffix == ".parquet":
        import pyarrow.parquet as pq

        try:
            rows = pq.read_table(file).to_pylist()
        except (OSError, ValueError) as error:
            raise ValueError(f"{name}: expected a Parquet file, but {error}") from error
        return [(f"row {i}", row) for i, row in enumerate(rows)]
    lines: list[tuple[str, Mapping[str, Any]]] = []
    try:
        if suffix == ".csv":
            with file.open(newline="", encoding="utf-8-sig") as content:
                reader = csv.DictReader(content, skipinitialspace=True)
                lines = [(f"line {reader.line_num}", row) for row in reader]
        else:
            for i, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
                if line.strip():
                    lines.append((f"line {i}", json.loads(line)))
                    if not isinstance(lines[-1][1], dict):
                        raise ValueError(f"line {i} is no object")
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{name}: expected {suffix}, but {error}") from error
    return lines


def _task(row: Mapping[str, Any], base: str, place: str, job: JobOptions) -> VideoTask:
    """The task of one line; empty fields count as missing."""
    values = {
        COLUMNS.get(str(name).strip(), str(name).strip()): value.strip() if isinstance(value, str) else value
        for name, value in row.items()
        if name is not None and not _is_blank(value)
    }
    video = values.pop("video", None)
    if not isinstance(video, str):
        raise ValueError(
            f"{place}: expected a column `video` with a path or a URL, got {sorted(map(str, row))}"
        )
    key = str(values.pop("name", "") or (_relative(video, base)))
    points = values.get("points")
    if isinstance(points, str) and "," not in points:  # a file of points
        values["queries"] = values.pop("points")
    for name in PATHS:
        if isinstance(values.get(name), str):
            values[name] = _absolute(values[name], base)
    if isinstance(masks := values.get("mask"), str | list):
        values["mask"] = (
            _absolute_mask(masks, base)
            if isinstance(masks, str)
            else [_absolute_mask(one, base) for one in masks]
        )
    try:
        job.with_changes(values).checked()
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error
    return VideoTask(_checked_key(key, place), _absolute(video, base), values)


def _is_blank(value: Any) -> bool:
    return (
        value is None
        or (isinstance(value, str) and not value.strip())
        or (isinstance(value, float) and math.isnan(value))
    )


def _absolute_mask(text: str, base: str) -> str:
    """Make the path of a picture absolute; it stands alone, or after a frame and a comma."""
    place, comma, path = text.partition(",")
    if not comma or not place.rpartition(":")[2].strip().isdigit():
        return _absolute(text, base)
    return f"{place},{_absolute(path, base)}"


def _absolute(path: str, base: str) -> str:
    if scheme_of(path) is not None or Path(path).is_absolute():
        return path
    return f"{base}/{path}" if is_stored(base) else str(Path(base) / path)


def _relative(video: str, base: str) -> str:
    """The default name of a video: its path relative to the manifest's folder, or without the root."""
    text = video.partition("://")[2] if scheme_of(video) else Path(video).as_posix()
    start = (base.partition("://")[2] if scheme_of(base) else Path(base).as_posix()).rstrip("/") + "/"
    return text.removeprefix(start).lstrip("/")


def _checked_key(key: str, place: str) -> str:
    names = PurePosixPath(key.replace("\\", "/")).parts
    parts = [bare for part in names if (bare := part.strip("/").lstrip("."))]  # under OUT, and not hidden
    if not parts:
        raise ValueError(f"{place}: expected a name for the results, got {key!r}")
    return "/".join(parts)
