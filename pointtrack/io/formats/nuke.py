"""Tracks as a Tracker4 node of Nuke: a .nk file to open, or to paste into a script as text."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pointtrack.io.formats.text import keyed_places, seen_places
from pointtrack.types import Tracks

FIRST = 1  # Nuke's number of a video's first frame
# Columns of the table of tracks: kind (1 number, 2 animated number, 3 name, 4 switch, 5 animated switch), width, name.
COLUMNS = (
    (5, 20, "enable"), (3, 75, "name"), (2, 58, "track_x"), (2, 58, "track_y"), (2, 63, "offset_x"),
    (2, 63, "offset_y"), (4, 27, "T"), (4, 27, "R"), (4, 27, "S"), (2, 45, "error"), (1, 0, "error_min"),
    (1, 0, "error_max"), (1, 0, "pattern_x"), (1, 0, "pattern_y"), (1, 0, "pattern_r"), (1, 0, "pattern_t"),
    (1, 0, "search_x"), (1, 0, "search_y"), (1, 0, "search_r"), (1, 0, "search_t"), (2, 0, "key_track"),
    (2, 0, "key_search_x"), (2, 0, "key_search_y"), (2, 0, "key_search_r"), (2, 0, "key_search_t"),
    (2, 0, "key_track_x"), (2, 0, "key_track_y"), (2, 0, "key_track_r"), (2, 0, "key_track_t"),
    (2, 0, "key_centre_offset_x"), (2, 0, "key_centre_offset_y"),
)  # fmt: skip
PATTERN, SEARCH = 16, 32  # pixels on each side


def lines(tracks: Tracks, first_number: int | None) -> Iterator[str]:
    """The node. x and y count from the lower left corner of the image; y goes up.

    A track has keys where its point is visible, and is switched off elsewhere. Frames that a person corrected
    become keys of the pattern (`key_track`), which Nuke shows as such.
    """
    offset = tracks.first_frame + (FIRST if first_number is None else first_number)
    keys, seen, corrected = keyed_places(tracks), seen_places(tracks), tracks.corrected().numpy()
    yield "Tracker4 {\n"
    yield f"tracks {{ {{ 1 {len(COLUMNS)} {len(tracks.ids)} }}\n{{\n"
    for kind, width, name in COLUMNS:
        label = "e" if name == "enable" else name
        yield f"{{ {kind} {int(name != 'error')} {width} {name} {label} 1 }}\n"
    yield "}\n{\n"
    for n, label in enumerate(tracks.queries.labels()):
        rows = np.flatnonzero(keys[:, n])
        x = tracks.xy[rows, n, 0].double().numpy() + 0.5
        y = tracks.wh[1] - (tracks.xy[rows, n, 1].double().numpy() + 0.5)
        changes = np.flatnonzero(np.diff(seen[:, n].astype(int), prepend=2))
        said = np.flatnonzero(corrected[:, n])
        cells = {
            "enable": _curve(changes + offset, seen[changes, n].astype(int), "K "),
            "name": f'"{_quoted(label)}"',
            "track_x": _curve(rows + offset, x),
            "track_y": _curve(rows + offset, y),
            "offset_x": "{}", "offset_y": "{}", "T": "1", "R": "0", "S": "0", "error": "{}",
            "error_min": "1", "error_max": "0",
            "pattern_x": f"{-PATTERN}", "pattern_y": f"{-PATTERN}", "pattern_r": f"{PATTERN}",
            "pattern_t": f"{PATTERN}", "search_x": f"{-SEARCH}", "search_y": f"{-SEARCH}",
            "search_r": f"{SEARCH}", "search_t": f"{SEARCH}",
            "key_track": _curve(said + offset, np.ones(len(said), int), "K ") if len(said) else "{}",
        }  # fmt: skip
        row = " ".join(cells.get(name, "{}") for _, _, name in COLUMNS)
        yield f" {{ {row} }}\n"
    yield "}\n}\nname pointtrack\nselected true\n}\n"


def _curve(frames: np.ndarray, values: np.ndarray, kind: str = "") -> str:
    """An animation curve; states the frame number after a gap. "K": constant between keys."""
    parts, last = [], None
    for frame, value in zip(frames.tolist(), values.tolist(), strict=True):
        parts.append(f"{value:.6g}" if last is not None and frame == last + 1 else f"x{frame} {value:.6g}")
        last = frame
    return f"{{curve {kind}{' '.join(parts)}}}"


def _quoted(text: str) -> str:
    """A text quoted for Tcl."""
    return "".join(f"\\{letter}" if letter in '\\"[]${}' else letter for letter in text)
