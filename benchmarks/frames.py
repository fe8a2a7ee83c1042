"""Measure the time of one frame in a stream: pushed alone, with a final answer or an immediate preview.

python -m benchmarks.frames --points 64 256 1024 --threads 2
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import pointtrack as pt
from benchmarks.machine import machine, moving_texture, parse_wh, random_points, save_figures, use_threads
from benchmarks.track import Stopwatch, apart, watch
from pointtrack.cli.runner import run_command
from pointtrack.models.compile import compile_tracker
from pointtrack.models.point_tracker import PointTracker
from pointtrack.tracking.steady import steadied
from pointtrack.tracking.window_stream import WindowStream
from pointtrack.zoo import load_tracker


def push_all(
    model: PointTracker, stopwatch: Stopwatch, frames: np.ndarray, points: int, skip: int
) -> tuple[dict[str, Any], pt.Tracks]:
    """Milliseconds of frames pushed alone after the first `skip`, mean milliseconds of the parts, and the tracks."""
    size = (frames.shape[2], frames.shape[1])
    queries = pt.Queries(torch.zeros(points, dtype=torch.int64), random_points(points, size))
    stream = steadied(WindowStream(model, queries, size))
    latencies, answers = [], []
    for number, frame in enumerate(frames):
        if number == skip:
            stopwatch.seconds.clear()
        began = stopwatch.now()
        answers.append(stream.push(frame))
        latencies.append(1000 * (stopwatch.now() - began))
    counted = latencies[skip:]
    parts = {name: 1000 * seconds / len(counted) for name, seconds in stopwatch.seconds.items()}
    mean = float(np.mean(counted))
    row = {
        "mean": mean,
        "median": float(np.median(counted)),
        "worst": max(counted),
        "parts": {**parts, "rest": mean - sum(parts.values())},
    }
    return row, pt.Tracks.concat([*answers, stream.finish()])


def bench(
    points: list[int] | None = None,
    frames: int = 40,
    wh: str = "854x480",
    step: int = 1,
    length: int | None = None,
    iterations: int | None = None,
    input_area: int | None = None,
    precision: str = "float32",
    compiled: bool = False,
    threads: int | None = None,
    tracker: str = "small",
    video: Path | None = None,
    out: Path = Path("outputs/bench_frames.json"),
) -> None:
    """Push single frames into a stream, and print the time that each takes.

    Args:
        points: numbers of points, one run each; 64, 256 and 1024 by default.
        frames: length of the stream; the frames of the first two windows warm up.
        wh: size of the frames, width x height in pixels.
        step: frames between the starts of windows. With 1 every frame is answered as it arrives; with more, the work
            of that many frames is done when the last of them arrives.
        length: frames per window; by default the choice of `load_tracker` for that step and these iterations.
        iterations: rounds of refinement per window; likewise. Setting them restores the model's own length at step 1.
        input_area: pixels that frames are resized to; the model's own if left out.
        precision: float32 or bfloat16; with bfloat16, the answers are compared with those in float32.
        compiled: compile encoder and transformer with torch.compile, which first takes seconds to minutes.
        threads: threads of torch and OpenCV; by default their own choice.
        tracker: name of a tracker with windows, or its .safetensors file.
        video: file whose first frames to use, resized to `wh`; by default a moving texture.
        out: JSON file for the figures.
    """
    size = parse_wh(wh)
    use_threads(threads)
    if video is None:
        pictures = moving_texture(frames, size)
    else:
        pictures = pt.read_video(video, max_frames=frames, wh=size).frames
    model = load_tracker(tracker, precision=precision, step=step, iterations=iterations)
    precision = model.inference.precision  # what this machine computes in
    window = replace(model.config.window, length=length or model.config.window.length)
    if window.length is None or len(pictures) <= 2 * window.length or min(points or [1]) < 1:
        raise ValueError(
            "expected a tracker of windows, more frames than two of them, and 1 point or more, "
            f"got {tracker}, {len(pictures)} and {points}"
        )
    model.inference = replace(model.inference, length=length, input_area=input_area)
    exact = None
    if compiled or precision != "float32":
        exact = load_tracker(tracker)
        exact.inference = replace(model.inference, precision="float32")
    if compiled:
        compile_tracker(model)
    stopwatch = watch(model)
    print(
        f"{model.config.name}, frames of {wh} one by one, windows of {window.length} frames, step {step}, rounds "
        f"{window.iterations}, about {model.config.input_area} pixels encoded in {precision}"
        f"{', compiled' if compiled else ''}, {stopwatch.device}, "
        f"{torch.get_num_threads()} threads\n"
    )
    print("| points | ms per frame | median | worst | where it goes |\n| ---: | ---: | ---: | ---: | --- |")
    rows = {}
    for count in points or [64, 256, 1024]:
        rows[count], tracks = push_all(model, stopwatch, pictures, count, 2 * window.length)
        row = rows[count]
        parts = sorted(row["parts"].items(), key=lambda item: -item[1])
        shares = ", ".join(f"{name} {ms:.0f}" for name, ms in parts)
        print(
            f"| {count} | {row['mean']:.0f} | {row['median']:.0f} | {row['worst']:.0f} | {shares} |",
            flush=True,
        )
        if exact is not None:
            _, wanted = push_all(exact, watch(exact), pictures, count, 2 * window.length)
            row["px_median"], row["px_95"] = apart(tracks, wanted)
    for count, row in rows.items():
        if "px_median" in row:
            print(
                f"\n{count} points: {row['px_median']:.4f} px (median), {row['px_95']:.4f} px (95 %) from the answers in "
                f"float32{', not compiled' if compiled else ''}"
            )
    figures = {"milliseconds": rows, "frames": len(pictures), "wh": list(size), "precision": precision}
    figures |= {"compiled": compiled, "step": step, "length": window.length, "iterations": window.iterations}
    figures |= {"input_area": model.config.input_area, "tracker": model.config.name, **machine()}
    save_figures(figures, out)


if __name__ == "__main__":
    sys.exit(run_command(lambda: bench, sys.argv[1:], "benchmarks.frames"))
