"""The edited video of `pointtrack segment`: objects or their background blurred, pixelated, or replaced."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import Tensor

from pointtrack.checks import counted, ranges
from pointtrack.cli.report import print_video
from pointtrack.io.sound import copy_sound
from pointtrack.io.video import VideoStream, write_video
from pointtrack.types import Masks, Video
from pointtrack.viz.edit import Editor
from pointtrack.viz.styles import EditStyle


def edited_path(target: Path) -> Path:
    """The edited video beside the drawn one: dog_masks.mp4 -> dog_edited.mp4."""
    return target.with_name(f"{target.stem.removesuffix('_masks')}_edited{target.suffix}")


def write_edited(
    target: Path, video: Video, masks: Masks, style: EditStyle, source: str, *, sound: bool = True
) -> None:
    """Edit a video and write it frame by frame, with the sound of the file `source`; print where it is.

    Args:
        target: the file to write.
        video: the frames that the masks have rows for.
        masks: the masks.
        style: what to do.
        source: the video that the command reads.
        sound: False leaves out the sound.
    """
    editor, placed = Editor(style, video.wh, video.pixel_aspect), replace(masks, first_frame=0)

    def edited() -> Iterator[tuple[np.ndarray, float]]:
        for t, (frame, seconds) in enumerate(zip(video.frames, video.times.tolist(), strict=True)):
            yield editor.edited(frame, placed, t), seconds

    stream = VideoStream(edited(), video.fps, len(video), source, pixel_aspect=video.pixel_aspect)
    write_video(target, stream)
    print_video(target, sound and copy_sound(source, target, float(video.times[0])), "edited")


def check_hidden(style: EditStyle, ids: Iterable[int]) -> None:
    """Raise ValueError if an object to edit does not exist."""
    known = sorted(ids)
    for number in style.effects():
        if number is not None and number not in known:
            raise ValueError(
                f"objects: expected numbers of objects, {', '.join(map(str, known))}, got {number} in {style.objects!r}"
            )


def print_unhidden(style: EditStyle, missing: Mapping[int, list[int]]) -> None:
    """Print on which frames objects that are to be hidden have no mask, as nothing is hidden there.

    Args:
        style: what to do.
        missing: object id -> numbers of the frames without a mask, increasing.
    """
    for number in style.hidden(missing):
        if frames := missing[number]:
            print(
                f"look at   object {number} has no mask on {counted(len(frames), 'frame')}, so nothing is hidden there: "
                f"{ranges(frames)}"
            )


def missing_frames(there: Tensor, first: int) -> list[int]:
    """Numbers of the frames on which (t,) bool is False, counted from `first`."""
    return (np.flatnonzero(~there.numpy()) + first).tolist()
