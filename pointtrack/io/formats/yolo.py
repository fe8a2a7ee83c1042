"""Masks for training YOLO segmentation: a folder with `labels/`, `data.yaml`, and `images/` if the video is given."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from pointtrack.io.atomic import write_text
from pointtrack.io.formats.coco import category_names, picture_name, write_pictures
from pointtrack.types import Masks, Video


def write(folder: Path, masks: Masks, video: Video | None) -> None:
    """Write a .txt per frame with a line per object on it: class, then x y x y ... in 0..1 along its border.

    One line of the file is one object, so a line there and back joins its pieces. Holes are filled. Frames without
    objects get an empty file, which marks them as background.
    """
    labels, names = folder / "labels", category_names(masks)
    labels.mkdir(parents=True, exist_ok=True)
    classes = {name: i for i, name in enumerate(dict.fromkeys(names))}
    for t, frame in enumerate(masks.masks.numpy()):
        lines = []
        for place, picture in enumerate(frame):
            outline = polygon(picture)
            if len(outline):
                numbers = " ".join(f"{value:.6f}" for value in (outline / np.array(masks.wh)).ravel())
                lines.append(f"{classes[names[place]]} {numbers}\n")
        target = labels / f"{picture_name(masks.first_frame + t)}.txt"
        write_text(target, "".join(lines), durable=False)
    if video is not None:
        write_pictures(folder / "images", masks, video)
    quoted = "\n".join(f"  {i}: {json.dumps(name)}" for name, i in classes.items())
    write_text(folder / "data.yaml", f"path: .\ntrain: images\nval: images\nnames:\n{quoted}\n")


def refuse(folder: Path) -> None:
    """Raise ValueError for a folder that `write` made, or its `labels`: masks cannot be read back from it."""
    top = folder.parent if folder.name == "labels" else folder
    if (top / "data.yaml").is_file() and (top / "labels").is_dir():
        raise ValueError(
            f"{folder}: expected masks that can be read back, got labels for YOLO, which have outlines in 0..1, but neither "
            "the size of the frames nor ids; load the .npz of the same masks, or export coco or davis too"
        )


def polygon(picture: np.ndarray) -> np.ndarray:
    """(h, w) bool -> (k, 2) one border around all its pieces, in pixels from the outer corner of the image."""
    found, _ = cv2.findContours(picture.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    # The border runs through the centres of the outermost pixels.
    pieces = [piece[:, 0].astype(float) + 0.5 for piece in found]
    pieces = [piece if len(piece) > 2 else _widened(piece) for piece in pieces]
    return _joined(sorted(pieces, key=lambda piece: -cv2.contourArea(piece.astype(np.float32))))


def _widened(piece: np.ndarray) -> np.ndarray:
    """Turn a single pixel, or a line of pixels, into a thin rectangle, as a polygon needs three corners."""
    low, high = piece.min(axis=0) - 0.5, piece.max(axis=0) + 0.5
    return np.array([low, (high[0], low[1]), high, (low[0], high[1])])


def _joined(pieces: Sequence[np.ndarray]) -> np.ndarray:
    """Join closed outlines into one, with a line there and back between the nearest corners."""
    if not pieces:
        return np.zeros((0, 2))
    whole = pieces[0]
    for piece in pieces[1:]:
        distance = np.linalg.norm(whole[:, None] - piece[None], axis=-1)
        here, there = np.unravel_index(int(distance.argmin()), distance.shape)
        turned = np.roll(piece, -there, axis=0)
        whole = np.concatenate([whole[: here + 1], turned, turned[:1], whole[here:]])
    return whole
