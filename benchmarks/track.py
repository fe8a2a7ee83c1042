"""Measure a tracker's speed, the time of its parts, and its memory.

python -m benchmarks.track --points 256 --frames 24 --wh 854x480 --threads 2
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import pointtrack as pt
from benchmarks.machine import (
    machine,
    moving_texture,
    now,
    parse_wh,
    peak,
    random_points,
    save_figures,
    use_threads,
)
from pointtrack.cli.runner import run_command
from pointtrack.models.point_tracker import PointTracker
from pointtrack.pipeline.backward import track_video
from pointtrack.system import peak_memory
from pointtrack.zoo import load_tracker


class Stopwatch:
    """Seconds spent in wrapped methods, each without the time of wrapped methods that it calls."""

    def __init__(self, device: torch.device):
        self.device = device
        self.seconds: dict[str, float] = defaultdict(float)
        self._inner: list[float] = []

    def now(self) -> float:
        """Seconds, after all work on the device is done."""
        return now(self.device)

    def wrap(self, owner: Any, method: str, name: str) -> None:
        """Start to count the time of `owner.method` under `name`."""
        call: Callable[..., Any] = getattr(owner, method)

        def timed(*args: Any, **kwargs: Any) -> Any:
            began = self.now()
            self._inner.append(0.0)
            try:
                return call(*args, **kwargs)
            finally:
                seconds = self.now() - began
                self.seconds[name] += seconds - self._inner.pop()
                if self._inner:
                    self._inner[-1] += seconds

        setattr(owner, method, timed)


def watch(tracker: PointTracker) -> Stopwatch:
    """A stopwatch on the parts of a tracker."""
    stopwatch = Stopwatch(next(tracker.parameters()).device)
    stopwatch.wrap(tracker, "encode", "encoder")
    stopwatch.wrap(tracker, "first_guess", "matching")
    stopwatch.wrap(tracker, "remember", "correlation")
    stopwatch.wrap(tracker.correlation, "compare", "correlation")
    stopwatch.wrap(tracker.updater, "forward", "transformer")
    return stopwatch


def apart(first: pt.Tracks, second: pt.Tracks) -> tuple[float, float]:
    """Median and 95 % quantile of the distance in pixels between two answers about the same points."""
    distance = (first.xy - second.xy).norm(dim=-1)
    return float(distance.nanmedian()), float(distance.nanquantile(0.95))


def bench(
    points: int = 256,
    frames: int = 24,
    wh: str = "854x480",
    threads: int | None = None,
    repeats: int = 3,
    tracker: str = "small",
    device: str = "auto",
    precision: str = "float32",
    looks: int = 1,
    video: Path | None = None,
    out: Path = Path("outputs/bench_track.json"),
) -> None:
    """Track random points of the first frame through a video, and print where the time goes.

    Args:
        points: number of points.
        frames: length of the clip.
        wh: size of the clip, width x height in pixels; a video is resized to it.
        threads: threads of torch and OpenCV; by default their own choice.
        repeats: timed runs after a warm-up; the fastest counts.
        tracker: name of a tracker, or its .safetensors file.
        device: cpu, cuda, mps, or auto.
        looks: 2 for a second look at every frame, mirrored and larger.
        precision: float32 or bfloat16; with bfloat16, float32 is timed as well and the answers are compared.
        video: file whose first frames to use; by default a moving texture.
        out: JSON file for the figures.
    """
    size = parse_wh(wh)
    if min(points, frames, repeats) < 1:
        raise ValueError(f"expected at least 1 point, frame and repeat, got {points, frames, repeats}")
    use_threads(threads)
    model = load_tracker(tracker, device=device, precision=precision, looks=looks)
    precision = model.inference.precision  # what this machine computes in
    if video is None:
        clip = pt.Video(moving_texture(frames, size))
    else:
        clip = pt.read_video(video, max_frames=frames, wh=size)
    queries = pt.Queries(torch.zeros(points, dtype=torch.int64), random_points(points, size))
    stopwatch = watch(model)
    best, totals, tracks = timed(model, stopwatch, clip, queries, repeats)
    memory = peak_memory()
    figures = {
        "frames_per_second": len(clip) / best["total"],
        "seconds": best,
        "seconds_of_every_run": totals,
        "peak_memory_mb": memory / 1e6,
        "points": points,
        "frames": len(clip),
        "wh": list(clip.wh),
        "video": None if video is None else video.name,
        "tracker": model.config.name,
        "precision": precision,
        "looks": looks,
        "device": str(stopwatch.device),
        **machine(stopwatch.device),
    }
    print(
        f"{model.config.name}: {points} points, {len(clip)} frames of {wh}, {stopwatch.device}, "
        f"{torch.get_num_threads()} threads, fastest of {repeats}"
    )
    print(f"{figures['frames_per_second']:.1f} frames per second, {best['total']:.2f} s in all")
    for name, seconds in sorted(best.items(), key=lambda item: -item[1]):
        if name != "total":
            print(f"  {name:12}{seconds:7.2f} s {100 * seconds / best['total']:5.1f} %")
    print(f"peak memory of the process {memory / 1e6:.0f} MB (with Python, torch and the clip)")
    if stopwatch.device.type == "cuda":
        figures["peak_device_memory_mb"] = peak(stopwatch.device) / 1e6
        print(f"peak memory on the GPU {figures['peak_device_memory_mb']:.0f} MB")
    if precision != "float32":
        full = load_tracker(tracker, device=device, looks=looks)
        slower, _, exact = timed(full, watch(full), clip, queries, repeats)
        median, most = apart(tracks, exact)
        figures |= {"seconds_float32": slower["total"], "px_median": median, "px_95": most}
        print(
            f"float32 takes {slower['total']:.2f} s, {slower['total'] / best['total']:.2f} times as long; "
            f"positions differ by {median:.4f} px (median), {most:.4f} px (95 %)"
        )
    save_figures(figures, out)


def timed(
    model: PointTracker, stopwatch: Stopwatch, video: pt.Video, queries: pt.Queries, repeats: int
) -> tuple[dict[str, float], list[float], pt.Tracks]:
    """Track several times; the parts of the fastest run in seconds, the seconds of every run, and the answer."""
    runs = []
    for _ in range(1 + repeats):
        stopwatch.seconds.clear()
        began = stopwatch.now()
        tracks = track_video(model, video, queries)
        runs.append({"total": stopwatch.now() - began, **stopwatch.seconds})
    best = min(runs[1:], key=lambda run: run["total"])
    best["rest"] = 2 * best["total"] - sum(best.values())
    return best, [run["total"] for run in runs[1:]], tracks


if __name__ == "__main__":
    sys.exit(run_command(lambda: bench, sys.argv[1:], "benchmarks.track"))
