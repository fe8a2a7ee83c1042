"""Measure the speed and memory of training on this machine, and estimate the cost of a full training on GPUs.

python -m benchmarks.training --threads 1
"""

from __future__ import annotations

import itertools
import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.machine import in_process, machine, parse_wh, save_figures, use_threads
from pointtrack.cli.runner import keep_freed_memory, run_command
from pointtrack.config import TrackerConfig
from pointtrack.models.point_tracker import PointTracker
from pointtrack.system import peak_memory
from train.data.synthetic import SceneConfig, SyntheticClips
from train.data.textures import procedural_bank
from train.loop import LoopConfig, Task, make_fabric, run
from train.plot_curves import read_log
from train.tasks.matching import MatchingTask
from train.tasks.tracking import TrackingTask

PICTURES = 8  # procedural textures; more make no step slower


@dataclass(frozen=True)
class Assumptions:
    """Assumptions of the costs on GPUs, in addition to the counted operations. None was measured on a GPU.

    Attributes:
        peak_tflops: nominal operations per second (10^12) of a GPU; the default is an H100 SXM in bfloat16 without
            sparsity, from NVIDIA's data sheet.
        share_of_peak: share of it that training reaches, including the making of clips. A guess, and a low one: the
            network is small, and memory-bound work gains less from a GPU than matrix products do.
        efficiency: efficiency of several GPUs relative to perfect scaling, by their number. A guess too.
        clips: clips of a full training.
    """

    peak_tflops: float = 989.0
    share_of_peak: float = 0.02
    efficiency: tuple[tuple[int, float], ...] = ((1, 1.0), (8, 0.95), (64, 0.85))
    clips: int = 1_600_000


def new_task(name: str, train_encoder: bool) -> Task:
    """A new small tracker to train, without validation, which is not part of a step."""
    torch.manual_seed(0)
    tracker = PointTracker(TrackerConfig())
    task: Task
    if name == "matching":
        task = MatchingTask(tracker, [])
    else:
        task = TrackingTask(tracker, [], freeze_encoder=not train_encoder)
    task.validate = lambda folder: {}  # type: ignore[method-assign]
    return task


def new_clips(scene: SceneConfig, batch: int) -> SyntheticClips:
    """Synthetic clips without photographs."""
    bank = procedural_bank(PICTURES, torch.Generator().manual_seed(0))
    return SyntheticClips(bank, scene, batch, seed=0)


def measure(task: Task, clips: SyntheticClips, loop: LoopConfig) -> dict[str, float]:
    """Train in this process after a warm-up step: speed, waiting and peak memory as the loop logs them.

    `processor_seconds` are CPU seconds of all threads, per clip: the fair measure on a shared machine.
    """
    before = peak_memory()
    with tempfile.TemporaryDirectory() as folder:
        fabric = make_fabric(loop, Path(folder))
        run(task, clips, replace(loop, steps=1), Path(folder) / "first", fabric)
        began = time.process_time()
        run(task, clips, loop, Path(folder) / "timed", fabric)
        used = time.process_time() - began
        log = read_log(Path(folder) / "timed" / "log.csv")
    figures = {name: log[name][0][1] for name in ("clips_per_s", "data_share", "memory_gb")}
    figures["frames_per_s"] = figures["clips_per_s"] * clips.config.frames
    figures["processor_seconds"] = used / (clips.batch * loop.steps)
    figures["memory_before_gb"] = 0.0 if fabric.device.type == "cuda" else before / 1e9
    return figures


def operations(task: Task, clips: SyntheticClips) -> int:
    """Additions and multiplications of all matrix products and convolutions for one clip, forward and backward."""
    batch = clips[0]  # made outside the counter, since making it takes products too
    # The counter does not know the fused attention of CPUs.
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        loss, _ = task(batch)
        loss.backward()
    return counter.get_total_flops() // clips.batch


def matrix_product_rate() -> float:
    """Operations per CPU second of a float32 product of 2,048 x 2,048: comparable with `processor_seconds`."""
    square, seconds = torch.randn(2048, 2048), []
    for _ in range(4):
        began = time.process_time()
        square @ square
        seconds.append(time.process_time() - began)
    return 2 * 2048**3 / min(seconds[1:])


def costs(operations_per_clip: int, assumed: Assumptions) -> list[dict[str, float]]:
    """Hours of a full training by number of GPUs: operations divided by the assumed rate."""
    rows = []
    for gpus, efficiency in assumed.efficiency:
        rate = gpus * efficiency * assumed.share_of_peak * assumed.peak_tflops * 1e12 / operations_per_clip
        hours = assumed.clips / rate / 3600
        rows.append({"gpus": gpus, "clips_per_s": rate, "hours": hours, "gpu_hours": gpus * hours})
    return rows


