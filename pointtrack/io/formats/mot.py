"""MOTChallenge results: a line per box: frame, id, left, top, width, height, confidence, x, y, z; counted from 1."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pointtrack.io.formats.text import seen_places, size_needed, tracks_of
from pointtrack.io.outside import check_memory
from pointtrack.types import Masks, Tracks

SIDE = 1.0  # pixels: side of a point's box


def mask_lines(masks: Masks) -> Iterator[str]:
    """A line for each object on each frame it is present on: the box around its pixels, and its score."""
    ids = masks.object_ids.tolist()
    for t, frame in enumerate(masks.masks.numpy()):
        for place, picture in enumerate(frame):
            rows, columns = np.flatnonzero(picture.any(axis=1)), np.flatnonzero(picture.any(axis=0))
            if len(rows):
                box = columns[0] + 1, rows[0] + 1, columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1
                numbers = ",".join(str(int(value)) for value in box)
                score = float(masks.scores[t, place])
                yield f"{masks.first_frame + t + 1},{ids[place]},{numbers},{score:.6g},-1,-1,-1\n"


def track_lines(tracks: Tracks) -> Iterator[str]:
    """A line for each point on each frame it is visible on: a box of one pixel around it; visibility as confidence."""
    shown = seen_places(tracks)
    ids = tracks.ids.tolist()
    for t in range(len(tracks)):
        xy, visibility = tracks.xy[t].tolist(), tracks.visibility[t].tolist()
        for n in np.flatnonzero(shown[t]).tolist():
            # In MOTChallenge the first pixel reaches from 1 to 2, so its centre is at 1.5.
            left, top = (value + 1.5 - SIDE / 2 for value in xy[n])
            yield (
                f"{tracks.first_frame + t + 1},{ids[n]},{left:.6g},{top:.6g},{SIDE:g},{SIDE:g},"
                f"{visibility[n]:.6g},-1,-1,-1\n"
            )


def read(path: Path, wh: tuple[int, int] | None, fps: float) -> Tracks:
    """Read the centres of the boxes as points; a point is not tracked on frames without a line."""
    table = np.loadtxt(path, delimiter=",", ndmin=2)
    if table.shape[1] < 7 or not len(table):
        raise ValueError(f"it holds a table of {table.shape}, not lines frame,id,left,top,width,height,conf")
    if not (np.abs(table[:, :2]) < 2**53).all():
        raise ValueError("a frame or id is no whole number")
    frame, ids = table[:, 0].astype(int) - 1, table[:, 1].astype(int)
    points, place = np.unique(ids, return_inverse=True)
    first = int(frame.min())
    check_memory(80 * (int(frame.max()) - first + 1) * len(points), "tracks")
    xy = np.full((int(frame.max()) - first + 1, len(points), 2), np.nan)
    seen = np.zeros(xy.shape[:2])
    xy[frame - first, place] = table[:, 2:4] + table[:, 4:6] / 2 - 1.5
    seen[frame - first, place] = table[:, 6]
    return tracks_of(xy, seen, seen, ids=points.tolist(), wh=size_needed(wh), fps=fps, first_frame=first)
