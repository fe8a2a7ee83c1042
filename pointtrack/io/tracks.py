"""Tracks in files: pointtrack's own .npz, .csv and .json, which read back exactly, and formats of other tools."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from pointtrack.checks import check_kind
from pointtrack.io.atomic import atomic_path
from pointtrack.io.formats import (
    after_effects,
    blender,
    comfyui,
    cvat,
    deeplabcut,
    equalizer,
    fusion,
    mot,
    napari,
    native,
    nuke,
    parquet,
    plot,
    rerun_file,
    sleap,
    tapvid,
)  # fmt: skip
from pointtrack.io.formats.needs import require
from pointtrack.io.npz import read_npz, write_npz
from pointtrack.io.outside import reading
from pointtrack.io.storage import reads_anywhere, writes_anywhere
from pointtrack.io.track_log import TrackWriter, read_spilled
from pointtrack.types import Tracks, Video

# Format -> the suffixes of its files; the first format with a suffix is the default for it.
TRACK_FORMATS: dict[str, tuple[str, ...]] = {
    "pointtrack": (".npz", ".csv", ".json", ".tracks"),
    "dlc": (".csv", ".h5"),
    "dlc-labels": (".csv",),
    "sleap": (".slp",),
    "napari": (".csv", ".npy"),
    "cvat": (".xml",),
    "parquet": (".parquet",),
    "rerun": (".rrd",),
    "mot": (".txt",),
    "tapvid": (".npz", ".pkl"),
    "nuke": (".nk",),
    "after-effects": (".txt",),
    "fusion": (".setting",),
    "3de": (".txt",),
    "blender": (".py",),
    "comfyui": (".json",),
    "plot": (".png", ".pdf", ".svg"),
}
# Name of an export -> what its file adds to the name of the video, and the format.
TRACK_EXPORTS: dict[str, tuple[str, str]] = {
    "csv": (".csv", "pointtrack"),
    "json": (".json", "pointtrack"),
    "parquet": (".parquet", "parquet"),
    "dlc": ("DLC_pointtrack.csv", "dlc"),
    "dlc-h5": ("DLC_pointtrack.h5", "dlc"),
    "sleap": (".slp", "sleap"),
    "napari": ("_napari.csv", "napari"),
    "napari-tracks": ("_napari.npy", "napari"),
    "cvat": ("_cvat.xml", "cvat"),
    "rerun": (".rrd", "rerun"),
    "mot": ("_mot.txt", "mot"),
    "tapvid": ("_tapvid.npz", "tapvid"),
    "nuke": (".nk", "nuke"),
    "after-effects": ("_after_effects.txt", "after-effects"),
    "fusion": (".setting", "fusion"),
    "3de": ("_3de.txt", "3de"),
    "blender": ("_blender.py", "blender"),
    "comfyui": ("_comfyui.json", "comfyui"),
    "plot": ("_plot.png", "plot"),
}
# Writers of tables and texts for other tools; writers of texts also take the number of the first frame.
WRITERS: dict[str, Callable[[Path, Tracks], None]] = {
    "dlc": deeplabcut.write,
    "napari": napari.write,
    "cvat": cvat.write,
    "sleap": sleap.write,
    "parquet": parquet.write,
    "plot": plot.write,
}
TEXTS: dict[str, Callable[[Tracks, int | None], Iterator[str]]] = {
    "nuke": nuke.lines,
    "after-effects": after_effects.lines,
    "fusion": fusion.lines,
    "3de": equalizer.lines,
    "blender": blender.lines,
    "comfyui": comfyui.lines,
}
READERS: dict[str, Callable[[Path, tuple[int, int] | None, float], Tracks]] = {
    "dlc": deeplabcut.read,
    "napari": napari.read,
    "cvat": cvat.read,
    "sleap": sleap.read,
    "parquet": parquet.read,
    "mot": mot.read,
    "tapvid": tapvid.read,
}
# What an export needs that may not be installed.
NEEDS = {"dlc-h5": ("pandas", "tables"), "sleap": ("sleap_io",), "parquet": ("pyarrow",), "rerun": ("rerun",)}


@writes_anywhere
def save_tracks(
    path: str | Path,
    tracks: Tracks,
    *,
    format: str | None = None,
    video: Video | None = None,
    first_number: int | None = None,
) -> Path:
    """Write tracks. `load_tracks` reads the formats of the first table back; the last column lists what each cannot hold.

    | format | is | lost |
    |---|---|---|
    | "pointtrack" | .npz: compressed arrays. .csv: a line per frame and point: frame, time (seconds, frame / fps), id, x, y, visibility, confidence; x and y empty where not tracked; then, where the tracks have them, source; state, similarity, times_redetected, raw_x, raw_y, raw_visibility; name; a few lines `# key: value` before. .json: the same, null where not tracked, states and sources as numbers. .tracks: pieces, as a run writes them; it may still be growing | nothing |
    | "parquet" | .parquet (extra `formats`): the columns of the .csv as a long table | nothing |
    | "dlc" | DeepLabCut's predictions of one animal, .csv or .h5 (extra `dlc`); body parts are the names, likelihood is the visibility | confidence, queries, size, fps, sources |
    | "sleap" | .slp of SLEAP (extra `formats`): a skeleton whose nodes are the points; frames that a person corrected hold an instance of the user too | queries |
    | "napari" | .csv that `viewer.open(path)` shows as points, with visibility, confidence, name and source as features; .npy that `viewer.open(path, layer_type="tracks")` shows as tracks (ID, t, y, x alone); only frames on which a point is tracked | queries, size, fps; frames before and after all points |
    | "cvat" | .xml, CVAT for video 1.1: a track of points for each, labelled with its name; outside: left the image, or not tracked any more; occluded: not visible; as few keyframes as keep positions to half a pixel; the source of a corrected track is semi-auto | confidence, queries, fps; visibility becomes 0 or 1, positions are rounded to 0.0001 pixels |
    | "mot" | .txt of MOTChallenge: boxes of a pixel where points are seen; frames and pixels from 1 | all but those positions and their visibility |
    | "tapvid" | .npz of one video, or .pkl like TAP-Vid-DAVIS: positions in 0..1, occluded: not visible, or outside the image; query points (t, y, x) in 0..1 | confidence, ids, fps, the first frame's number; visibility becomes 0 or 1; the size without `video` |

    For display and animation; pointtrack writes these but does not read them. They have keys where a point is visible:

    | format | is | its first frame | y goes |
    |---|---|---|---|
    | "rerun" | .rrd (extra `formats`): points with visibility, confidence, source and state over time, over the frames of `video` | 0 | down |
    | "nuke" | .nk with a Tracker4; frames that a person corrected are key_track keys | 1 | up |
    | "after-effects" | .txt of keyframes to paste: position for one point, effects "Point Control" for more | 0 | down |
    | "fusion" | .setting with a Tracker and a path per point (DaVinci Resolve too) | 0 | up |
    | "3de" | .txt of 2D points for 3DEqualizer | 1 | up |
    | "blender" | .py that makes tracks in Blender's movie clip | 1 | up |
    | "comfyui" | .json, a list per point of {"x", "y"} for every frame | - | down |
    | "dlc-labels" | .csv, CollectedData_SCORER.csv of DeepLabCut: what a person said, in the folder of the video | 0 | down |
    | "plot" | .png, .pdf, .svg: x and y as curves, and which frames every point is seen on | 0 | down |

    If a format does not hold the queries, `load_tracks` takes the first frame on which each point has a position. It leaves
    out a point without any, with a warning in the log. Only the first two formats hold states; in the others a lost point
    has a visibility of 0.

    Args:
        path: file to write; missing folders are made.
        tracks: the tracks.
        format: one of the above, or the name of an export of `pointtrack track` ("csv", "dlc-h5"); by default the first of the
            above with that suffix.
        video: the frames, which "tapvid" and "rerun" keep; a .pkl must have them.
        first_number: the tool's number of the first frame of the video, if it differs from the second table (1001).

    Returns:
        The path.

    Raises:
        ValueError: the format is unknown or does not have that suffix, its extra is not installed, a .pkl lacks the
            video, the tracks do not fit the video, or the format takes no number of the first frame.
    """
    check_kind(tracks, Tracks, "save_tracks", "save_masks")
    path = Path(path)
    format = _format_of(path, format)
    if first_number is not None and format not in TEXTS:
        raise ValueError(f"first_number: expected with {', '.join(TEXTS)}, got {first_number} for {format}")
    if format in TEXTS:
        _write_lines(path, TEXTS[format](tracks, first_number))
    elif format == "mot":
        _write_lines(path, mot.track_lines(tracks))
    elif format == "tapvid":
        tapvid.write(path, tracks, video)
    elif format == "pointtrack":
        _write_own(path, tracks)
    else:
        with atomic_path(path) as part:
            if format == "rerun":
                rerun_file.write(part, tracks, video)
            elif format == "dlc-labels":
                folder = path.resolve().parent.name
                deeplabcut.write_labels(part, tracks, path.stem.removeprefix("CollectedData_"), folder)
            else:
                WRITERS[format](part, tracks)
    return path


@reads_anywhere
def load_tracks(
    path: str | Path, *, format: str | None = None, wh: tuple[int, int] | None = None, fps: float = 30.0
) -> Tracks:
    """Read tracks that `save_tracks` wrote, or other files of these formats that hold one point per track.

    If a format has one number for both, the confidence repeats the visibility.

    Args:
        path: the file.
        format: as in `save_tracks`.
        wh: size of the video as (width, height) in pixels, for formats that do not store it.
        fps: frames per second, for formats that do not store it.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the suffix or format is unknown, the file does not hold such tracks, or neither the file nor `wh` gives
            the size.
    """
    path, given = Path(path), format
    format = _format_of(path, format)
    if not path.is_file():
        suffixes = ", ".join(TRACK_FORMATS[format])
        raise FileNotFoundError(f"tracks file: expected {suffixes}, found nothing at {path}")
    if format != "pointtrack" and format not in READERS:
        raise ValueError(
            f"{path}: expected tracks as pointtrack, {', '.join(READERS)}; {format} is written, not read"
        )
    whose = "saved by pointtrack" if format == "pointtrack" else f"in the format {format}"
    try:
        with reading(path, f"tracks {whose}"):
            return _read_own(path) if format == "pointtrack" else READERS[format](path, wh, fps)
    except ValueError as error:
        suffix = path.suffix.lower()
        others = [f"format={name!r}" for name in READERS if name != format and suffix in TRACK_FORMATS[name]]
        if given is not None or not others:
            raise
        raise ValueError(f"{error}; for other files in {suffix} give {' or '.join(others)}") from error


@contextmanager
def mapped_tracks(path: Path) -> Iterator[Tracks]:
    """The tracks of an .npz file on this machine as memory-mapped arrays, for exports of tracks larger than the memory.

    In the block, unpacked copies of the arrays lie in a hidden folder beside the file.
    """
    with TemporaryDirectory(prefix=".pointtrack-", dir=path.parent, ignore_cleanup_errors=True) as folder:
        with reading(path, "tracks saved by pointtrack"), zipfile.ZipFile(path) as archive:
            archive.extractall(folder)
            arrays = {file.stem: np.load(file, mmap_mode="c") for file in Path(folder).glob("*.npy")}
            tracks = Tracks.from_arrays(arrays)
        yield tracks


def parse_exports(names: str | None) -> list[str]:
    """Comma-separated names from `TRACK_EXPORTS` -> a list of them.

    Raises:
        ValueError: a name is unknown, or needs an extra that is not installed.
    """
    chosen = [name.strip().lstrip(".") for name in (names or "").split(",") if name.strip()]
    unknown = [name for name in chosen if name not in TRACK_EXPORTS]
    if unknown:
        raise ValueError(f"export: expected some of {', '.join(TRACK_EXPORTS)}, got {names!r}")
    for name in chosen:
        for package in NEEDS.get(name, ()):
            require(package, f"export {name}")
    return chosen


def export_tracks(
    stem: str | Path, tracks: Tracks, names: list[str], video: Video | None = None
) -> list[Path]:
    """Write tracks to a file for each name from `TRACK_EXPORTS`. The stem is a path without suffix.

    Returns:
        The paths.
    """
    paths = []
    for name in names:
        ending, format = TRACK_EXPORTS[name]
        paths.append(save_tracks(f"{stem}{ending}", tracks, format=format, video=video))
    return paths


def _format_of(path: Path, format: str | None) -> str:
    suffix = path.suffix.lower()
    if format is None:
        format = next((name for name, suffixes in TRACK_FORMATS.items() if suffix in suffixes), None)
    if format is None:
        known = dict.fromkeys(chain.from_iterable(TRACK_FORMATS.values()))
        raise ValueError(f"{path}: expected tracks in {', '.join(known)}, got {path.suffix!r}")
    name, suffixes = format, TRACK_FORMATS.get(format, ())
    # csv, dlc-h5: an export is a format with one suffix.
    if not suffixes and format in ("npz", *TRACK_EXPORTS):
        ending, format = TRACK_EXPORTS.get(format, (".npz", "pointtrack"))
        suffixes = (f".{ending.rpartition('.')[2]}",)
    if not suffixes:
        raise ValueError(f"format: expected one of {', '.join(TRACK_FORMATS)}, got {format!r}")
    if suffix not in suffixes:
        raise ValueError(f"{path}: expected {' or '.join(suffixes)} for {name}, got {path.suffix!r}")
    return format


def _write_own(path: Path, tracks: Tracks) -> None:
    suffix = path.suffix.lower()
    if suffix == ".npz":
        write_npz(path, tracks.arrays())
    elif suffix == ".tracks":
        with atomic_path(path) as part, TrackWriter(part) as writer:
            writer.append(tracks)
    else:
        _write_lines(path, native.csv_lines(tracks) if suffix == ".csv" else native.json_lines(tracks))


def _write_lines(path: Path, lines: Iterator[str]) -> None:
    with atomic_path(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        file.writelines(lines)


def _read_own(path: Path) -> Tracks:
    readers = {".csv": native.read_csv, ".json": native.read_json, ".tracks": read_spilled}
    return readers.get(path.suffix.lower(), _read_npz)(path)


def _read_npz(path: Path) -> Tracks:
    needed = ("xy", "visibility", "confidence", "query_frame", "query_xy", "ids", "wh")
    return Tracks.from_arrays(read_npz(path, "tracks", needed))
