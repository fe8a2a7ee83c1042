"""Sets of object masks: DAVIS 2016 and 2017, YouTube-VOS and sets with the same layout (MOSE, LVOS)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pointtrack.datasets.clip import VOID, ClipInfo, SourceClip
from pointtrack.datasets.folders import folders_in, pictures_in
from pointtrack.io.outside import plain_name, read_json

DAVIS_FPS = 24.0
# Every fifth frame of 30 per second.
YTVOS_FPS = 6.0
VOS_FPS = {"ytvos": YTVOS_FPS, "lvos": 6.0}
LISTS = {
    "davis2016": ("ImageSets/480p/val.txt", "ImageSets/2016/val.txt"),
    "davis2017": ("ImageSets/2017/val.txt",),
}


def davis_clips(folder: str | Path, kind: str = "davis2017") -> Iterator[SourceClip]:
    """Yield the sequences of an unpacked DAVIS at 480p.

    Args:
        folder: the folder with JPEGImages, Annotations and ImageSets, whose val.txt is read; or another list
            of sequences in its ImageSets.
        kind: "davis2016": everything drawn is one object. "davis2017": pixel values are object ids, as many
            as on the first frame; 255 is void.

    Raises:
        FileNotFoundError: a list, or a sequence of it, is missing.
    """
    folder = Path(folder)
    lists = [folder] if folder.suffix == ".txt" else [folder / path for path in LISTS[kind]]
    found = next((path for path in lists if path.is_file()), None)
    if found is None:
        raise FileNotFoundError(
            f"{kind}: expected a list of sequences at {' or '.join(map(str, lists))}, found none"
        )
    root = found.parents[2]
    for sequence in _listed(found):
        plain_name(sequence, f"{found}")
        frames, masks = (root / part / "480p" / sequence for part in ("JPEGImages", "Annotations"))
        yield davis_clip(f"{kind}/{sequence}", frames, masks, merged=kind == "davis2016")


def davis_clip(name: str, frames: Path, masks: Path, merged: bool) -> SourceClip:
    """One sequence of DAVIS, from its two folders of pictures.

    Raises:
        FileNotFoundError: a folder is missing, or has no pictures.
    """
    source = _source(name, frames, masks, ClipInfo(fps=DAVIS_FPS, source=f"DAVIS layout, {name}"), merged)
    labels = source.label_picture(min(source.masks))
    most = int(np.where(labels == VOID, 0, labels).max())
    return replace(source, info=replace(source.info, objects=dict.fromkeys(range(1, most + 1), "")))


def vos_clips(folder: str | Path, kind: str = "ytvos") -> Iterator[SourceClip]:
    """Yield the videos of YouTube-VOS, MOSE, LVOS: JPEGImages/<video>, Annotations/<video>, meta.json if any.

    Objects may appear later than on the first frame. If masks exist for first appearances only, as in the
    sets named valid, the clip says so.

    Raises:
        FileNotFoundError: a folder is missing. ValueError: the meta.json has another layout.
    """
    folder = Path(folder)
    videos = _videos_of(folder / "meta.json")
    for masks in folders_in(folder / "Annotations"):
        name = f"{kind}/{masks.name}"
        info = ClipInfo(fps=VOS_FPS.get(kind, 30.0), source=f"YouTube-VOS layout, {name}")
        source = _source(name, folder / "JPEGImages" / masks.name, masks, info, merged=False)
        stems = [path.stem for path in source.frames if isinstance(path, Path)]
        known = {stems[number] for number in source.masks}
        objects = videos.get(masks.name)
        if objects is None:
            complete = len(known) > 1 or len(stems) == 1
            values = {int(value) for i in source.masks for value in np.unique(source.label_picture(i))}
            names = dict.fromkeys(sorted(values - {0, VOID}), "")
        else:
            wanted = {stem for entry in objects.values() for stem in entry.get("frames", stems)}
            complete = wanted <= known
            names = {int(number): entry.get("category", "") for number, entry in objects.items()}
        yield replace(source, info=replace(info, objects=names, first_masks_only=not complete))


def _source(name: str, frames: Path, masks: Path, info: ClipInfo, merged: bool) -> SourceClip:
    pictures = pictures_in(frames)
    known = {
        number: masks / f"{path.stem}.png"
        for number, path in enumerate(pictures)
        if (masks / f"{path.stem}.png").is_file()
    }
    if not known:
        raise FileNotFoundError(f"{name}: expected masks in {masks} named as the frames, found none")
    return SourceClip(name, pictures, info, masks=known, merged=merged)


def _listed(path: Path) -> list[str]:
    """Names of the sequences: one per line, or from DAVIS-2016's lines with the paths of each picture."""
    lines = [line.split()[0] for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return list(dict.fromkeys(Path(line).parent.name if "/" in line else line for line in lines))


def _videos_of(path: Path) -> dict[str, Any]:
    """Video -> object id -> entry of a meta.json; empty if there is no such file."""
    if not path.is_file():
        return {}
    content = read_json(path, "videos with their objects, as in YouTube-VOS")
    try:
        videos = content["videos"]
        return {name: dict(video["objects"]) for name, video in videos.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path}: expected videos with their objects, as in YouTube-VOS, got {repr(error)[:300]}"
        ) from error
