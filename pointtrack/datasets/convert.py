"""Converts published sets to folders of clips, one clip at a time; a stopped conversion can be resumed."""

from __future__ import annotations

import logging
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np

from pointtrack.datasets.badja import badja_clips
from pointtrack.datasets.clip import SourceClip
from pointtrack.datasets.format import INFO, write_clip
from pointtrack.datasets.kubric import cotracker_kubric_clips, kubric_clips, movi_clips
from pointtrack.datasets.pointodyssey import odyssey_clips, replica_clips
from pointtrack.datasets.tapvid import tapvid_clips
from pointtrack.datasets.vos import davis_clips, vos_clips

logger = logging.getLogger(__name__)

Reader = Callable[[Path], Iterator[SourceClip]]

KINDS: Mapping[str, Reader] = {
    "badja": badja_clips,
    "cotracker3-kubric": cotracker_kubric_clips,
    "davis2016": lambda path: davis_clips(path, "davis2016"),
    "davis2017": lambda path: davis_clips(path, "davis2017"),
    "dynamic-replica": replica_clips,
    "kubric": kubric_clips,
    "lvos": lambda path: vos_clips(path, "lvos"),
    "mose": lambda path: vos_clips(path, "mose"),
    "movi": movi_clips,
    "pointodyssey": odyssey_clips,
    "robotap": tapvid_clips,
    "tapvid": tapvid_clips,
    "ytvos": lambda path: vos_clips(path, "ytvos"),
}


@dataclass(frozen=True)
class Conversion:
    """How to convert clips.

    Args:
        licence: terms of use to write into every clip; the published files do not hold them.
        subset: convert only this many clips, from the first.
        max_frames: convert only this many frames of each, from the first.
        points: keep at most this many points of each, drawn at random, the same ones every time.
        link: link files of frames instead of copying them.
        pictures: format for frames that are not files yet.

    Raises:
        ValueError: a number is below 1.
    """

    licence: str | None = None
    subset: int | None = None
    max_frames: int | None = None
    points: int | None = None
    link: bool = False
    pictures: Literal["png", "jpg", "mp4"] = "png"

    def __post_init__(self) -> None:
        for name in ("subset", "max_frames", "points"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name}: expected at least 1, got {value}")


def convert(
    kind: str, source: str | Path, out: str | Path, conversion: Conversion | None = None
) -> Iterator[tuple[Path, bool]]:
    """Convert a set; yields the folder of every clip, and True if it was written now, False if it existed already.

    Args:
        kind: one of `KINDS`.
        source: folder or file of the set.
        out: folder for the clips, each in a folder of its own.

    Raises:
        ValueError: an unknown kind, a set of another layout, or an `out` within the source.
        FileNotFoundError: files of the set are missing.
    """
    source, out = Path(source), Path(out)
    conversion = conversion or Conversion()
    if kind not in KINDS:
        raise ValueError(f"kind: expected one of {', '.join(KINDS)}, got {kind!r}")
    if out.resolve() == source.resolve() or source.resolve() in out.resolve().parents:
        raise ValueError(f"out: expected a folder outside {source}, got {out}")
    for clip in islice(KINDS[kind](source), conversion.subset):
        folder = out.joinpath(*safe_parts(clip.name))
        if (folder / INFO).is_file():
            yield folder, False
            continue
        generator = np.random.default_rng(zlib.crc32(clip.name.encode()))
        short = clip.first(conversion.max_frames).sampled(conversion.points, generator)
        info = replace(short.info, licence=conversion.licence or short.info.licence)
        write_clip(folder, replace(short, info=info), pictures=conversion.pictures, link=conversion.link)
        yield folder, True


def safe_parts(name: str) -> list[str]:
    """Split a clip's name into parts that are valid folder names on any system.

    >>> safe_parts("tapvid_davis/bmx: bumps")
    ['tapvid_davis', 'bmx_bumps']
    """
    parts = [re.sub(r"[^\w.=+-]+", "_", part).lstrip(".") for part in name.split("/")]
    return [part for part in parts if part] or ["clip"]
