"""Resumes killed runs exactly: every so often, a run writes the whole state of its stream to a file."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pointtrack.io.same_run import NONE, check_same_run
from pointtrack.io.state_file import read_state, write_state
from pointtrack.io.track_log import TrackWriter
from pointtrack.models.about import about_network
from pointtrack.models.point_tracker import PointTracker
from pointtrack.pipeline.options import TrackOptions
from pointtrack.tracking.stream import PointStream, saved
from pointtrack.types import Queries

STATE_SECONDS = 30.0  # between two states; a resumed run tracks again what came after the last one


def state_path(path: str | Path) -> Path:
    """The file with the state of a run that writes its tracks to `path`."""
    return Path(f"{path}.state")


def frames_done(path: str | Path) -> int:
    """Number of frames that a killed run at `path` has done, forward and backward; 0 if there was no such run."""
    place = state_path(path)
    if not place.exists():
        return 0
    state = read_state(place)
    ahead = state["total"] if state["phase"] != "ahead" else 0
    return int(ahead + (state.get("frames") or 0))


class Resume:
    """The state of a run beside its file.

    Args:
        path: the file of the tracks.

    Attributes:
        about: settings that must be the same to resume.
    """

    def __init__(self, path: str | Path, about: Mapping[str, str]):
        self._place, self.about = state_path(path), dict(about)
        self._writer: TrackWriter | None = None
        self._notes: dict[str, Any] = {}
        self._saved, self._rows = 0.0, 0  # when, and how many rows there were

    def load(self) -> dict[str, Any] | None:
        """The last saved state: "phase", "frames", "stream" and more; None if there is none.

        Raises:
            ValueError: it is of another run.
        """
        if not self._place.exists():
            return None
        state = read_state(self._place)
        check_same_run(state["about"], self.about, self._place.with_suffix(""))
        return state

    def begin(self) -> None:
        """Start a new run: delete the old state, so that nothing continues from it."""
        self._place.unlink(missing_ok=True)

    def watch(self, writer: TrackWriter, **notes: Any) -> None:
        """Set the writer that gets the tracks from now on, and notes to save with each state."""
        self._writer, self._notes, self._saved = writer, notes, time.monotonic()
        self._rows = writer.next_frame or 0

    def save_if_due(self, stream: PointStream) -> None:
        """Save the stream's whole state, if the last save was long enough ago and there are new rows."""
        rows = 0 if self._writer is None else self._writer.next_frame or 0
        known, self._rows = self._rows, rows
        if rows == known or time.monotonic() - self._saved < STATE_SECONDS:
            return
        self.save(**self._notes, frames=rows, stream=saved(stream))
        self._saved = time.monotonic()

    def save(self, **notes: Any) -> None:
        """Replace the state in one step, so that the file is always complete."""
        write_state(self._place, {"about": self.about, **notes})


def about_run(
    network: PointTracker, queries: Queries, wh: tuple[int, int], options: TrackOptions
) -> dict[str, str]:
    """The settings that must be the same for a run to continue."""
    return {
        **about_network(network),
        "size of the frames": f"{wh[0]} x {wh[1]}",
        "points": points_text(queries),
        **{name: _text(value) for name, value in vars(options).items()},
    }


def points_text(queries: Queries) -> str:
    """The number of requested points, and a digest that identifies them."""
    points = np.concatenate(
        [queries.frame.numpy()[:, None], queries.xy.numpy(), queries.ids.numpy()[:, None]], 1
    )
    return f"{len(queries.requested())}, {zlib.crc32(points.tobytes()):08x}"


def _text(value: Any) -> str:
    if value is None:
        return NONE
    if is_dataclass(value) and not isinstance(value, type):
        return json.dumps(asdict(value), default=str)
    return str(value)