def bench(
    task: Literal["tracking", "matching"] = "tracking",
    frames: int = 16,
    wh: str = "256x192",
    points: int = 80,
    batch: int = 2,
    steps: int = 5,
    train_encoder: bool = False,
    threads: int | None = None,
    full: str = "24x512x384",
    full_points: int = 256,
    assumed: Assumptions = Assumptions(),
    one: str | None = None,
    out: Path = Path("outputs/bench_training.json"),
) -> None:
    """Train a new small tracker for some steps in each setting, and print speed, memory, and costs on paper.

    Args:
        task: matching or tracking, as in `pointtrack train`.
        frames, wh, points, batch: size and number of the clips of a step; width x height in pixels.
        steps: timed steps after a warm-up step.
        train_encoder: train the encoder in tracking too.
        threads: threads of torch and OpenCV; by default their own choice.
        full: frames x width x height of a clip of the full training, whose encoder learns too.
        full_points: points of such a clip.
        assumed: assumptions of the costs on GPUs.
        one: measure this setting only (settings of the loop as JSON), in this process, and print JSON.
        out: JSON file for the figures.
    """
    use_threads(threads)
    scene = SceneConfig(frames=frames, sizes=(parse_wh(wh),), points=points, query_frames=frames // 2)
    if one is not None:
        keep_freed_memory()
        loop = LoopConfig(steps=steps, log_every=steps, workers=0, **json.loads(one))
        print(json.dumps(measure(new_task(task, train_encoder), new_clips(scene, batch), loop)))
        return
    arguments = [
        "--task", task, "--frames", str(frames), "--wh", wh, "--points", str(points), "--batch", str(batch),
        "--steps", str(steps), "--train_encoder", str(train_encoder).lower(),
        *([] if threads is None else ["--threads", str(threads)]),
    ]  # fmt: skip
    print(f"{task}: {batch} clips of {frames} frames of {wh} with {points} points per step, {steps} steps")
    print(
        "| bf16 | recompute | clips/s | frames/s | processor s per clip | data share | peak memory | of it before |"
    )
    print("|---|---|---|---|---|---|---|---|")
    rows: list[dict[str, Any]] = []
    for bf16, recompute in itertools.product((False, True), repeat=2):
        setting = {"bf16": bf16, "recompute": recompute}
        row = in_process("benchmarks.training", [*arguments, "--one", json.dumps(setting)])
        rows.append(setting | row)
        print(
            f"| {_yes(bf16)} | {_yes(recompute)} | {row['clips_per_s']:.2f} | {row['frames_per_s']:.1f} "
            f"| {row['processor_seconds']:.2f} | {100 * row['data_share']:.0f} % "
            f"| {row['memory_gb']:.2f} GB | {row['memory_before_gb']:.2f} GB |",
            flush=True,
        )

    counted = operations(new_task(task, train_encoder), new_clips(scene, 1))
    product = matrix_product_rate()
    fastest = min(row["processor_seconds"] for row in rows)
    reached = counted / fastest / product
    print(
        f"\n{counted / 1e9:.0f} GFLOP per clip; the fastest setting reaches {100 * reached:.0f} % of a plain float32 "
        f"matrix product's {product / 1e9:.0f} GFLOP per processor second here, the making of clips included"
    )
    size = parse_wh(full.partition("x")[2])
    long = SceneConfig(frames=int(full.partition("x")[0]), sizes=(size,), points=full_points, query_frames=8)
    needed = operations(new_task(task, True), new_clips(long, 1))
    table = costs(needed, assumed)
    core_hours = assumed.clips * fastest * needed / counted / 3600
    print(
        f"\nAn ESTIMATE, nothing below was measured on a GPU. Full training: {assumed.clips:,} clips of {full} with "
        f"{full_points} points, encoder learning, {needed / 1e9:.0f} GFLOP each (counted here). Assumed: "
        f"{assumed.peak_tflops:.0f} TFLOP/s per GPU, {100 * assumed.share_of_peak:.0f} % of it reached. "
        f"At the rate measured above, this machine would take {core_hours:,.0f} hours of one core.\n"
        "| GPUs | efficiency (assumed) | clips/s | hours | GPU hours |\n|---|---|---|---|---|"
    )
    for (gpus, efficiency), row in zip(assumed.efficiency, table, strict=True):
        print(
            f"| {gpus} | {efficiency:.2f} | {row['clips_per_s']:.0f} | {row['hours']:.1f} | {row['gpu_hours']:.1f} |"
        )
    save_figures(
        {
            "settings": rows,
            "operations_per_clip": counted,
            "matrix_product_operations_per_processor_second": product,
            "share_of_matrix_product": reached,
            "estimate": {
                "assumed": asdict(assumed),
                "operations_per_clip": needed,
                "core_hours": core_hours,
                "rows": table,
            },
            "arguments": arguments,
            **machine(),
        },
        out,
    )


def _yes(value: bool) -> str:
    return "yes" if value else "no"


if __name__ == "__main__":
    sys.exit(run_command(lambda: bench, sys.argv[1:], "benchmarks.training"))
