"""Measure the gain of tracking several videos in one batch, and check that the answers are the same.

python -m benchmarks.batch --videos 4 --frames 16 --wh 320x192
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path

import torch

import pointtrack as pt
from benchmarks.machine import machine, moving_texture, parse_wh, save_figures
from pointtrack.cli.runner import run_command
from pointtrack.pipeline.backward import track_video
from pointtrack.pipeline.batch import track_batch
from pointtrack.zoo import load_tracker


def bench(
    videos: int = 4,
    frames: int = 16,
    wh: str = "320x192",
    points: list[int] | None = None,
    repeats: int = 3,
    tracker: str = "small",
    device: str = "cpu",
    out: Path = Path("outputs/bench_batch.json"),
) -> None:
    """Track videos one by one and in a batch, alternately; print the best time of each.

    Args:
        videos: number of videos; the last has half as many points as the first.
        frames: frames per video.
        wh: size of the frames and of the tracker's input.
        points: numbers of points to try; 16, 64 and 256 by default.
        repeats: timed runs of each.
        tracker: name of a tracker, or its .safetensors file.
        device: cpu, cuda, mps, or auto.
        out: JSON file for the figures.
    """
    size = parse_wh(wh)
    if min(videos, repeats) < 1:
        raise ValueError(f"expected 1 video and 1 repeat or more, got {videos} and {repeats}")
    model = load_tracker(tracker, device=device)
    model.config = replace(model.config, input_wh=size)
    clips = [pt.Video(moving_texture(frames, size))] * videos
    generator = torch.Generator().manual_seed(0)
    rows = []
    print(f"{'points':>7}{'one by one':>13}{'batch':>11}{'gain':>8}{'largest difference':>21}")
    for count in points or [16, 64, 256]:
        queries = []
        for i in range(videos):
            n = count - (count // 2) * i // max(videos - 1, 1)
            xy = torch.rand(n, 2, generator=generator) * (torch.tensor(size) - 1)
            queries.append(pt.Queries(torch.zeros(n), xy))
        alone_s, batch_s = [], []
        for _ in range(repeats):
            began = time.perf_counter()
            alone = [track_video(model, *pair) for pair in zip(clips, queries, strict=True)]
            alone_s.append(time.perf_counter() - began)
            began = time.perf_counter()
            together = track_batch(model, clips, queries, size=videos)
            batch_s.append(time.perf_counter() - began)
        difference = max(float((a.xy - b.xy).abs().max()) for a, b in zip(alone, together, strict=True))
        row = {
            "points": count,
            "one_by_one_s": min(alone_s),
            "batch_s": min(batch_s),
            "gain": min(alone_s) / min(batch_s),
            "largest_difference_px": difference,
        }
        rows.append(row)
        print(
            f"{count:>7}{row['one_by_one_s']:>11.2f} s{row['batch_s']:>9.2f} s{row['gain']:>7.2f}x"
            f"{difference:>18.5f} px",
            flush=True,
        )
    figures = {
        "rows": rows,
        "videos": videos,
        "frames": frames,
        "wh": wh,
        "tracker": tracker,
        "device": device,
        **machine(),
    }
    save_figures(figures, out)


if __name__ == "__main__":
    sys.exit(run_command(lambda: bench, sys.argv[1:], "benchmarks.batch"))
