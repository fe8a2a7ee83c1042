"""Tracks in files: pointtrack's own .npz, .csv and .json, which come back exactly, and formats of other tools."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from pathlib import Path
from zipfile import BadZipFile

from pointtrack.io.atomic import atomic_path
from pointtrack.io.formats import cvat, deeplabcut, napari, native, tapvid
from pointtrack.io.npz import read_npz, write_npz
from pointtrack.io.storage import reads_anywhere, writes_anywhere
from pointtrack.io.track_log import TrackWriter, read_spilled
from pointtrack.types import Tracks, Video

# Format -> the suffixes of its files; the first format with a suffix is meant where none is named.
TRACK_FORMATS: dict[str, tuple[str, ...]] = {
    "pointtrack": (".npz", ".csv", ".json", ".tracks"),
    "dlc": (".csv", ".h5"),
    "napari": (".csv",),
    "cvat": (".xml",),
    "tapvid": (".npz", ".pkl"),
}
# Name of an export -> how its file's name ends behind that of the video, and the format.
TRACK_EXPORTS: dict[str, tuple[str, str]] = {
    "csv": (".csv", "pointtrack"),
    "json": (".json", "pointtrack"),
    "dlc": ("DLC_pointtrack.csv", "dlc"),
    "dlc-h5": ("DLC_pointtrack.h5", "dlc"),
    "napari": ("_napari.csv", "napari"),
    "cvat": ("_cvat.xml", "cvat"),
    "tapvid": ("_tapvid.npz", "tapvid"),
}


@writes_anywhere
def save_tracks(
    path: str | Path, tracks: Tracks, *, format: str | None = None, video: Video | None = None
) -> Path:
    """Write tracks; `load_tracks` reads every format back, and what a format has no place for is lost.

    | format | is | lost |
    |---|---|---|
    | "pointtrack" | .npz: compressed arrays. .csv: a line per frame and point: frame, time (seconds, frame / fps), id, x, y, visibility, confidence; x and y empty where not tracked; then, where the tracks have them, source; state, similarity, times_redetected, raw_x, raw_y, raw_visibility; name; a few lines `# key: value` before. .json: the same, null where not tracked, states as numbers. .tracks: pieces, as a run writes them; it may still be growing | nothing |
    | "dlc" | DeepLabCut's predictions of one animal, .csv or .h5 (extra `dlc`); body parts point0, ... by id, likelihood is the visibility | confidence, queries, size, fps |
    | "napari" | .csv for a tracks layer: ID, t, y, x, and as features visibility and confidence; only frames on which a point is tracked | queries, size, fps; frames before and after all points |
    | "cvat" | .xml, CVAT for video 1.1: a track of points for each; outside: left the image, or not tracked any more; occluded: visibility of at most 0.5 | confidence, queries, fps; visibility becomes 0 or 1, positions are rounded to 0.0001 pixels |
    | "tapvid" | .npz of one video, or .pkl like TAP-Vid-DAVIS: positions in 0..1, occluded: visibility of at most 0.5, or outside the image; query points (t, y, x) in 0..1 | confidence, ids, fps, the first frame's number; visibility becomes 0 or 1; the size without `video` |

    Where the queries are lost, `load_tracks` takes the first frame on which a point is known; a point that is
    known nowhere is then left out, with a warning in the log. States are lost in all formats but the first, where a point
    that is lost has a visibility of 0.

    Args:
        path: file to write, also s3://... and the like; missing folders are made.
        tracks: the tracks.
        format: one of the above; by default the first of them that has such a suffix.
        video: the frames, which only "tapvid" keeps; a .pkl must have them.

    Returns:
        The path.

    Raises:
        ValueError: an unknown format, or a suffix that it does not have; an .h5 file without the extra; a .pkl
            without the video, or a video that the tracks do not fit.
    """
    path = Path(path)
    format = _format_of(path, format)
    if format == "tapvid":
        tapvid.write(path, tracks, video)
    elif format == "pointtrack":
        _write_own(path, tracks)
    else:
        with atomic_path(path) as part:
            {"dlc": deeplabcut.write, "napari": napari.write, "cvat": cvat.write}[format](part, tracks)
    return path


@reads_anywhere
def load_tracks(
    path: str | Path, *, format: str | None = None, wh: tuple[int, int] | None = None, fps: float = 30.0
) -> Tracks:
    """Read tracks that `save_tracks` wrote, or others of these formats that hold one point per track.

    Where a format has one number for both, the confidence repeats the visibility.

    Args:
        path: the file.
        format: as in `save_tracks`.
        wh: size of the video as (width, height) in pixels, where the format does not say.
        fps: frames per second, where the format does not say.

    Raises:
        FileNotFoundError: no such file.
        ValueError: an unknown suffix or format, a file that does not hold such tracks, or a size that nobody says.
    """
    path = Path(path)
    format = _format_of(path, format)
    if not path.is_file():
        suffixes = ", ".join(TRACK_FORMATS[format])
        raise FileNotFoundError(f"tracks file: expected {suffixes}, found nothing at {path}")
    readers: dict[str, Callable[..., Tracks]] = {
        "dlc": deeplabcut.read,
        "napari": napari.read,
        "cvat": cvat.read,
        "tapvid": tapvid.read,
    }
    try:
        return _read_own(path) if format == "pointtrack" else readers[format](path, wh, fps)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, EOFError, BadZipFile) as error:
        if str(error).startswith(str(path)):
            raise
        reason = f"no {error}" if isinstance(error, KeyError) else error
        whose = "saved by pointtrack" if format == "pointtrack" else f"in the format {format}"
        raise ValueError(f"{path}: expected tracks {whose}, but {reason}") from error


def parse_exports(names: str | None) -> list[str]:
    """Comma-separated names among `TRACK_EXPORTS` -> a list of them.

    Raises:
        ValueError: an unknown name, or one that needs an extra which is not installed.
    """
    chosen = [name.strip().lstrip(".") for name in (names or "").split(",") if name.strip()]
    unknown = [name for name in chosen if name not in TRACK_EXPORTS]
    if unknown:
        raise ValueError(f"export: expected some of {', '.join(TRACK_EXPORTS)}, got {names!r}")
    if "dlc-h5" in chosen:
        deeplabcut.require_h5()
    return chosen


def export_tracks(
    stem: str | Path, tracks: Tracks, names: list[str], video: Video | None = None
) -> list[Path]:
    """Write tracks to a file for each name among `TRACK_EXPORTS`; the stem is a path without suffix.

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
    if format not in TRACK_FORMATS:
        raise ValueError(f"format: expected one of {', '.join(TRACK_FORMATS)}, got {format!r}")
    if suffix not in TRACK_FORMATS[format]:
        raise ValueError(
            f"{path}: expected {' or '.join(TRACK_FORMATS[format])} for {format}, got {path.suffix!r}"
        )
    return format


def _write_own(path: Path, tracks: Tracks) -> None:
    if path.suffix.lower() == ".npz":
        write_npz(path, tracks.arrays())
        return
    if path.suffix.lower() == ".tracks":
        with TrackWriter(path) as writer:
            writer.append(tracks)
        return
    lines = native.csv_lines(tracks) if path.suffix.lower() == ".csv" else native.json_lines(tracks)
    with atomic_path(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        file.writelines(lines)


def _read_own(path: Path) -> Tracks:
    readers = {".csv": native.read_csv, ".json": native.read_json, ".tracks": read_spilled}
    return readers.get(path.suffix.lower(), _read_npz)(path)


def _read_npz(path: Path) -> Tracks:
    needed = ("xy", "visibility", "confidence", "query_frame", "query_xy", "ids", "wh")
    return Tracks.from_arrays(read_npz(path, "tracks", needed))
