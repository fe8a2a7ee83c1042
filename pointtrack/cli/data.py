"""The commands `pointtrack data convert` and `pointtrack data check`: sets of clips with known tracks and masks."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from tqdm import tqdm

from pointtrack.datasets.convert import KINDS, Conversion, convert
from pointtrack.datasets.format import list_clips
from pointtrack.datasets.validate import check_clip


def convert_data(
    kind: str,
    source: Path,
    out: Path,
    licence: str | None = None,
    subset: int | None = None,
    max_frames: int | None = None,
    points: int | None = None,
    link: bool = False,
    pictures: Literal["png", "jpg", "mp4"] = "png",
) -> None:
    """Write a published set as clips of docs/train/data-format.md, a folder each. Clips that are there already are kept.

    Args:
        kind: badja, cotracker3-kubric, davis2016, davis2017, dynamic-replica, kubric, lvos, mose, movi,
            pointodyssey, robotap, tapvid or ytvos.
        source: folder or file of the set as it is unpacked.
        out: folder for the clips.
        licence: terms of use to write into every clip; the published files do not hold them.
        subset: only the first so many clips.
        max_frames: only the first so many frames of each clip.
        points: at most so many points of each clip, drawn at random, the same ones every time.
        link: link pictures in place of copying them; the source must stay where it is.
        pictures: how frames that are no files yet are written: png, jpg, or mp4.

    Raises:
        ValueError: an unknown kind, or a set of another layout. FileNotFoundError: files of it are missing.
    """
    if kind not in KINDS:
        raise ValueError(f"kind: expected one of {', '.join(KINDS)}, got {kind!r}")
    conversion = Conversion(licence, subset, max_frames, points, link, pictures)
    written = kept = 0
    with tqdm(desc=kind, unit="clip", disable=None, leave=False) as bar:
        for _, new in convert(kind, source, out, conversion):
            written, kept = written + new, kept + (not new)
            bar.update()
    print(f"clips     {written} written to {out}" + (f", {kept} were there already" if kept else ""))
    print(f"next      pointtrack data check {out}")


def check_data(folder: Path, quiet: bool = False) -> int:
    """Check clips and say what is wrong with each. The exit code is 1 if there are errors, 0 with warnings alone.

    Args:
        folder: a clip, or a folder with clips in it.
        quiet: errors only.

    Raises:
        FileNotFoundError: no clip there.
    """
    clips = list_clips(folder)
    errors = warnings = 0
    for path in tqdm(clips, desc="check", unit="clip", disable=None, leave=False):
        for finding in check_clip(path):
            errors += finding.level == "error"
            warnings += finding.level == "warning"
            if finding.level == "error" or not quiet:
                print(f"{path}: {finding}")
    print(f"checked   {len(clips)} clips: {errors} errors, {warnings} warnings")
    return 1 if errors else 0
