"""Resumes killed runs exactly: from time to time a run writes the whole state of its stream to a file."""

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

STATE_SECONDS = 30.0  # between two states; what was tracked since the last one is tracked again


def state_path(path: str | Path) -> Path:
    """Where the state of a run lies that writes its tracks to `path`."""
    return Path(f"{path}.state")


def frames_done(path: str | Path) -> int:
    """How many frames the run has done that was killed while it wrote to `path`, ahead and back; 0 where there was none."""
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
        """What was noted last: "phase", "frames", "stream" and more; None where there is nothing.

        Raises:
            ValueError: it is of another run.
        """
        if not self._place.exists():
            return None
        state = read_state(self._place)
        check_same_run(state["about"], self.about, self._place.with_suffix(""))
        return state

    def begin(self) -> None:
        """Another run starts anew: what was noted must not be gone on with."""
        self._place.unlink(missing_ok=True)

    def watch(self, writer: TrackWriter, **notes: Any) -> None:
        """From now on the tracks go to this writer, and these notes go along."""
        self._writer, self._notes, self._saved = writer, notes, time.monotonic()
        self._rows = writer.next_frame or 0

    def save_if_due(self, stream: PointStream) -> None:
        """Note all that the stream knows, if that was done some time ago and there are rows since."""
        rows = 0 if self._writer is None else self._writer.next_frame or 0
        known, self._rows = self._rows, rows
        if rows == known or time.monotonic() - self._saved < STATE_SECONDS:
            return
        self.save(**self._notes, frames=rows, stream=saved(stream))
        self._saved = time.monotonic()

    def save(self, **notes: Any) -> None:
        """Replace the state in one step, so that there is a whole one at any moment."""
        write_state(self._place, {"about": self.about, **notes})


def about_run(
    network: PointTracker, queries: Queries, wh: tuple[int, int], options: TrackOptions
) -> dict[str, str]:
    """What must be the same for a run to go on."""
    return {
        **about_network(network),
        "size of the frames": f"{wh[0]} x {wh[1]}",
        "points": told_points(queries),
        **{name: _told(value) for name, value in vars(options).items()},
    }


def told_points(queries: Queries) -> str:
    """How many points are asked for, and a digest that tells them from others."""
    points = np.concatenate(
        [queries.frame.numpy()[:, None], queries.xy.numpy(), queries.ids.numpy()[:, None]], 1
    )
    return f"{len(queries.requested())}, {zlib.crc32(points.tobytes()):08x}"


def _told(value: Any) -> str:
    if value is None:
        return NONE
    if is_dataclass(value) and not isinstance(value, type):
        return json.dumps(asdict(value), default=str)
    return str(value)
