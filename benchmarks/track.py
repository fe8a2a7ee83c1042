"""How fast a tracker is, what it spends its time on, and how much memory that takes.

python -m benchmarks.track --points 256 --frames 24 --wh 854x480 --threads 2
"""

from __future__ import annotations

import json
import os
import platform
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

import pointtrack as pt
from pointtrack.launch import run_command
from pointtrack.models.tracker import PointTracker


class Stopwatch:
    """Seconds spent in wrapped methods, each without what other wrapped methods inside it take."""

    def __init__(self, device: torch.device):
        self.device = device
        self.seconds: dict[str, float] = defaultdict(float)
        self._inner: list[float] = []

    def now(self) -> float:
        """Seconds, with all work on the device done."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def wrap(self, owner: Any, method: str, name: str) -> None:
        """From now on count the time of `owner.method` under `name`."""
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
    stopwatch.wrap(tracker.correlation, "products", "correlation")
    stopwatch.wrap(tracker.correlation, "forward", "correlation")
    stopwatch.wrap(tracker.updater, "forward", "transformer")
    return stopwatch


def moving_texture(frames: int, wh: tuple[int, int]) -> pt.Video:
    """A smooth random texture that passes by at 3 and 1 pixels per frame."""
    noise = np.random.default_rng(0).normal(size=(wh[1] + frames, wh[0] + 3 * frames, 3)).astype(np.float32)
    picture = cv2.GaussianBlur(noise, (0, 0), 2) + 2 * cv2.GaussianBlur(noise, (0, 0), 6)
    picture = np.clip(128 + 45 * picture / picture.std(), 0, 255).astype(np.uint8)
    return pt.Video(np.stack([picture[t : t + wh[1], 3 * t : 3 * t + wh[0]] for t in range(frames)]))


def bench(
    points: int = 256,
    frames: int = 24,
    wh: str = "854x480",
    threads: int | None = None,
    repeats: int = 3,
    tracker: str = "small",
    device: str = "auto",
    out: Path = Path("outputs/bench_track.json"),
) -> None:
    """Track random points of the first frame through a moving texture, and print where the time goes.

    Args:
        points: number of points.
        frames: length of the clip.
        wh: size of the clip, width x height in pixels.
        threads: of torch and OpenCV; their own choice if left out.
        repeats: timed runs after one that warms up; the fastest counts.
        tracker: name of a tracker, or its .safetensors file.
        device: cpu, cuda, mps, or auto.
        out: JSON file for the figures.
    """
    width, cross, height = wh.partition("x")
    if not (cross and width.isdigit() and height.isdigit()):
        raise ValueError(f"wh: expected width x height as in 854x480, got {wh!r}")
    if min(points, frames, repeats, 1 if threads is None else threads) < 1:
        raise ValueError(
            f"expected at least 1 point, frame, repeat and thread, got {points, frames, repeats, threads}"
        )
    if threads is not None:
        torch.set_num_threads(threads)
        cv2.setNumThreads(threads)
    model = pt.load_tracker(tracker, device=device)
    video = moving_texture(frames, (int(width), int(height)))
    generator = torch.Generator().manual_seed(0)
    xy = torch.rand(points, 2, generator=generator) * (torch.tensor(video.wh) - 1)
    queries = pt.Queries(torch.zeros(points, dtype=torch.int64), xy)
    stopwatch = watch(model)
    runs = []
    for _ in range(1 + repeats):
        stopwatch.seconds.clear()
        began = stopwatch.now()
        pt.track(model, video, queries)
        runs.append({"total": stopwatch.now() - began, **stopwatch.seconds})
    best = min(runs[1:], key=lambda run: run["total"])
    best["rest"] = 2 * best["total"] - sum(best.values())
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    figures = {
        "frames_per_second": frames / best["total"],
        "seconds": best,
        "seconds_of_every_run": [run["total"] for run in runs[1:]],
        "peak_memory_mb": memory / 1e6,
        "points": points,
        "frames": frames,
        "wh": list(video.wh),
        "tracker": model.config.name,
        "device": str(stopwatch.device),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "machine": platform.platform(),
        "torch": torch.__version__,
    }
    print(
        f"{model.config.name}: {points} points, {frames} frames of {wh}, {stopwatch.device}, "
        f"{torch.get_num_threads()} threads, fastest of {repeats}"
    )
    print(f"{figures['frames_per_second']:.1f} frames per second, {best['total']:.2f} s in all")
    for name, seconds in sorted(best.items(), key=lambda item: -item[1]):
        if name != "total":
            print(f"  {name:12}{seconds:7.2f} s {100 * seconds / best['total']:5.1f} %")
    print(f"peak memory of the process {memory / 1e6:.0f} MB (with Python, torch and the clip)")
    if stopwatch.device.type == "cuda":
        figures["peak_device_memory_mb"] = torch.cuda.max_memory_allocated() / 1e6
        print(f"peak memory on the GPU {figures['peak_device_memory_mb']:.0f} MB")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(f"figures   {out}")


if __name__ == "__main__":
    sys.exit(run_command(lambda: bench, sys.argv[1:], "benchmarks.track"))
