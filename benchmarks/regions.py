"""Measure the error of points on a small thing, tracked in the whole frame and in regions of several sizes.

python -m benchmarks.regions --sizes 768x432 384x216 256x144 192x112
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import cv2
import numpy as np
import torch

import pointtrack as pt
from benchmarks.machine import machine, parse_wh, save_figures
from pointtrack.cli.runner import run_command
from pointtrack.pipeline.backward import track_video
from pointtrack.pipeline.options import TrackOptions
from pointtrack.regions.placement import RegionOptions
from pointtrack.zoo import load_tracker


def small_thing(frames: int, wh: tuple[int, int], size: int, speed: float) -> tuple[pt.Video, torch.Tensor]:
    """A textured disc that moves over a texture like its own while the camera sways; its centre (t, 2)."""
    background, own = _texture((wh[0] + 200, wh[1] + 200), 0, 2, 6), _texture((size, size), 1, 1.2, 3)
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    inside = np.hypot(x, y) < size / 2
    pictures, centres = [], []
    for t in range(frames):
        sway = [100 + round(60 * np.sin(t / 15)), 100 + round(40 * np.sin(t / 20 + 1))]
        picture = background[sway[1] : sway[1] + wh[1], sway[0] : sway[0] + wh[0]].copy()
        angle = speed * t / (wh[0] / 5)
        left, top = (round(side * place) for side, place in zip(wh, (0.5 - 0.3 * np.cos(angle), 0.5 + 0.2 * np.sin(angle)), strict=True))  # fmt: skip
        picture[top : top + size, left : left + size][inside] = own[inside]
        pictures.append(picture)
        centres.append([left + (size - 1) / 2, top + (size - 1) / 2])
    return pt.Video(np.stack(pictures)), torch.tensor(centres, dtype=torch.float32)


def bench(
    sizes: list[str] | None = None,
    frames: int = 24,
    wh: str = "1920x1080",
    thing: int = 20,
    speeds: list[float] | None = None,
    tracker: str = "small",
    device: str = "cpu",
    out: Path = Path("outputs/bench_regions.json"),
) -> None:
    """Track five points on a small thing, and print their mean error over the frames after the first.

    Args:
        sizes: sizes of regions, width x height in pixels; by default a half, a third and a quarter of the tracker's.
        frames: length of the video.
        wh: size of the frames.
        thing: diameter of the thing in pixels.
        speeds: approximate speeds of the thing, in pixels per frame; 5 and 15 by default.
        tracker: name of a tracker, or its .safetensors file.
        device: cpu, cuda, mps, or auto.
        out: JSON file for the figures.
    """
    image_wh = parse_wh(wh)
    model = load_tracker(tracker, device=device)
    regions = {text: RegionOptions.parse(text) for text in sizes or ["384x216", "256x144", "192x108"]}
    rows = []
    print(f"{'speed':>6}  {'region':>10}{'mean error':>13}{'median':>11}{'largest':>11}{'seconds':>10}")
    for speed in speeds or [5.0, 15.0]:
        video, centre = small_thing(frames, image_wh, thing, speed)
        reach = thing / 5
        truth = centre[:, None] + reach * torch.tensor([[0.0, 0], [1, 0], [-1, 0], [0, 1], [0, -1]])
        queries = pt.Queries(torch.zeros(5), truth[0])
        for name, options in {"none": None, **regions}.items():
            began = time.perf_counter()
            tracks = track_video(model, video, queries, TrackOptions(regions=options))
            error = (tracks.xy - truth).norm(dim=-1)[1:]
            row = {
                "speed": speed,
                "region": name,
                "mean_px": float(error.mean()),
                "median_px": float(error.median()),
                "largest_px": float(error.max()),
                "seconds": time.perf_counter() - began,
            }
            rows.append(row)
            print(
                f"{speed:>6g}  {name:>10}{row['mean_px']:>10.2f} px{row['median_px']:>8.2f} px"
                f"{row['largest_px']:>8.2f} px{row['seconds']:>10.1f}",
                flush=True,
            )
    figures = {
        "rows": rows,
        "frames": frames,
        "wh": wh,
        "thing_px": thing,
        "tracker": tracker,
        "device": device,
        **machine(),
    }
    save_figures(figures, out)


def _texture(wh: tuple[int, int], seed: int, *sigmas: float) -> np.ndarray:
    """(h, w, 3) uint8 smooth random texture, finest grain first."""
    noise = np.random.default_rng(seed).normal(size=(wh[1], wh[0], 3)).astype(np.float32)
    picture = sum(cv2.GaussianBlur(noise, (0, 0), sigma) * sigma for sigma in sigmas)
    return np.clip(128 + 45 * picture / picture.std(), 0, 255).astype(np.uint8)


if __name__ == "__main__":
    sys.exit(run_command(lambda: bench, sys.argv[1:], "benchmarks.regions"))
