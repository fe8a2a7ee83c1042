"""How `pointtrack track` handles videos that do not fit into memory, and the estimate it prints before it starts."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from pointtrack.checks import counted
from pointtrack.cli.estimate import RunEstimate, estimate_run, video_bytes
from pointtrack.cli.progress import Bar, duration
from pointtrack.cli.states import StateTally
from pointtrack.io.same_run import run_note
from pointtrack.io.track_log import TrackWriter, spilled_pieces, spilled_to_npz
from pointtrack.io.video import VideoStream, write_image
from pointtrack.models.point_tracker import PointTracker
from pointtrack.pipeline.backward import frames_both_ways
from pointtrack.pipeline.every import EveryNth
from pointtrack.pipeline.files import Opener, track_file, warn_of_late
from pointtrack.pipeline.options import TrackOptions
from pointtrack.pipeline.resume import frames_done, state_path
from pointtrack.pipeline.run import replay
from pointtrack.pipeline.sheet_sink import SheetSink
from pointtrack.pipeline.sinks import CallSink, LogSink, Sink, SmoothSink, VideoSink
from pointtrack.system import machine_memory
from pointtrack.types import Queries
from pointtrack.types.point_states import BLANK
from pointtrack.viz.styles import TrackStyle

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
    """Print how much time and memory tracking will take, measured on one window of this size.

    Prints nothing for videos of less than ten windows, where the measurement would take too large a share, and for trackers
    that take the whole video as one window. With `tracked` only that many frames are tracked, but all are held.
    """
    length, tracked = tracker.config.window.length, frames if tracked is None else tracked
    if length is None or (tracked is not None and tracked < WORTH_TIMING * length):
        return
    estimate = estimate_run(tracker, queries, wh, options)
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
    tracker: PointTracker,
    points: int,
    frames: int,
    wh: tuple[int, int],
    seconds: float,
    gone_on: int | None = None,
) -> None:
    """Print what was tracked, by which tracker, and how fast; `gone_on`: frames that a resumed run tracked."""
    device = next(tracker.parameters()).device
    print(f"tracker   {tracker.config.name} ({tracker.config.licence}) on {device}")
    tracked = f"tracked   {counted(points, 'point')} through {counted(frames, 'frame')} of {wh[0]} x {wh[1]}"
    if gone_on == 0:
        print(f"{tracked}, all by the earlier run")
        return
    went = frames if gone_on is None else gone_on
    part = "" if gone_on is None else f"; this run {counted(gone_on, 'frame')}"
    print(f"{tracked}{part} in {seconds:.1f} s: {went / seconds:.1f} frames per second")


def track_flat(
    opened: Opener,
    network: PointTracker,
    queries: Queries,
    target: Path,
    options: TrackOptions,
    *,
    resume: bool,
    style: TrackStyle,
    settings: Mapping[str, str],
) -> Path:
    """Track, draw and write without ever holding more than a window; returns the .npz file of the tracks.

    While it runs, the tracks are in a .tracks file beside `target`. With `smooth`, that file and the .npz hold the tracks as
    tracked; a second .npz, which is returned, and the video hold the smoothed ones. The .npz records the settings that the
    result depends on.
    """
    spilled, saved = target.with_suffix(".tracks"), target.with_suffix(".npz")
    tally, radius = StateTally(), options.smooth
    began = time.perf_counter()
    with opened(None) as source:
        wh, count = source.wh, source.frame_count
        print_estimate(network, queries, wh, count, options, flat=True)
        print(f"growing   {spilled}", flush=True)
        before = frames_done(spilled) if resume else 0
        total = frames_both_ways(network, queries, options, count)
    sheet = SheetSink(style, count)
    with VideoSink(target, source, style) as video, _bar(total, before) as bar:
        sinks: list[Sink] = [CallSink(tally.add), video, sheet]
        smoothed = target.with_name(f"{target.stem}_smooth.tracks")
        if radius:
            log = LogSink(TrackWriter(smoothed, about={"smooth": str(radius)}, overwrite=True))
            sinks = [sinks[0], *(SmoothSink(one, radius) for one in (log, video, sheet))]
        frames = track_file(
            network, opened, queries, spilled, replace(options, smooth=0),
            resume=resume, sinks=sinks, progress=bar.update,
        )  # fmt: skip
        for sink in sinks:
            sink.close()
    gone_on = bar.n if before else None
    print_tracked(network, len(queries), frames, wh, time.perf_counter() - began, gone_on)
    tally.print()
    print(f"video     {target}")
    print_sheet(sheet, target)
    print(f"tracks    {spilled_to_npz(spilled, saved, run_note(settings))}")
    if radius:
        saved = spilled_to_npz(smoothed, smoothed.with_suffix(".npz"))
        smoothed.unlink()
        print(f"smoothed  {saved}")
    spilled.unlink()
    state_path(spilled).unlink()
    return saved


def _bar(total: int | None, before: int) -> Bar:
    """A bar for `total` frames, of which an earlier run has done `before`."""
    return Bar(None if total is None else total - before)


def track_flat_sparsely(
    opened: Opener,
    network: PointTracker,
    queries: Queries,
    target: Path,
    options: TrackOptions,
    *,
    every: int,
    resume: bool,
    style: TrackStyle,
    settings: Mapping[str, str],
) -> Path:
    """As `track_flat`, but track only every n-th frame, with straight lines between, and draw the video afterwards."""
    spilled, saved, radius = target.with_suffix(".tracks"), target.with_suffix(".npz"), options.smooth
    thinned, began = EveryNth(opened, every, queries), time.perf_counter()
    with thinned(None) as source:
        wh, count, name = source.wh, source.frame_count, source.name
        print_estimate(network, queries, wh, count, options, flat=True)
        print(f"growing   {spilled}", flush=True)
        before = frames_done(spilled) if resume else 0
    with _bar(frames_both_ways(network, thinned.queries, options, count), before) as bar:
        kept = track_file(
            network, thinned, thinned.queries, spilled, replace(options, smooth=0),
            resume=resume, progress=bar.update, warns=False,
        )  # fmt: skip
    thinned.read()
    frames = len(thinned.times)
    warn_of_late(name, queries, frames)
    print(f"frames    {kept} of {frames} are tracked, those between are interpolated")
    gone_on = bar.n if before else None
    print_tracked(network, len(queries), frames, wh, time.perf_counter() - began, gone_on)
    tally = StateTally()
    with TemporaryDirectory(prefix=".pointtrack-", dir=target.parent, ignore_cleanup_errors=True) as folder:
        whole, smoothed = Path(folder, "all.tracks"), Path(folder, "smooth.tracks")
        with opened(None) as source, VideoSink(target, source, style) as video:
            sheet = SheetSink(style, frames)
            sinks: list[Sink] = [CallSink(tally.add), LogSink(TrackWriter(whole)), video, sheet]
            if radius:
                log = LogSink(TrackWriter(smoothed))
                sinks = [*sinks[:2], *(SmoothSink(one, radius) for one in (log, video, sheet))]
            replay(source, thinned.spread(spilled_pieces(spilled)), sinks)
            for sink in sinks:
                sink.close()
        tally.print()
        print(f"video     {target}")
        print_sheet(sheet, target)
        print(f"tracks    {spilled_to_npz(whole, saved, run_note(settings))}")
        if radius:
            saved = spilled_to_npz(smoothed, target.with_name(f"{target.stem}_smooth.npz"))
            print(f"smoothed  {saved}")
    spilled.unlink()
    state_path(spilled).unlink()
    return saved


def print_sheet(sheet: SheetSink, target: Path) -> None:
    """Write the contact sheet beside the drawn video, and print where it is."""
    picture = sheet.picture()
    if picture is not None:
        print(f"pictures  {write_image(target.with_suffix('.png'), picture)}")


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
