"""Folders of PNGs with an alpha channel that show the objects alone, everything else transparent."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pointtrack.io.atomic import write_bytes
from pointtrack.io.outputs import refuse_same
from pointtrack.io.soft_edges import cut_out
from pointtrack.io.video import open_video
from pointtrack.types.masks import Masks


def write(folder: Path, masks: Masks, video: Any) -> None:
    """Write a PNG for each frame that the masks have a row for: 00000.png, all objects together.

    With several objects each also has a folder of its own, object_1/00000.png. Edges are soft (`cut_out`).

    Args:
        folder: folder to write to.
        masks: row i belongs to frame `masks.first_frame + i` of the video.
        video: what `open_video` takes; it is read frame by frame.

    Raises:
        ValueError: frames of another size than the masks, fewer frames than the masks, or the folder that is being read.
    """
    last = masks.first_frame + len(masks) - 1
    with open_video(video) as stream:
        if stream.path is not None:
            refuse_same(folder, stream.path)
        t = -1
        for t, (frame, _) in enumerate(stream):
            if masks.first_frame <= t <= last:
                write_frame(folder, frame, masks, t, masks.object_ids.tolist())
            if t >= last:
                return
    raise ValueError(f"video: expected {last + 1} frames or more as the masks are for, got {t + 1}")


def write_frame(folder: Path, frame: np.ndarray, masks: Masks, t: int, ids: Sequence[int]) -> None:
    """Write the pictures of one frame, as `write` does.

    Args:
        folder: folder to write to.
        frame: (h, w, 3) uint8 RGB.
        masks: masks with a row for frame `t`.
        t: number of the frame.
        ids: ids of all objects of the whole video.
    """
    wh = frame.shape[1], frame.shape[0]
    if wh != masks.wh:
        raise ValueError(
            f"cutout-png: expected frames of {masks.wh[0]} x {masks.wh[1]} pixels as the masks are for, "
            f"got {wh[0]} x {wh[1]}"
        )
    row = masks.masks[t - masks.first_frame].numpy()
    there = dict(zip(masks.object_ids.tolist(), row, strict=True))
    nothing = np.zeros(frame.shape[:2], bool)
    together = np.logical_or.reduce(row, axis=0) if len(row) else nothing
    pictures = {folder: together}
    if len(ids) > 1:
        pictures |= {folder / f"object_{number}": there.get(number, nothing) for number in ids}
    for place, inside in pictures.items():
        cut = cv2.cvtColor(cut_out(frame, inside), cv2.COLOR_RGBA2BGRA)
        write_bytes(place / f"{t:05d}.png", cv2.imencode(".png", cut)[1].tobytes(), durable=False)
