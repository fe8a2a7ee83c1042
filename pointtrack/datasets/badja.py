"""BADJA: joints of animals, annotated by people on some frames of DAVIS sequences and other videos."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pointtrack.datasets.clip import ClipInfo, SourceClip, TrueTracks
from pointtrack.datasets.folders import pictures_in
from pointtrack.io.outside import inside, read_json

logger = logging.getLogger(__name__)

FPS = 24.0
LEFT_OUT = ("cat_jump", "tiger")  # no published figure counts them
ANIMAL = 1


def badja_clips(folder: str | Path) -> Iterator[SourceClip]:
    """Yield the sequences of BADJA.

    The folder has joint_annotations/<animal>.json, a list of {image_path, segmentation_path, joints as (y, x),
    visibility}, and the pictures these paths lead to. Every picture beside an image_path becomes a frame. A
    joint is known only on frames where it is marked as visible. All joints belong to object 1, whose mask is
    known on the annotated frames, so that PCK-T can be measured.

    Raises:
        FileNotFoundError: annotations or pictures are missing. ValueError: the annotations have another layout.

    Source: BADJA (Biggs et al., 2018).
    """
    root = Path(folder)
    paths = sorted((root / "joint_annotations").glob("*.json"))
    if not paths:
        raise FileNotFoundError(f"BADJA: expected joint_annotations/<animal>.json in {root}, found none")
    for path in paths:
        if path.stem in LEFT_OUT:
            logger.info("BADJA: %s is left out, as in all published figures", path.stem)
            continue
        yield _sequence(root, path)


def _sequence(root: Path, path: Path) -> SourceClip:
    rows: list[dict[str, Any]] = read_json(path, "a list of frames")
    try:
        images = [Path(row["image_path"]) for row in rows]
        outlines = [row.get("segmentation_path") for row in rows]
        if not images:
            raise ValueError("no frames")
        joints = np.array([row["joints"] for row in rows], float)
        visible = np.array([row["visibility"] for row in rows]).astype(bool)
        if joints.shape != (*visible.shape, 2):
            raise ValueError(f"joints {joints.shape} and visibility {visible.shape}")
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
        raise ValueError(
            f"{path}: expected a list of frames with image_path, joints (n, 2), visibility (n,), got {repr(error)[:300]}"
        ) from error
    frames = pictures_in(inside(root, str(images[0].parent), f"{path}: image_path"))
    numbers = {picture.name: number for number, picture in enumerate(frames)}
    lacks = [str(image) for image in images if image.name not in numbers]
    if lacks:
        lacking = inside(root, lacks[0], f"{path}: image_path")
        raise FileNotFoundError(f"{path}: expected the picture {lacking}, found none")
    rows_of = [numbers[image.name] for image in images]
    t, n = len(frames), joints.shape[1]
    xy, seen = np.full((t, n, 2), np.nan), np.zeros((t, n), bool)
    xy[rows_of] = joints[..., ::-1]
    seen[rows_of] = visible & np.isfinite(joints).all(axis=-1)
    masks = {
        number: inside(root, str(outline), f"{path}: segmentation_path")
        for number, outline in zip(rows_of, outlines, strict=True)
        if outline and (root / outline).is_file()
    }
    info = ClipInfo(
        fps=FPS,
        source=f"BADJA layout, {path.stem}",
        visibility_known=False,
        objects={ANIMAL: path.stem},
    )
    known = torch.from_numpy(seen)
    tracks = TrueTracks(torch.from_numpy(xy), known, known, object_ids=torch.full((n,), ANIMAL))
    return SourceClip(path.stem, frames, info, tracks, masks, merged=True)
