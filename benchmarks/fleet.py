"""Measure the overhead of `pointtrack batch` per video, against a hand-written loop.

python -m benchmarks.fleet --videos 12 --frames 48 --points 20

Both track the same videos with one process and the same threads. The loop reads, tracks and saves; a batch also watches
its worker, finds cuts, measures, and keeps a ledger. The start of the worker (imports, model) is measured separately.
On a machine with other work: python -m benchmarks.fleet --busy
"""

from __future__ import annotations

import contextlib
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch

import pointtrack as pt
from benchmarks.machine import machine, moving_texture, parse_wh, save_figures, use_threads
from pointtrack.cli.runner import run_command
from pointtrack.fleet import JobOptions, RunOptions, batch, read_ledger
from pointtrack.fleet.job import Job, JobSetup
from pointtrack.fleet.ledger import LedgerWriter
from pointtrack.fleet.manifest import read_source
from pointtrack.fleet.memory import memory_of
from pointtrack.fleet.output import Output
from pointtrack.fleet.worker import CHECK_SECONDS

Clocks = tuple[float, float]


def bench(
    videos: int = 12,
    frames: int = 48,
    wh: str = "320x192",
    grid: int = 20,
    repeats: int = 3,
    tracker: str = "small",
    out: Path = Path("outputs/bench_fleet.json"),
) -> None:
    """Process videos by hand and as a batch, alternately; print the time per video of each.

    Args:
        videos: number of videos.
        frames: length of each.
        wh: size of the frames.
        grid: points per side.
        repeats: timed runs of each way.
        tracker: name of a tracker, or its .safetensors file.
        out: JSON file for the figures.
    """
    use_threads(1)
    size = parse_wh(wh)
    model = pt.Tracker(tracker, device="cpu")
    by_hand: list[tuple[float, float]] = []
    as_batch: list[tuple[float, float]] = []
    starts: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        clips = Path(folder) / "clips"
        clips.mkdir()
        for i in range(videos):
            pt.write_video(clips / f"{i:03d}.mp4", pt.Video(moving_texture(frames, size)))
        job = JobOptions(tracker=tracker, device="cpu", grid=grid)
        for repeat in range(repeats):
            marks = [clocks()]
            for path in sorted(clips.iterdir()):
                video = pt.read_video(path)
                tracks = model.track(video, pt.grid_queries(video, grid))
                pt.save_tracks(Path(folder) / "by_hand" / f"{path.stem}.npz", tracks)
                marks.append(clocks())
            by_hand.append(between(marks[1], marks[-1], videos - 1))  # the first one warms up, as below
            results = Path(folder) / f"batch{repeat}"
            began = clocks()
            marks = as_a_batch(clips, results, job)
            as_batch.append(between(marks[0], marks[-1], videos - 1))
            starts.append(marks[0][1] - began[1] - as_batch[-1][1])
            saved = pt.load_tracks(results / "tracks" / "000.mp4.npz")
            if not torch.equal(saved.xy, pt.load_tracks(Path(folder) / "by_hand" / "000.npz").xy):
                raise RuntimeError("the batch and the loop by hand gave different tracks")
            print(
                f"by hand {by_hand[-1][0]:.3f} s ({by_hand[-1][1]:.3f} s of a core), batch {as_batch[-1][0]:.3f} s "
                f"({as_batch[-1][1]:.3f} s) a video; start {starts[-1]:.1f} s of a core",
                flush=True,
            )
        table = read_ledger(results, ["seconds", "track_seconds"])
        inside = statistics.mean(table["seconds"].to_pylist()) - statistics.mean(
            table["track_seconds"].to_pylist()
        )
    overhead, core = (min(b[i] for b in as_batch) / min(h[i] for h in by_hand) - 1 for i in (0, 1))
    print(
        f"overhead per video {overhead:+.1%} of time, {core:+.1%} of processor time (best of {repeats} each)"
    )
    figures = {
        "by_hand_s": by_hand,
        "batch_s": as_batch,
        "start_core_s": starts,
        "overhead": overhead,
        "overhead_core": core,
        "untracked_s": inside,
        "videos": videos,
        "frames": frames,
        "wh": wh,
        "grid": grid,
        "tracker": tracker,
        **machine(),
    }
    save_figures(figures, out)


