"""Track sessions as files: one .npz with all fixes and their history, and the tracked frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pointtrack.io.outside import reading
from pointtrack.sessions.files import TRACK_FORMAT, read_session_npz, write_session_npz
from pointtrack.sessions.fixes import Fix, FixedPoint, spans_of
from pointtrack.sessions.history import History
from pointtrack.sessions.point_walks import Part, PointWalk, Span
from pointtrack.types import Video

# Frames of tracks of other steps than the present one in a file, over all points; they take some 16 MB, and a session is
# saved often.
MOST_EARLIER = 1_000_000


@dataclass
class TrackSessionContent:
    """The content of a track session.

    Attributes:
        history: of the fixes.
        parts: tracks of whole spans.
        walks: unfinished walks.
        names: id -> name of points that have one.
    """

    history: History[tuple[FixedPoint, ...]]
    parts: dict[Span, Part]
    walks: list[PointWalk]
    names: dict[int, str]


def parts_to_save(
    history: History[tuple[FixedPoint, ...]], parts: Mapping[Span, Part], length: int
) -> dict[Span, Part]:
    """The known parts of the present step of a history, and of the steps nearest to it, up to `MOST_EARLIER` frames.

    Args:
        history: of the points.
        parts: all known ones.
        length: frames of the video.
    """
    kept: dict[Span, Part] = {}
    seen: set[int] = set()  # states share the points that did not change
    earlier = 0
    for place, state in enumerate(history.nearest_first()):
        points = [point for point in state if id(point) not in seen]
        spans = [span for point in points for span in spans_of(point, length)]
        new = {span: parts[span] for span in spans if span in parts and span not in kept}
        if place:
            earlier += sum(len(span.frames) for span in new)
            if earlier > MOST_EARLIER:
                break
        seen.update(map(id, points))
        kept |= new
    return kept


def write_track_session(path: str | Path, video: Video, content: TrackSessionContent) -> Path:
    """Write a session; the suffix .npz is added if missing. The file is never half written."""
    parts = [*content.parts.values(), *(walk.part(span) for walk in content.walks for span in walk.spans)]
    entries = {
        "format": TRACK_FORMAT,
        "video": video.fingerprint(),
        "now": content.history.now,
        "states": [
            [{"id": p.id, "fixes": [[f.frame, *f.xy, f.serial, f.group] for f in p.fixes]} for p in state]
            for state in content.history.states
        ],
        "names": [[point, name] for point, name in content.names.items()],
        "spans": [_span_row(span) for span in content.parts],
        "walks": [
            {
                "spans": [_span_row(span) for span in walk.spans],
                "xy": walk.xy.tolist(),
                "frames": [walk.frames.start, walk.frames.stop, walk.frames.step],
                "together": walk.together,
                "done": walk.known,
            }
            for walk in content.walks
        ],
    }
    arrays = {
        "xy": torch.cat([torch.zeros(0, 2), *(part.xy for part in parts)]).numpy(),
        "visibility": torch.cat([torch.zeros(0), *(part.visibility for part in parts)]).numpy(),
        "confidence": torch.cat([torch.zeros(0), *(part.confidence for part in parts)]).numpy(),
    }
    return write_session_npz(path, entries, arrays)


def read_track_session(path: str | Path, video: Video) -> TrackSessionContent:
    """Read the content that `write_track_session` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file holds no such session, or one of another video.
    """
    names = ("xy", "visibility", "confidence")
    entries, arrays = read_session_npz(
        path, "a track session", names, format=TRACK_FORMAT, video=video.fingerprint()
    )
    with reading(path, "a track session saved by pointtrack"):
        return _rebuilt(entries, arrays)


def _rebuilt(entries: dict[str, Any], arrays: dict[str, np.ndarray]) -> TrackSessionContent:
    """Rebuild the content; ValueError, KeyError or TypeError if it is impossible."""
    known: dict[FixedPoint, FixedPoint] = {}  # states share the points that did not change

    def point_of(row: Mapping[str, Any]) -> FixedPoint:
        fixes = tuple(Fix(f, (x, y), serial, group) for f, x, y, serial, group in row["fixes"])
        point = FixedPoint(row["id"], fixes)
        return known.setdefault(point, point)

    states = [tuple(map(point_of, state)) for state in entries["states"]]
    spans = [_read_span(row) for row in entries["spans"]]
    lengths = [len(span.frames) for span in spans]
    lengths += [row["done"] for row in entries["walks"] for _ in row["spans"]]
    columns = [torch.from_numpy(array).split(lengths) if lengths else () for array in arrays.values()]
    pieces = [Part(*values) for values in zip(*columns, strict=True)]
    return TrackSessionContent(
        History(states, entries["now"]),
        dict(zip(spans, pieces, strict=False)),
        list(_read_walks(entries["walks"], iter(pieces[len(spans) :]))),
        dict(entries.get("names", ())),
    )


def _span_row(span: Span) -> list[Any]:
    return [span.point, span.left, span.right, span.frames.start, span.frames.stop]


def _read_span(row: Sequence[Any]) -> Span:
    point, left, right, start, stop = row
    return Span(point, left, right, range(start, stop))


def _read_walks(rows: Iterable[dict[str, Any]], parts: Iterator[Part]) -> Iterator[PointWalk]:
    for row in rows:
        spans = tuple(_read_span(span) for span in row["spans"])
        own = [next(parts) for _ in spans]
        found = (
            torch.stack([part.xy for part in own], dim=1),
            torch.stack([part.visibility for part in own], dim=1),
            torch.stack([part.confidence for part in own], dim=1),
        )
        yield PointWalk(spans, torch.tensor(row["xy"]), range(*row["frames"]), row["together"], [found])
