"""How `pointtrack track` deals with videos that do not fit into memory, and what it says before it starts."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

from pointtrack.cli.estimate import RunEstimate, estimate_run, video_bytes
from pointtrack.cli.progress import duration
from pointtrack.cli.states import StateTally
from pointtrack.io.track_log import spilled_pieces, spilled_to_npz
from pointtrack.io.video import VideoStream, write_video
from pointtrack.models.point_tracker import PointTracker
from pointtrack.pipeline.resume import draw_long, state_path, track_long
from pointtrack.regions.stream import RegionOptions
from pointtrack.states.stream import StateOptions
from pointtrack.system import machine_memory
from pointtrack.types import Queries
from pointtrack.types.point_states import BLANK
from pointtrack.viz.styles import TrackStyle

SHARE = 0.6  # of the machine's memory that frames may take
STATE_BYTES = sum(value.numel() * value.element_size() for value in BLANK.values())  # of a point on a frame
WORTH_TIMING = 10  # windows: timing one of them first must not take long beside the run


def does_not_fit(stream: VideoStream) -> bool:
    """The whole video, and a drawn copy of it, would take most of the machine's memory (as far as both are known)."""
    memory = machine_memory()
    if memory is None or stream.frame_count is None:
        return False
    return video_bytes(stream.frame_count, stream.wh) > SHARE * memory


def print_estimate(
    tracker: PointTracker,
    queries: Queries,
    wh: tuple[int, int],
    frames: int | None,
    *,
    flat: bool,
    states: bool = False,
    regions: RegionOptions | None = None,
) -> None:
    """Say how long tracking will take and how much memory, measured on one window of this size.

    Nothing for videos of less than ten windows, of which that would be a good part, and for trackers whose one window
    is the whole video.
    """
    length = tracker.config.window.length
    if length is None or (frames is not None and frames < WORTH_TIMING * length):
        return
    estimate = estimate_run(tracker, queries, wh, regions=regions)
    print(f"estimate  {describe(estimate, frames, flat=flat, states=states)}", flush=True)


def describe(estimate: RunEstimate, frames: int | None, *, flat: bool, states: bool = False) -> str:
    """The estimate in words; with `states` the tracks hold them too."""
    rate = f"{estimate.seconds_per_frame:.2g} seconds of tracking per frame"
    if frames is None:
        words = [f"{rate}, for a video of unknown length"]
    else:
        words = [f"{frames} frames, {duration(estimate.seconds(frames))} ({rate})"]
    if estimate.base_bytes:
        if flat or frames is None:
            words.append(f"memory {_size(estimate.base_bytes)}, whatever the length")
        else:
            words.append(
                f"memory {_size(estimate.whole_bytes(frames))} (--flat: {_size(estimate.base_bytes)})"
            )
    if flat and frames is not None:
        more = frames * estimate.points * STATE_BYTES if states else 0
        words.append(f"tracks {_size(estimate.file_bytes(frames) + more)}")
    return "; ".join(words)


def print_tracked(
    tracker: PointTracker, points: int, frames: int, wh: tuple[int, int], seconds: float
) -> None:
    """Say what was tracked, by what, and how fast."""
    device = next(tracker.parameters()).device
    print(f"tracker   {tracker.config.name} ({tracker.config.licence}) on {device}")
    print(
        f"tracked   {points} points through {frames} frames of {wh[0]} x {wh[1]} in "
        f"{seconds:.1f} s: {frames / seconds:.1f} frames per second"
    )


def track_flat(
    open_stream: Callable[[], VideoStream],
    tracker: PointTracker,
    queries: Queries,
    target: Path,
    *,
    resume: bool,
    style: TrackStyle,
    states: StateOptions | None = None,
    regions: RegionOptions | None = None,
) -> Path:
    """Track, draw and write without ever holding more than a window; the .npz file of the tracks.

    While it runs the tracks are in a file beside `target`, with the ending .tracks. States and regions as in `track_long`.
    """
    spilled = target.with_suffix(".tracks")
    began = time.perf_counter()
    with open_stream() as stream:
        wh, count = stream.wh, stream.frame_count
        print_estimate(tracker, queries, wh, count, flat=True, states=states is not None, regions=regions)
        print(f"growing   {spilled}", flush=True)
        bar = tqdm(stream, total=count, desc="tracking", unit="frame", disable=None, leave=False)
        watched = stream.through(bar)
        frames = track_long(tracker, watched, queries, spilled, resume=resume, states=states, regions=regions)
    seconds = time.perf_counter() - began
    print_tracked(tracker, len(queries), frames, wh, seconds)
    if states is not None:
        tally = StateTally()
        for piece in spilled_pieces(spilled):
            tally.add(piece)
        tally.print()
    with open_stream() as stream:
        bar = tqdm(
            draw_long(stream, spilled, style),
            total=frames,
            desc="drawing",
            unit="frame",
            disable=None,
            leave=False,
        )
        print(f"video     {write_video(target, stream.through(bar))}")
    saved = spilled_to_npz(spilled, target.with_suffix(".npz"))
    spilled.unlink()
    state_path(spilled).unlink()
    print(f"tracks    {saved}")
    return saved


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
