"""Measure the peak memory of tracking videos of several lengths in flat memory, each in its own process.

python -m benchmarks.long --lengths 500 1000 2500 5000
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

import pointtrack as pt
from benchmarks.machine import in_process, machine, parse_wh, save_figures, smooth_texture
from pointtrack.cli.runner import run_command
from pointtrack.io.track_log import read_spilled
from pointtrack.pipeline import resume
from pointtrack.pipeline.files import track_file
from pointtrack.system import peak_memory
from pointtrack.zoo import load_tracker


def drifting_texture(frames: int, wh: tuple[int, int]) -> Iterator[np.ndarray]:
    """A smooth random texture that moves in circles; holds one frame at a time."""
    picture = smooth_texture((wh[0] * 2, wh[1] * 2))
    for t in range(frames):
        left, top = (round(side / 2 * (1 + 0.9 * np.sin(t / 40 + k))) for k, side in enumerate(wh))
        yield picture[top : top + wh[1], left : left + wh[0]]


def measure(frames: int, wh: tuple[int, int], grid: int, tracker: str) -> dict[str, float]:
    """Track in this process; peak memory in MB, and frames per second."""
    model = load_tracker(tracker, device="cpu")
    # About the size of the frames, in multiples of 16, so that thousands of them take minutes.
    model.config = replace(model.config, input_wh=(16 * round(wh[0] / 16), 16 * round(wh[1] / 16)))
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.tracks"
        resume.STATE_SECONDS = 2.0  # many states also in the shortest run
        track_file(
            model, lambda _: pt.open_video(drifting_texture(frames, wh)), pt.grid_queries(wh, grid), path
        )
        seconds, peak = time.perf_counter() - began, peak_memory()
        tracks = read_spilled(path)  # behind the measurement
    if len(tracks) != frames or not bool(tracks.tracked().all()):
        raise RuntimeError(f"expected tracks of {frames} frames, got {len(tracks)}")
    return {"peak_memory_mb": peak / 1e6, "frames_per_second": frames / seconds}


def bench(
    lengths: list[int] | None = None,
    wh: str = "160x120",
    grid: int = 5,
    tracker: str = "small",
    one: int | None = None,
    out: Path = Path("outputs/bench_long.json"),
) -> None:
    """Track a moving texture of several lengths, and print the peak memory of each.

    Args:
        lengths: numbers of frames; 500, 1000, 2500 and 5000 by default. The others are compared with the first.
        wh: size of the frames, width x height in pixels.
        grid: points per side of a grid.
        tracker: name of a tracker, or its .safetensors file.
        one: measure this length only, in this process, and print JSON.
        out: JSON file for the figures.
    """
    size = parse_wh(wh)
    if one is not None:
        print(json.dumps(measure(one, size, grid, tracker)))
        return
    rows: dict[int, dict[str, float]] = {}
    print(f"{'frames':>8}{'peak memory':>14}{'against first':>16}{'frames per second':>20}")
    for length in lengths or [500, 1000, 2500, 5000]:
        arguments = ["--one", str(length), "--wh", wh, "--grid", str(grid), "--tracker", tracker]
        rows[length] = row = in_process("benchmarks.long", arguments)
        growth = row["peak_memory_mb"] / next(iter(rows.values()))["peak_memory_mb"] - 1
        print(
            f"{length:>8}{row['peak_memory_mb']:>11.0f} MB{100 * growth:>+14.1f} %{row['frames_per_second']:>20.1f}",
            flush=True,
        )
    save_figures({"rows": rows, "wh": wh, "points": grid * grid, "tracker": tracker, **machine()}, out)


if __name__ == "__main__":
    sys.exit(run_command(lambda: bench, sys.argv[1:], "benchmarks.long"))