def bench_busy(
    videos: int = 4,
    frames: int = 48,
    wh: str = "320x192",
    grid: int = 20,
    tracker: str = "small",
    out: Path = Path("outputs/bench_fleet_busy.json"),
) -> None:
    """The same for a machine with other work: alternate both ways in this process, video by video, in CPU time.

    The driver's own work, an occasional look at the worker's memory, is measured separately.

    Args:
        videos: number of videos, each done both ways.
        frames: length of each.
        wh: size of the frames.
        grid: points per side.
        tracker: name of a tracker, or its .safetensors file.
        out: JSON file for the figures.
    """
    use_threads(1)
    size = parse_wh(wh)
    job = JobOptions(tracker=tracker, device="cpu", grid=grid)
    model = pt.Tracker(tracker, device="cpu")
    by_hand, as_job = 0.0, 0.0
    with tempfile.TemporaryDirectory() as folder:
        clips, results = Path(folder) / "clips", Path(folder) / "results"
        clips.mkdir()
        for i in range(videos + 1):
            length = frames if i else 8  # the first one warms up
            pt.write_video(clips / f"{i:03d}.mp4", pt.Video(moving_texture(length, size)))
        worker = Job(JobSetup(str(results), job, "bench"))
        worker.warm_up()
        ledger = LedgerWriter(Output(results), "bench")
        for number, task in enumerate(read_source(clips, job)):
            marks = [time.process_time()]
            video = pt.read_video(task.video)
            pt.save_tracks(Path(folder) / "by_hand.npz", model.track(video, pt.grid_queries(video, grid)))
            marks.append(time.process_time())
            ledger.add(worker.run(task, 1))
            marks.append(time.process_time())
            if number:
                by_hand, as_job = by_hand + marks[1] - marks[0], as_job + marks[2] - marks[1]
        began = time.process_time()
        for _ in range(200):
            memory_of(os.getpid())
        watching = (time.process_time() - began) / 200 / CHECK_SECONDS
    print(
        f"by hand {by_hand / videos:.3f} s of a core, as a job {as_job / videos:.3f} s a video ({as_job / by_hand - 1:+.1%}); "
        f"watching a worker takes {watching:.2%} of a core"
    )
    figures = {
        "by_hand_core_s": by_hand / videos,
        "job_core_s": as_job / videos,
        "watching": watching,
        **machine(),
    }
    save_figures(figures, out)


def as_a_batch(clips: Path, results: Path, job: JobOptions) -> list[Clocks]:
    """Process clips with one worker; the clocks at the end of each. The first includes the start of the worker."""
    marks: list[Clocks] = []
    batch(clips, results, job, RunOptions(workers=1), progress=lambda _: marks.append(clocks()))
    return marks


def clocks() -> Clocks:
    """Wall-clock time, and CPU time of this process and its workers, in seconds."""
    import psutil

    me = psutil.Process()
    used = 0.0
    for process in (me, *me.children(recursive=True)):
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            used += times.user + times.system
    return time.perf_counter(), used


def between(first: Clocks, last: Clocks, videos: int) -> Clocks:
    """Mean time of one video."""
    return (last[0] - first[0]) / videos, (last[1] - first[1]) / videos


if __name__ == "__main__":
    ways = {"--busy": bench_busy}
    chosen = ways.get(sys.argv[1], bench) if len(sys.argv) > 1 else bench
    sys.exit(run_command(lambda: chosen, sys.argv[1 + (chosen is not bench) :], "benchmarks.fleet"))
