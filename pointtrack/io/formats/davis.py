"""Masks as folders of indexed PNGs: DAVIS, and YouTube-VOS with its `meta.json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from pointtrack.io.atomic import atomic_path, write_text
from pointtrack.io.pictures import indices
from pointtrack.types.masks import Masks

# DAVIS and YouTube-VOS keep 255 for pixels that count as neither object nor background.
VOID = 255


def davis_palette() -> np.ndarray:
    """(256, 3) uint8 RGB, the colours of DAVIS and PASCAL VOC.

    Source: the devkit of PASCAL VOC: bits 0, 3, 6 of an index are the highest bits of red, 1, 4, 7 those of
    green, 2, 5 of blue, and so on downward.
    """
    index = np.arange(256)[:, None]
    channel = np.arange(3)
    palette = np.zeros((256, 3), int)
    for level in range(3):
        palette |= ((index >> (3 * level + channel)) & 1) << (7 - level)
    return palette.astype(np.uint8)


def write(folder: Path, masks: Masks) -> None:
    """Write a PNG for each frame, 00000.png, whose indices are the object ids, in the palette of DAVIS.

    Raises:
        ValueError: objects overlap, or an id lies outside 1..254.
    """
    from PIL import Image  # OpenCV cannot write indices with a palette

    ids = masks.object_ids.tolist()
    if any(not 0 < number < VOID for number in ids):
        raise ValueError(
            f"{folder}: expected object ids in 1..{VOID - 1} for indexed PNGs, got {ids}; renumber with "
            "dataclasses.replace(masks, object_ids=...) or save as coco or npz"
        )
    values = np.array([0, *ids], np.uint8)
    labels = masks.labels().numpy()
    folder.mkdir(parents=True, exist_ok=True)
    palette = davis_palette().tobytes()
    for t, picture in enumerate(labels):
        image = Image.fromarray(values[picture])
        image.putpalette(palette)  # makes it mode P
        with atomic_path(folder / f"{masks.first_frame + t:05d}.png", durable=False) as part:
            image.save(part, optimize=False)


def read(folder: Path, fps: float) -> Masks:
    """Read what `write` wrote, or the only video in `Annotations`; names come from the `meta.json` of YouTube-VOS.

    Raises:
        FileNotFoundError: no PNGs named by frame.
        ValueError: a frame is missing, the pictures differ in size or hold colours, or there are several videos.
    """
    if (folder / "Annotations").is_dir():
        videos = sorted(path for path in (folder / "Annotations").iterdir() if path.is_dir())
        if len(videos) != 1:
            raise ValueError(
                f"{folder}: expected one video in Annotations, got {len(videos)}: "
                f"{', '.join(path.name for path in videos[:5])}; give the folder of one of them"
            )
        folder = videos[0]
    paths = {int(path.stem): path for path in folder.glob("*.png") if path.stem.isdecimal()}
    if not paths:
        raise FileNotFoundError(f"{folder}: expected indexed PNGs named by frame, as 00000.png; found none")
    first = min(paths)
    missing = sorted(set(range(first, max(paths) + 1)) - set(paths))
    if missing:
        raise ValueError(
            f"{folder}: expected a picture for every frame from {paths[first].name} on, "
            f"got none for frame {missing[0]}"
        )
    pictures = []
    for number in sorted(paths):
        with indices(paths[number]) as image:
            if image.mode not in ("P", "L", "1"):
                raise ValueError(
                    f"{paths[number]}: expected indices (a palette or 8-bit grey), got mode {image.mode}"
                )
            pictures.append(np.asarray(image.convert("L") if image.mode == "1" else image))
        if pictures[-1].shape != pictures[0].shape:
            raise ValueError(
                f"{paths[number]}: expected {pictures[0].shape[::-1]} pixels, got {pictures[-1].shape[::-1]}"
            )
    labels = np.stack(pictures)
    described = _described(folder)
    values = {int(value) for picture in labels for value in np.unique(picture)} | set(described)
    if values <= {0, VOID}:
        labels, values = labels // VOID, {value // VOID for value in values}
    ids = sorted(values - {0, VOID})
    names = [described.get(number, "") for number in ids]
    return Masks.from_labels(
        labels, object_ids=ids, first_frame=first, fps=fps, names=names if any(names) else ()
    )


def _described(folder: Path) -> dict[int, str]:
    """Names by object id, from the YouTube-VOS `meta.json` that belongs to a folder of PNGs."""
    meta = folder.parent.parent / "meta.json"
    if folder.parent.name != "Annotations" or not meta.is_file():
        return {}
    objects = json.loads(meta.read_text(encoding="utf-8")).get("videos", {}).get(folder.name, {})
    return {int(number): entry.get("category", "") for number, entry in objects.get("objects", {}).items()}


def update_meta(path: Path, masks: Masks, video_name: str) -> None:
    """Add the frames on which each object is present to the `meta.json` of YouTube-VOS."""
    meta: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    video = meta.setdefault("videos", {}).setdefault(video_name, {"objects": {}})
    numbers = [f"{masks.first_frame + t:05d}" for t in range(len(masks))]
    for entry in video["objects"].values():
        entry["frames"] = [number for number in entry["frames"] if number not in set(numbers)]
    present = masks.present().numpy()
    for place, number in enumerate(masks.object_ids.tolist()):
        entry = video["objects"].setdefault(str(number), {"category": "", "frames": []})
        entry["category"] = (masks.names[place] if masks.names else "") or entry["category"]
        seen = {numbers[row] for row in np.flatnonzero(present[:, place])}
        entry["frames"] = sorted({*entry["frames"], *seen})
    write_text(path, json.dumps(meta, indent=1))
