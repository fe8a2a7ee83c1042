"""Tracks as the JSON text that ComfyUI's track nodes take: a list per point of {"x", "y"} for every frame."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np

from pointtrack.types import Tracks


def lines(tracks: Tracks, first_number: int | None) -> Iterator[str]:
    """Pixels from the upper left; y goes down. The nodes need a position on every frame: where a point is not tracked,
    it gets the nearest one in time. Names, visibility and frame numbers are left out; `first_number` is not used."""
    xy, known = tracks.xy.double().numpy(), tracks.tracked().numpy()
    yield "["
    begun = False
    for n in range(len(tracks.ids)):
        rows = np.flatnonzero(known[:, n])
        if not len(rows):
            continue
        nearest = rows[np.abs(np.arange(len(tracks))[:, None] - rows).argmin(axis=1)]
        places = [{"x": round(x, 3), "y": round(y, 3)} for x, y in xy[nearest, n].tolist()]
        yield (",\n" if begun else "") + json.dumps(places)
        begun = True
    yield "]\n"
