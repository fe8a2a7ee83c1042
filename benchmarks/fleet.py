"""What `pointtrack batch` costs beside the loop one would write by hand, per video.

python -m benchmarks.fleet --videos 12 --frames 48 --points 20

Both track the same videos with one process and the same threads; the loop reads, tracks and saves, a batch also watches
its worker, finds cuts, measures, and keeps a ledger. The start of the worker (its imports, its model) is told apart.
"""

from __future__ import annotations

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


def bench(
    videos: int = 12,
    frames: int = 48,
    wh: str = "320x192",
    grid: int = 20,
    repeats: int = 3,
    tracker: str = "small",
    out: Path = Path("outputs/bench_fleet.json"),
) -> None:
    """Do so many videos by hand and as a batch, by turns; print the time per video of each.

    Args:
        videos: number of videos.
        frames: length of each.
        wh: size of the frames.
        grid: points per side.
        repeats: how often each way is timed.
        tracker: name of a tracker, or its .safetensors file.
        out: JSON file for the figures.
    """
    use_threads(1)
    size = parse_wh(wh)
    model = pt.Tracker(tracker, device="cpu")
    by_hand_s, batch_s, start_s = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        clips = Path(folder) / "clips"
        clips.mkdir()
        for i in range(videos):
            pt.write_video(clips / f"{i:03d}.mp4", pt.Video(moving_texture(frames, size)))
        job = JobOptions(tracker=tracker, device="cpu", grid=grid)
        for repeat in range(repeats):
            began = time.perf_counter()
            for path in sorted(clips.iterdir()):
                video = pt.read_video(path)
                tracks = model.track(video, pt.grid_queries(video, grid))
                pt.save_tracks(Path(folder) / "by_hand" / f"{path.stem}.npz", tracks)
            by_hand_s.append((time.perf_counter() - began) / videos)
            results = Path(folder) / f"batch{repeat}"
            began = time.perf_counter()
            ended: list[float] = []
            batch(
                clips, results, job, RunOptions(workers=1),
                progress=lambda _, ended=ended: ended.append(time.perf_counter()),  # type: ignore[misc]
            )  # fmt: skip
            # The first video ends after the start of the worker: what follows is one video after the other.
            batch_s.append((ended[-1] - ended[0]) / (videos - 1))
            start_s.append(ended[0] - began - batch_s[-1])
            saved = pt.load_tracks(results / "tracks" / "000.mp4.npz")
            if not torch.equal(saved.xy, pt.load_tracks(Path(folder) / "by_hand" / "000.npz").xy):
                raise RuntimeError("the batch and the loop by hand gave different tracks")
            print(
                f"by hand {by_hand_s[-1]:.3f} s, batch {batch_s[-1]:.3f} s a video, start {start_s[-1]:.1f} s",
                flush=True,
            )
        table = read_ledger(results, ["seconds", "track_seconds"])
        inside = statistics.mean(table["seconds"].to_pylist()) - statistics.mean(
            table["track_seconds"].to_pylist()
        )
    overhead = min(batch_s) / min(by_hand_s) - 1
    print(
        f"overhead per video {overhead:+.1%} (best of {repeats}); {inside:.3f} s of a video are not tracking"
    )
    figures = {
        "by_hand_s": by_hand_s,
        "batch_s": batch_s,
        "start_s": start_s,
        "overhead": overhead,
        "untracked_s": inside,
        "videos": videos,
        "frames": frames,
        "wh": wh,
        "grid": grid,
        "tracker": tracker,
        **machine(),
    }
    save_figures(figures, out)


if __name__ == "__main__":
    sys.exit(run_command(lambda: bench, sys.argv[1:], "benchmarks.fleet"))
