"""Videos of any length in flat memory: frames come one by one, tracks go to a growing file, a killed run goes on exactly."""

from __future__ import annotations

import json
import logging
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pointtrack.config import to_dict
from pointtrack.io.state_file import read_state, write_state
from pointtrack.io.track_log import TrackWriter, spilled_pieces
from pointtrack.io.video import VideoStream
from pointtrack.models.point_tracker import PointTracker
from pointtrack.regions.stream import RegionOptions, RegionTracker
from pointtrack.states.stream import StateOptions, StateTracker
from pointtrack.tracking.support import support_queries
from pointtrack.tracking.window_stream import StreamTracker
from pointtrack.types import Queries, Tracks
from pointtrack.viz.styles import TrackStyle
from pointtrack.viz.tracks import draw_frame

logger = logging.getLogger(__name__)

STATE_SECONDS = 30.0


def state_path(path: str | Path) -> Path:
    """Where the state of a run lies that writes its tracks to `path`."""
    return Path(f"{path}.state")


def track_long(
    tracker: PointTracker,
    stream: VideoStream,
    queries: Queries,
    path: str | Path,
    *,
    support_grid: int = 5,
    resume: bool = False,
    state_seconds: float = STATE_SECONDS,
    states: StateOptions | None = None,
    regions: RegionOptions | None = None,
) -> int:
    """Track points through a video of any length; memory holds one window of it.

    The tracks are those of `track(..., backward=False)`, with `states` those of `track_states`, with `regions` those of
    `track_regions`. They go to a file piece by piece, which `read_spilled` reads at any time. Beside it lies PATH.state, from
    which a run that was killed goes on: features of one window, a hundred megabytes or so, and as many for each region.

    Args:
        tracker: from `load_tracker`; one that works in windows.
        stream: the frames, from `open_video`; each is taken once, so a `VideoStream` around it can count them.
        queries: points with their frames.
        path: the file of the tracks.
        support_grid: as in `track`.
        resume: go on with what a killed run left at `path`, if there is anything. The stream must begin at the same
            frame as then; the frames that are done are decoded and passed over. The result is the same to the last bit.
        state_seconds: time between two states. What was tracked since the last one is tracked again after a crash.
        states: say what became of the points, in this way; cuts cannot be told by a function. Not together with regions.
        regions: follow points in crops too, in this way.

    Returns:
        The number of frames.

    Raises:
        ValueError: a tracker whose one window is the whole video, a query outside the image, a function for the cuts, states
            and regions, a region larger than the image, or a run to go on with that had another tracker, other points,
            another size of frames, other states or other regions.
    """
    if tracker.config.window.length is None:
        raise ValueError(
            f"{tracker.config.name} needs the whole video at once: expected a tracker of windows, such as small"
        )
    if states is not None and callable(states.cuts):
        raise ValueError("cuts: expected frames or 'auto' for a long video, got a function")
    if states is not None and regions is not None:
        raise ValueError("track_long: expected states or regions, got both; states are told of whole frames")
    place = state_path(path)
    everyone = Queries.concat([queries, support_queries(queries, stream.wh, global_size=support_grid)])
    about = _about(tracker, everyone, stream, states=states, regions=regions) | stream.about()
    device = next(tracker.parameters()).device
    state = _read_state(place, about, device) if resume and place.exists() else None
    if state is not None and state["finished"]:
        return state["frames"]
    tracks: StreamTracker | StateTracker | RegionTracker
    if state is not None:
        kind = StateTracker if states is not None else StreamTracker if regions is None else RegionTracker
        tracks = kind.from_state_dict(tracker, state["stream"])
        logger.info("%s: going on behind frame %d", path, tracks.frames_pushed)
    else:
        place.unlink(missing_ok=True)  # of another run: it must not be gone on with
        if states is not None:
            tracks = StateTracker(
                tracker, queries, stream.wh, stream.fps, support_grid=support_grid, **vars(states)
            )
        elif regions is not None:
            tracks = RegionTracker(
                tracker, queries, stream.wh, stream.fps,
                options=regions, support_grid=support_grid, keeps_frames=False,
            )  # fmt: skip
        else:
            tracks = StreamTracker(tracker, everyone, stream.wh, stream.fps)
    done = tracks.frames_pushed
    wanted = slice(0, len(queries))
    kept = None if state is None else state["frames"]
    with TrackWriter(path, keep=kept, about=about, overwrite=resume) as writer:
        saved = time.monotonic()
        for number, (frame, _) in enumerate(stream):
            if number < done:
                continue
            rows = tracks.push(frame)
            writer.append(rows.select(wanted))
            if len(rows) and time.monotonic() - saved >= state_seconds:
                _write_state(
                    place,
                    {
                        "about": about,
                        "finished": False,
                        "frames": writer.next_frame,
                        "stream": tracks.state_dict(),
                    },
                )
                saved = time.monotonic()
        frames = tracks.frames_pushed
        writer.append(tracks.finish().select(wanted))
    _write_state(place, {"about": about, "finished": True, "frames": frames})
    late = int((queries.frame >= frames).sum())
    if late:
        logger.warning(
            "%s: %d points are asked for behind the last frame (%d)", stream.name, late, frames - 1
        )
    return frames


def draw_long(
    stream: VideoStream, path: str | Path, style: TrackStyle | None = None
) -> Iterator[tuple[np.ndarray, float]]:
    """Frames with the tracks that `track_long` wrote to `path`, one by one, for `VideoStream` and `write_video`.

    Args:
        stream: the same video again, from the same frame on.
        path: the file of the tracks. Frames behind the last one of the file come as they are.
        style: how it looks; by default `TrackStyle()`.

    Raises:
        FileNotFoundError, ValueError: as `spilled_pieces`, or tracks of another size of frames.
    """
    style = style or TrackStyle()
    pieces = spilled_pieces(path)
    recent = next(pieces, None)
    for t, (frame, seconds) in enumerate(stream):
        while recent is not None and t >= recent.first_frame + len(recent):
            following = next(pieces, None)
            tail = recent.clip(max(len(recent) - style.trail, 0))
            recent = None if following is None else Tracks.concat([tail, following])
        yield (frame if recent is None else draw_frame(frame, recent, t, style)), seconds


def _about(
    tracker: PointTracker,
    queries: Queries,
    stream: VideoStream,
    **how: StateOptions | RegionOptions | None,
) -> dict[str, Any]:
    """What must be the same for a run to go on."""
    weights = 0
    for value in tracker.state_dict().values():
        weights = zlib.crc32(value.detach().cpu().contiguous().numpy().tobytes(), weights)
    points = np.concatenate(
        [queries.frame.numpy()[:, None], queries.xy.numpy(), queries.ids.numpy()[:, None]], 1
    )
    return {
        "tracker": f"{tracker.config.name}, weights {weights:08x}",
        "settings of the tracker": json.dumps(to_dict(tracker.config)),
        "size of the frames": f"{stream.wh[0]} x {stream.wh[1]}",
        "points": f"{len(queries)} (support points too), {zlib.crc32(points.tobytes()):08x}",
        **{name: "none" if options is None else str(options) for name, options in how.items()},
    }


def _read_state(path: Path, about: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """The state; ValueError where it is of another run."""
    state = read_state(path, device)
    for name, value in about.items():
        if state["about"].get(name) != value:
            raise ValueError(
                f"resume: expected the {name} of the run to go on with, {state['about'].get(name)}, got {value}; "
                "run it as before, or anew without resume"
            )
    return state


def _write_state(path: Path, state: dict[str, Any]) -> None:
    """Replace the state in one step, so that there is a whole one at any moment."""
    write_state(path, state)
