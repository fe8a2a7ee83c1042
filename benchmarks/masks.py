"""Measure the speed of following objects, its parts, and whether time and memory stay flat in a long video.

python -m benchmarks.masks --frames 2000 --objects 1 --wh 854x480 --threads 2
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import torch

import pointtrack as pt
from benchmarks.machine import machine, own_memory, parse_wh, save_figures, use_threads
from benchmarks.track import Stopwatch
from pointtrack.cli.runner import run_command
from pointtrack.objects.memory import ObjectMemory
from pointtrack.objects.object_points import ObjectPoints
from pointtrack.objects.point_engine import PointEngine
from pointtrack.objects.point_prompts import KnownMask, overlap
from pointtrack.zoo import load_tracker

BLOCKS = 10  # parts of the video with separate figures


def texture(wh: tuple[int, int], tint: tuple[int, int, int], generator: np.random.Generator) -> np.ndarray:
    """(h, w, 3) uint8: smooth noise of about one colour, which can be repeated side by side."""
    noise = generator.normal(size=(wh[1], wh[0], 3)).astype(np.float32)
    padded = np.pad(noise, ((24, 24), (24, 24), (0, 0)), mode="wrap")
    smooth = (cv2.GaussianBlur(padded, (0, 0), 2) + 2 * cv2.GaussianBlur(padded, (0, 0), 6))[24:-24, 24:-24]
    return np.clip(np.array(tint) + 30 * smooth / smooth.std(), 0, 255).astype(np.uint8)


def bouncing(path: Path, frames: int, objects: int, wh: tuple[int, int]) -> tuple[pt.Video, np.ndarray]:
    """Textured disks that bounce over a textured ground, in a file so that the video takes no memory.

    Returns:
        The video, and (t, o, 2) centres of the disks of radius `wh[1] // 6`. Later disks are in front.
    """
    generator = np.random.default_rng(0)
    ground = texture((wh[0] * 2, wh[1]), (90, 120, 90), generator)
    radius = wh[1] // 6
    side = 2 * radius + 1
    disk = np.hypot(*np.mgrid[-radius : radius + 1, -radius : radius + 1]) <= radius
    skins = [
        texture((side, side), tuple(generator.integers(40, 220, 3).tolist()), generator)  # type: ignore[arg-type]
        for _ in range(objects)
    ]
    pixels = np.memmap(path, np.uint8, "w+", shape=(frames, wh[1], wh[0], 3))
    t, o = np.arange(frames)[:, None], np.arange(objects)[None]
    room = np.array(wh) / 2 - radius - 4
    wave = np.stack([np.sin(0.021 * t + 2.1 * o), np.sin(0.034 * t + 1.3 * o + 0.5)], axis=-1)
    centres = np.rint(np.array(wh) / 2 + room * wave).astype(int)
    for frame in range(frames):
        picture = np.roll(ground, -frame, axis=1)[:, : wh[0]].copy()
        for skin, (x, y) in zip(skins, centres[frame], strict=True):
            area = picture[y - radius : y + radius + 1, x - radius : x + radius + 1]
            area[disk] = skin[disk]
        pixels[frame] = picture
    pixels.flush()
    return pt.Video(np.memmap(path, np.uint8, "r+", shape=pixels.shape)), centres


def disk_masks(centres: np.ndarray, wh: tuple[int, int]) -> torch.Tensor:
    """(o, 2) centres on one frame -> (o, h, w) bool, the visible part of each disk."""
    y, x = np.mgrid[: wh[1], : wh[0]]
    masks = np.stack([np.hypot(x - cx, y - cy) <= wh[1] // 6 for cx, cy in centres])
    for o in range(len(masks) - 1):
        masks[o] &= ~masks[o + 1 :].any(0)
    return torch.from_numpy(masks)


def watch(engine: PointEngine) -> Stopwatch:
    """A stopwatch on the parts of an engine."""
    stopwatch = Stopwatch(torch.device(engine.segmenter.device))
    stopwatch.wrap(engine.segmenter, "encode", "encoder")
    stopwatch.wrap(engine.segmenter, "decode", "decoder")
    for method in ("ready", "seed"):
        stopwatch.wrap(ObjectPoints, method, "points")
    for method in ("read", "add"):
        stopwatch.wrap(ObjectMemory, method, "memory")
    return stopwatch


def bench(
    frames: int = 200,
    objects: int = 1,
    wh: str = "854x480",
    threads: int | None = None,
    tracker: str = "small",
    segmenter: str = "small",
    precision: str = "float32",
    device: str = "auto",
    out: Path = Path("outputs/bench_masks.json"),
) -> None:
    """Follow bouncing disks through a video, and print time, memory and overlap with the truth along it.

    Args:
        frames: length of the video.
        objects: number of disks.
        wh: size of the video, width x height in pixels.
        threads: threads of torch and OpenCV; by default their own choice.
        tracker, segmenter: names, or files.
        precision: precision of both, float32 or bfloat16.
        device: cpu, cuda, mps, or auto.
        out: JSON file for the figures.
    """
    size = parse_wh(wh)
    if frames < BLOCKS + 1 or objects < 1:
        raise ValueError(
            f"expected more than {BLOCKS} frames and 1 object or more, got {frames} and {objects}"
        )
    use_threads(threads)
    model = load_tracker(tracker, device=device, precision=precision)
    precision = model.inference.precision  # what this machine computes in
    engine = PointEngine(model, pt.load_segmenter(segmenter, device=device, precision=precision))
    with tempfile.TemporaryDirectory() as folder:
        video, centres = bouncing(Path(folder) / "frames.raw", frames, objects, size)
        first = disk_masks(centres[0], video.wh)
        known = {o + 1: [KnownMask(0, first[o])] for o in range(objects)}
        stopwatch = watch(engine)
        blocks = []
        steps = engine.walk(video, known, range(1, frames))
        print(
            f"{engine.name}: {objects} objects, {frames} frames of {wh}, {stopwatch.device}, {torch.get_num_threads()} threads"
        )
        print("up to frame  ms per frame  memory MB  overlap with the truth")
        for part in np.array_split(np.arange(1, frames), BLOCKS):
            began, overlaps = time.perf_counter(), []
            spent = 0.0
            for frame in part.tolist():
                found = next(steps)
                spent += time.perf_counter() - began
                truth = disk_masks(centres[frame], video.wh)
                overlaps += [overlap(found[o + 1].mask, truth[o]) for o in range(objects)]
                began = time.perf_counter()
            block = {
                "last_frame": int(part[-1]),
                "ms_per_frame": 1000 * spent / len(part),
                "memory_mb": own_memory() / 1e6,
                "overlap": float(np.mean(overlaps)),
            }
            blocks.append(block)
            print(
                f"{block['last_frame']:11}{block['ms_per_frame']:14.0f}{block['memory_mb']:11.0f}{block['overlap']:24.3f}",
                flush=True,
            )
    total = (
        sum(
            block["ms_per_frame"] * len(part)
            for block, part in zip(blocks, np.array_split(np.arange(1, frames), BLOCKS), strict=True)
        )
        / 1000
    )
    seconds = dict(stopwatch.seconds)
    seconds["rest"] = total - sum(seconds.values())
    for name, value in sorted(seconds.items(), key=lambda item: -item[1]):
        print(f"  {name:12}{1000 * value / (frames - 1):7.1f} ms per frame {100 * value / total:5.1f} %")
    figures = {
        "blocks": blocks,
        "seconds": {"total": total, **seconds},
        "frames": frames,
        "objects": objects,
        "wh": list(video.wh),
        "engine": engine.name,
        "precision": precision,
        "device": str(stopwatch.device),
        **machine(),
    }
    save_figures(figures, out)


if __name__ == "__main__":
    sys.exit(run_command(lambda: bench, sys.argv[1:], "benchmarks.masks"))
