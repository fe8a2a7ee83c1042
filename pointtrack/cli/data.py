"""The commands `pointtrack data convert` and `pointtrack data check`: sets of clips with known tracks and masks."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from tqdm import tqdm

from pointtrack.checks import counted
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
    """Convert a published data set to clips as in docs/train/data-format.md, one folder each. Keeps existing clips.

    Args:
        kind: badja, cotracker3-kubric, davis2016, davis2017, dynamic-replica, kubric, lvos, mose, movi,
            pointodyssey, robotap, tapvid or ytvos.
        source: folder or file of the unpacked data set.
        out: folder for the clips.
        licence: terms of use to write into every clip; the published files do not hold them.
        subset: convert only this many clips, from the first on.
        max_frames: take only this many frames of each clip, from the first on.
        points: keep at most this many points of each clip, drawn at random, the same ones every time.
        link: link pictures instead of copying them; the source must stay where it is.
        pictures: format of frames that are not files yet: png, jpg, or mp4.

    Raises:
        ValueError: the kind is unknown, or the data set has another layout. FileNotFoundError: files of it are missing.
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
    """Check clips and print what is wrong with each. The exit code is 1 if there are errors, 0 if there are only warnings.

    Args:
        folder: a clip, or a folder with clips in it.
        quiet: print errors only.

    Raises:
        FileNotFoundError: there is no clip.
    """
    clips = list_clips(folder)
    errors = warnings = 0
    for path in tqdm(clips, desc="check", unit="clip", disable=None, leave=False):
        for finding in check_clip(path):
            errors += finding.level == "error"
            warnings += finding.level == "warning"
            if finding.level == "error" or not quiet:
                print(f"{path}: {finding}")
    print(
        f"checked   {counted(len(clips), 'clip')}: {counted(errors, 'error')}, {counted(warnings, 'warning')}"
    )
    return 1 if errors else 0
