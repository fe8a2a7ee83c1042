"""What the commands print about a run: the estimate before tracking starts, what was tracked, and the contact sheet."""

from __future__ import annotations

from pathlib import Path

from pointtrack.checks import counted
from pointtrack.cli.estimate import RunEstimate, estimate_run, frame_bytes, video_bytes
from pointtrack.cli.progress import duration
from pointtrack.io.video import VideoStream, write_image
from pointtrack.models.point_tracker import PointTracker
from pointtrack.pipeline.options import TrackOptions
from pointtrack.pipeline.sheet_sink import SheetSink
from pointtrack.system import machine_memory
from pointtrack.types import Queries
from pointtrack.types.point_states import BLANK

SHARE = 0.6  # share of the machine's memory that frames may take
STATE_BYTES = sum(value.numel() * value.element_size() for value in BLANK.values())  # per point and frame
WORTH_TIMING = 10  # windows: for shorter runs, timing one of them first takes too long


def does_not_fit(stream: VideoStream) -> bool:
    """True if the video and a drawn copy would take most of the machine's memory (as far as both sizes are known)."""
    memory = machine_memory()
    if memory is None or stream.frame_count is None:
        return False
    return video_bytes(stream.frame_count, stream.wh) > SHARE * memory


def print_estimate(
    tracker: PointTracker,
    queries: Queries,
    wh: tuple[int, int],
    frames: int | None,
    options: TrackOptions,
    *,
    flat: bool,
    tracked: int | None = None,
) -> None:
    """Print how much time and memory tracking will take, measured on two windows of this size.

    Prints nothing for videos of less than ten windows, where the measurement would take too large a share, and for trackers
    that take the whole video as one window. With `tracked` only that many frames are tracked, but all are held.
    """
    length, tracked = tracker.config.window.length, frames if tracked is None else tracked
    if length is None or (tracked is not None and tracked < WORTH_TIMING * length):
        return
    held = 0 if flat or frames is None else frame_bytes(frames, wh)
    estimate = estimate_run(tracker, queries, wh, options, held=held)
    states = options.states is not None
    print(f"estimate  {describe(estimate, frames, flat=flat, states=states, tracked=tracked)}", flush=True)


def describe(
    estimate: RunEstimate,
    frames: int | None,
    *,
    flat: bool,
    states: bool = False,
    tracked: int | None = None,
) -> str:
    """The estimate in words. With `states` the tracks hold them too; with `tracked` only that many frames are tracked."""
    rate = f"{estimate.seconds_per_frame:.2g} seconds of tracking per frame"
    if frames is None:
        words = [f"{rate}, for a video of unknown length"]
    else:
        tracked = frames if tracked is None else tracked
        those = counted(frames, "frame")
        those = those if tracked == frames else f"{tracked} of {those}"
        words = [f"{those}, about {duration(estimate.seconds(tracked))} ({rate})"]
    if estimate.base_bytes:
        if flat or frames is None:
            words.append(f"memory {_size(estimate.flat_bytes)}, whatever the length")
        else:
            words.append(
                f"memory {_size(estimate.whole_bytes(frames))} (--flat: {_size(estimate.flat_bytes)})"
            )
    if flat and frames is not None:
        more = frames * estimate.points * STATE_BYTES if states else 0
        words.append(f"tracks {_size(estimate.file_bytes(frames) + more)}")
    return "; ".join(words)


def print_tracked(
    tracker: PointTracker,
    points: int,
    frames: int,
    wh: tuple[int, int],
    seconds: float,
    gone_on: int | None = None,
) -> None:
    """Print what was tracked, by which tracker, and how fast; `gone_on`: frames that a resumed run tracked."""
    device = next(tracker.parameters()).device
    print(f"tracker   {tracker.label} ({tracker.config.licence}) on {device}")
    tracked = f"tracked   {counted(points, 'point')} through {counted(frames, 'frame')} of {wh[0]} x {wh[1]}"
    if gone_on == 0:
        print(f"{tracked}, all by the earlier run")
        return
    went = frames if gone_on is None else gone_on
    part = "" if gone_on is None else f"; this run {counted(gone_on, 'frame')}"
    print(f"{tracked}{part} in {seconds:.1f} s: {went / seconds:.1f} frames per second")


def print_video(target: Path, heard: bool = False, what: str = "video") -> None:
    """Print where a written video is, and whether it has the sound of the original."""
    print(f"{what:<10}{target}{', with its sound' * heard}")


def print_sheet(sheet: SheetSink, target: Path) -> None:
    """Write the contact sheet beside the drawn video, and print where it is."""
    picture = sheet.picture()
    if picture is not None:
        print(f"pictures  {write_image(target.with_suffix('.png'), picture)}")


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
