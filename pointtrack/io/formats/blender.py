"""Tracks for Blender's motion tracking: a script that creates them in the loaded clip."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np

from pointtrack.io.formats.text import known_places, seen_places
from pointtrack.types import Tracks

FIRST = 1  # Blender's number of a clip's first frame

SCRIPT = '''"""Tracks from pointtrack. In Blender: load the video as a movie clip, then run this in the text editor.

From a shell: blender --background --python THIS_FILE -- VIDEO OUT.blend
"""

import sys

import bpy

TRACKS = [
{tracks}]


def find_clip():
    given = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []
    if given:
        return bpy.data.movieclips.load(given[0]), given[1:]
    if not bpy.data.movieclips:
        raise RuntimeError("load the video as a movie clip first")
    return bpy.data.movieclips[0], []


def add_tracks(clip):
    for name, keys in TRACKS:
        track = clip.tracking.tracks.new(name=name, frame=keys[0][0])
        for frame, x, y, muted in keys:
            marker = track.markers.insert_frame(frame, co=(x, y))
            marker.mute = bool(muted)


if __name__ == "__main__":
    clip, save_to = find_clip()
    add_tracks(clip)
    if save_to:
        bpy.ops.wm.save_as_mainfile(filepath=save_to[0])
'''


def lines(tracks: Tracks, first_number: int | None) -> Iterator[str]:
    """The script. Positions are 0..1 from outer edge to outer edge; y goes up.

    It sets a marker on every frame on which a point is visible. Where the point becomes hidden, a muted marker ends
    that piece of the track, as Blender expects.
    """
    offset = tracks.first_frame + (FIRST if first_number is None else first_number)
    seen, known = seen_places(tracks), known_places(tracks)
    head, tail = SCRIPT.split("{tracks}")
    yield head
    for n, label in enumerate(tracks.queries.labels()):
        keys, last = [], None
        for row in range(len(tracks)):
            x, y = ((tracks.xy[row, n].double().numpy() + 0.5) / np.array(tracks.wh)).tolist()
            if seen[row, n]:
                last = [round(x, 9), round(1 - y, 9)]
                keys.append([row + offset, *last, 0])
            elif last is not None and keys and not keys[-1][3]:
                here = [round(x, 9), round(1 - y, 9)] if known[row, n] else last
                keys.append([row + offset, *here, 1])
        if keys:
            yield f"    [{json.dumps(label)}, {json.dumps(keys)}],\n"
    yield tail
