"""`pointtrack track --flat`: one pass over the video, frame by frame, which writes tracks once they are final."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from pointtrack.checks import counted
from pointtrack.cli.progress import Bar
from pointtrack.cli.report import print_estimate, print_sheet, print_tracked, print_video
from pointtrack.cli.states import StateTally
from pointtrack.io.same_run import run_note
from pointtrack.io.track_log import TrackWriter, spilled_pieces, spilled_to_npz
from pointtrack.models.point_tracker import PointTracker
from pointtrack.pipeline.backward import frames_both_ways
from pointtrack.pipeline.every import EveryNth
from pointtrack.pipeline.files import Opener, track_file, warn_of_late
from pointtrack.pipeline.options import TrackOptions
from pointtrack.pipeline.resume import STATE_SECONDS, frames_done, state_path
from pointtrack.pipeline.run import replay
from pointtrack.pipeline.sheet_sink import SheetSink
from pointtrack.pipeline.sinks import CallSink, LogSink, Sink, SmoothSink, VideoSink
from pointtrack.types import Queries
from pointtrack.viz.styles import TrackStyle


@contextmanager
def resumable(target: Path) -> Iterator[None]:
    """Say in the line about a stop by Ctrl-C in this block whether, and from where, --resume continues the run."""
    try:
        yield
    except KeyboardInterrupt:
        spilled = target.with_suffix(".tracks")
        if not spilled.exists():
            raise
        done = frames_done(spilled)
        words = (
            f"{counted(done, 'frame')} are kept, and the same command with --resume goes on behind them"
            if done
            else f"too early for --resume, as a run saves its state every {STATE_SECONDS:.0f} s"
        )
        raise KeyboardInterrupt(words) from None


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
    spilled, tally, radius = target.with_suffix(".tracks"), StateTally(), options.smooth
    began = time.perf_counter()
    with opened(None) as source:
        wh, count, aspect = source.wh, source.frame_count, source.pixel_aspect
        print_estimate(network, queries, wh, count, options, flat=True)
        before = _begun(spilled, resume)
        total = frames_both_ways(network, queries, options, count)
    sheet = SheetSink(style, count, aspect)
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
    print_video(target)
    print_sheet(sheet, target)
    saved = _saved(target, spilled, smoothed if radius else None, settings)
    if radius:
        smoothed.unlink()
    spilled.unlink()
    state_path(spilled).unlink()
    return saved


def _begun(spilled: Path, resume: bool) -> int:
    """Print where the tracks grow; the number of frames that a resumed run has done already."""
    print(f"growing   {spilled}", flush=True)
    before = frames_done(spilled) if resume else 0
    if resume and not before and spilled.exists():
        print(
            f"resume    nothing to continue from, as a run saves its state every {STATE_SECONDS:.0f} s: begins anew"
        )
    return before


def _saved(target: Path, tracks: Path, smoothed: Path | None, settings: Mapping[str, str]) -> Path:
    """Write the .npz files of growing files beside `target`, and print where they are; returns that of the tracks drawn."""
    saved = spilled_to_npz(tracks, target.with_suffix(".npz"), run_note(settings))
    print(f"tracks    {saved}")
    if smoothed is not None:
        saved = spilled_to_npz(smoothed, target.with_name(f"{target.stem}_smooth.npz"))
        print(f"smoothed  {saved}")
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
    spilled, radius = target.with_suffix(".tracks"), options.smooth
    thinned, began = EveryNth(opened, every, queries), time.perf_counter()
    with thinned(None) as source:
        wh, count, name = source.wh, source.frame_count, source.name
        print_estimate(network, queries, wh, count, options, flat=True)
        before = _begun(spilled, resume)
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
            sheet = SheetSink(style, frames, source.pixel_aspect)
            sinks: list[Sink] = [CallSink(tally.add), LogSink(TrackWriter(whole)), video, sheet]
            if radius:
                log = LogSink(TrackWriter(smoothed))
                sinks = [*sinks[:2], *(SmoothSink(one, radius) for one in (log, video, sheet))]
            replay(source, thinned.spread(spilled_pieces(spilled)), sinks)
            for sink in sinks:
                sink.close()
        tally.print()
        print_video(target)
        print_sheet(sheet, target)
        saved = _saved(target, whole, smoothed if radius else None, settings)
    spilled.unlink()
    state_path(spilled).unlink()
    return saved
