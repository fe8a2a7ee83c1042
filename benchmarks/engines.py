"""LocoTrack and AllTracker against plain implementations of them, and every tracker at the same work.

python -m benchmarks.engines --models locotrack-small alltracker-tiny --threads 1
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.machine import (
    CPU,
    forget_peak,
    machine,
    moving_texture,
    peak,
    random_points,
    return_freed_memory,
    save_figures,
    use_threads,
)
from benchmarks.plain import alltracker as plain_alltracker
from benchmarks.plain import locotrack as plain_locotrack
from pointtrack.cli.runner import run_command
from pointtrack.models.families import FAMILIES, PUBLISHED, family_of
from pointtrack.tracking.window_stream import WindowStream
from pointtrack.types import Queries, Tracks

PLAIN = ("locotrack-small", "locotrack-base", "alltracker-tiny")
WH = {"locotrack": (256, 256), "alltracker": (512, 384)}


def random_weights(name: str, seed: int = 0) -> dict[str, Tensor]:
    """A published file's tensors, random but of sizes that move points by pixels."""
    from pointtrack.models.alltracker import weights as alltracker
    from pointtrack.models.locotrack import weights as locotrack

    module: Any = locotrack if name.startswith("locotrack") else alltracker
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for key, shape in module.published_shapes(module.build(PUBLISHED[name].config)).items():
        noise = torch.randn(shape, generator=generator)
        fan_in = max(1, torch.Size(shape[1:]).numel())
        tensors[key] = noise / fan_in**0.5 if len(shape) > 1 else 0.02 * noise + key.endswith("weight")
        if key.endswith("layer_scale"):
            tensors[key] = 0.3 * noise
    for key in ("flow_head.2.weight", "visconf_head.2.weight"):
        if key in tensors:
            tensors[key] *= 0.3
    if "time_emb" in tensors:
        tensors["time_emb"] = FAMILIES["alltracker"].network(PUBLISHED[name].config).time_table[None]
    return tensors


def contestants(name: str, frames: int, points: int) -> dict[str, Callable[[], Tensor]]:
    """Two calls that track the same points of frame 0 with the same weights: (t, n, 2) pixels."""
    config = PUBLISHED[name].config
    kind = family_of(config)
    wh, weights = WH[kind], random_weights(name)
    network = FAMILIES[kind].network(config).eval().requires_grad_(False)
    network.load_state_dict(FAMILIES[kind].from_published(weights, network, "random weights"))
    network.get_submodule("encoder").to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # as load_tracker
    clip = moving_texture(frames, wh)
    video = torch.from_numpy(clip).movedim(-1, 1).float()
    xy = random_points(points, wh).round()
    queries = Queries(torch.zeros(points), xy)

    def engine() -> Tensor:
        stream = WindowStream(network, queries, wh)
        return Tracks.concat([*(stream.push(frame) for frame in clip), stream.finish()]).xy

    if kind == "locotrack":
        size = name.partition("-")[2]
        frame = torch.zeros(points, dtype=torch.int64)
        return {
            "plain": lambda: plain_locotrack.track(weights, video, frame, xy + 0.5, size) - 0.5,
            "engine": engine,
        }
    encoder = plain_alltracker.TinyEncoder().eval().requires_grad_(False)
    encoder.load_state_dict({k.removeprefix("fnet."): x for k, x in weights.items() if k.startswith("fnet.")})
    return {"plain": lambda: plain_alltracker.track(weights, encoder, video, xy.long()), "engine": engine}


def bench(
    models: list[str] | None = None,
    frames: int = 24,
    points: int = 100,
    threads: int | None = None,
    repeats: int = 2,
    one: str | None = None,
    out: Path = Path("outputs/engines.json"),
) -> None:
    """Track with ours and with the plain implementation in turns: seconds of the processor, memory, answers.

    Args:
        models: locotrack-small, locotrack-base, alltracker-tiny; all by default.
        frames, points: of the work.
        threads: of torch; its own choice if left out.
        repeats: runs of each; the fastest counts.
        one: plain or engine: run the first model once and print its memory as JSON.
        out: JSON file for the figures.
    """
    names = models or list(PLAIN)
    if unknown := set(names) - set(PLAIN):
        raise ValueError(f"models: expected some of {', '.join(PLAIN)}, got {', '.join(sorted(unknown))}")
    use_threads(threads)
    if one is not None:
        call = contestants(names[0], frames, points)[one]
        return_freed_memory()
        forget_peak(CPU)
        before = peak(CPU)
        with torch.inference_mode():
            call()
        print(json.dumps({"beyond": (peak(CPU) - before) / 1e6, "whole": peak(CPU) / 1e6}))
        return
    print("| model | plain s | ours s | ratio | plain MB | ours MB | share | px apart, median / most |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    rows = []
    for name in names:
        # First: a process inherits the peak of the one that starts it.
        memory = {}
        for who in ("plain", "engine"):
            command = [sys.executable, "-m", "benchmarks.engines", "--models", name, "--one", who]
            command += [
                "--frames",
                str(frames),
                "--points",
                str(points),
                "--threads",
                str(torch.get_num_threads()),
            ]
            memory[who] = json.loads(
                subprocess.run(command, check=True, capture_output=True, text=True).stdout
            )["beyond"]
        calls, seconds, tracks = contestants(name, frames, points), {}, {}
        for _ in range(repeats):
            for who, call in calls.items():
                began = time.process_time()
                with torch.inference_mode():
                    tracks[who] = call()
                seconds[who] = min(seconds.get(who, float("inf")), time.process_time() - began)
        apart = (tracks["plain"][1:] - tracks["engine"][1:]).norm(dim=-1)
        row = {
            "model": name,
            "frames": frames,
            "points": points,
            "processor_seconds": seconds,
            "memory_mb": memory,
        }
        row |= {"px_apart_median": float(apart.median()), "px_apart_max": float(apart.max())}
        rows.append(row)
        print(
            f"| {name} | {seconds['plain']:.1f} | {seconds['engine']:.1f} | {seconds['plain'] / seconds['engine']:.2f} | "
            f"{memory['plain']:.0f} | {memory['engine']:.0f} | {memory['engine'] / memory['plain']:.2f} | "
            f"{row['px_apart_median']:.1e} / {row['px_apart_max']:.1e} |",
            flush=True,
        )
    save_figures({"rows": rows, **machine(CPU)}, out)


if __name__ == "__main__":
    sys.exit(run_command(lambda: bench, sys.argv[1:], "benchmarks.engines"))
