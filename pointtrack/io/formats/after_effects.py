"""Tracks as keyframes of After Effects: a text to copy and paste onto a layer."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pointtrack.io.formats.text import keyed_places
from pointtrack.types import Tracks

FIRST = 0  # After Effects' number of a video's first frame


def lines(tracks: Tracks, first_number: int | None) -> Iterator[str]:
    """Write one point as the layer's position; several as one "Point Control" effect each, in the order of the points.

    Keys stand where a point is visible. y goes down; pixels count from the outer corner of the image. The format
    holds no names, so the effects are numbered.
    """
    offset = tracks.first_frame + (FIRST if first_number is None else first_number)
    yield "Adobe After Effects 8.0 Keyframe Data\n\n"
    for name, value in (
        ("Units Per Second", f"{tracks.fps:.6g}"),
        ("Source Width", tracks.wh[0]),
        ("Source Height", tracks.wh[1]),
        ("Source Pixel Aspect Ratio", 1),
        ("Comp Pixel Aspect Ratio", 1),
    ):
        yield f"\t{name}\t{value}\n"
    keys, alone = keyed_places(tracks), len(tracks.ids) == 1
    for n in range(len(tracks.ids)):
        if alone:
            yield "\nTransform\tPosition\n\tFrame\tX pixels\tY pixels\tZ pixels\t\n"
        else:
            yield f"\nEffects\tPoint Control #{n + 1}\tPoint #2\n\tFrame\tX pixels\tY pixels\t\n"
        for row in np.flatnonzero(keys[:, n]).tolist():
            x, y = (value + 0.5 for value in tracks.xy[row, n].tolist())
            yield f"\t{row + offset}\t{x:.6g}\t{y:.6g}\t" + ("0\t\n" if alone else "\n")
    yield "\nEnd of Keyframe Data\n"
