"""Measure how far answers in chunks are from the answer for the whole clip, by the time since the query.

python -m benchmarks.chunks --threads 1
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.engines import network_of
from benchmarks.machine import (
    CPU,
    machine,
    moving_texture,
    parse_wh,
    random_points,
    save_figures,
    use_threads,
)
from pointtrack.cli.runner import run_command
from pointtrack.tracking.window_stream import WindowStream
from pointtrack.types import Queries, Tracks

# Frames per chunk, frames between the starts of chunks, and frames at either end that only give context.
RULES = ((48, 24, 12), (48, 36, 6), (48, 48, 0), (24, 12, 6), (24, 24, 0))


class EncodedOnce:
    """Encodes frames once and keeps the result, since every rule needs the same ones."""

    def __init__(self, network: Any):
        self._encode = network.encode
        self._known: dict[bytes, list[Tensor]] = {}

    def __call__(self, frames: Tensor) -> list[Tensor]:
        """Encode as `TrackingNetwork.encode` does."""
        return [
            torch.cat(level, dim=1) for level in zip(*map(self._one, frames.split(1, dim=1)), strict=True)
        ]

    def _one(self, frame: Tensor) -> list[Tensor]:
        key = frame.numpy().tobytes()
        if key not in self._known:
            self._known[key] = self._encode(frame)
        return self._known[key]


def chunks(
    tracker: str = "locotrack-small",
    frames: int = 144,
    points: int = 32,
    wh: str = "128x128",
    threads: int | None = None,
    out: Path = Path("outputs/chunks.json"),
) -> None:
    """Track points of frame 0 through a clip in chunks and in one; print the distances by age, in pixels.

    Args:
        tracker: locotrack-small or locotrack-base, with random weights of that shape.
        frames, points, wh: size of the work.
        threads: threads of torch; by default its own choice.
        out: JSON file for the figures.
    """
    use_threads(threads)
    network, size = network_of(tracker), parse_wh(wh)
    network.config = replace(network.config, input_wh=size)
    network.encode = EncodedOnce(network)
    clip, queries = moving_texture(frames, size), Queries(torch.zeros(points), random_points(points, size))

    def tracked(length: int, step: int, context: int) -> Tensor:
        window = replace(network.config.window, length=length, step=step, context=context)
        network.config = replace(network.config, window=window)
        stream = WindowStream(network, queries, size)
        return Tracks.concat([*(stream.push(frame) for frame in clip), stream.finish()]).xy

    whole = tracked(frames, frames, 0)
    ages = [range(start, min(start + 24, frames)) for start in range(0, frames, 24)]
    print("| frames, step, context | " + " | ".join(f"{age.start} to {age.stop - 1}" for age in ages) + " |")
    print("| --- |" + " ---: |" * len(ages))
    rows = []
    for rule in RULES:
        apart = (tracked(*rule) - whole).norm(dim=-1)
        parts = [apart[age.start : age.stop].flatten() for age in ages]
        figures = [(float(part.median()), float(part.quantile(0.9))) for part in parts]
        rows.append({"rule": rule, "median_and_90": figures})
        cells = " | ".join(f"{median:.3f} / {most:.2f}" for median, most in figures)
        print(f"| {', '.join(map(str, rule))} | {cells} |", flush=True)
    moved = (whole[1:] - whole[:-1]).norm(dim=-1)
    print(f"moves     {float(moved.median()):.2f} pixels per frame, median, of the whole clip's answer")
    save_figures({"tracker": tracker, "frames": frames, "points": points, "wh": size, "rows": rows, **machine(CPU)}, out)  # fmt: skip


if __name__ == "__main__":
    sys.exit(run_command(lambda: chunks, sys.argv[1:], "benchmarks.chunks"))
