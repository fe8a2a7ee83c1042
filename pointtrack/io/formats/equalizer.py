"""Tracks as 2D points of 3DEqualizer: a .txt file for "Import 2D Tracks"."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pointtrack.io.formats.text import keyed_places
from pointtrack.types import Tracks

FIRST = 1  # 3DEqualizer's number of a video's first frame
COLOR = 0  # 3DEqualizer's index for red


def lines(tracks: Tracks, first_number: int | None) -> Iterator[str]:
    """The number of points; for each its name, a colour, the number of frames with keys, and "frame x y" for each key.

    Pixels count from the lower left corner of the image; y goes up.
    """
    offset = tracks.first_frame + (FIRST if first_number is None else first_number)
    keys = keyed_places(tracks)
    yield f"{len(tracks.ids)}\n"
    for n, label in enumerate(tracks.queries.labels()):
        rows = np.flatnonzero(keys[:, n]).tolist()
        yield f"{' '.join(label.split())}\n{COLOR}\n{len(rows)}\n"
        for row in rows:
            x, y = (value + 0.5 for value in tracks.xy[row, n].tolist())
            yield f"{row + offset} {x:.9f} {tracks.wh[1] - y:.9f}\n"
