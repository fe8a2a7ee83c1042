"""Time all trackers on the same work, and LocoTrack and AllTracker also against plain implementations.

python -m benchmarks.engines --models '[locotrack-small,alltracker-tiny]' --threads 1
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.machine import (
    CPU,
    forget_peak,
    in_process,
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
from pointtrack.config import InferenceOptions
from pointtrack.geometry import rescale_points, resize_frames
from pointtrack.layers.precision import usable_precision
from pointtrack.models.families import FAMILIES, PUBLISHED, family_of
from pointtrack.tracking.support import with_support
from pointtrack.tracking.window_stream import WindowStream
from pointtrack.types import Queries, Tracks
from pointtrack.zoo import SHIPPED, load_tracker

WH = (512, 384)
PLAIN = ("locotrack-small", "locotrack-base", "alltracker-tiny")
NAMES = (*SHIPPED, *(name for name in PUBLISHED if not name.endswith("-baseline")))


def random_weights(name: str, seed: int = 0) -> dict[str, Tensor]:
    """The tensors of a published file with random values, scaled so that they move points by pixels."""
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


def network_of(name: str, precision: str = "float32") -> Any:
    """A tracker by name: the shipped weights, or random ones of a published model's shape."""
    if name in SHIPPED:
        return load_tracker(name, device="cpu", precision=precision)
    config = PUBLISHED[name].config
    kind = family_of(config)
    network = FAMILIES[kind].network(config).eval().requires_grad_(False)
    if kind != "point_tracker":
        network.load_state_dict(FAMILIES[kind].from_published(random_weights(name), network, "random"))
    network.inference = InferenceOptions(precision)
    network.get_submodule("encoder").to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # as load_tracker
    return network


def contestant(
    name: str, who: str, frames: int, points: int, precision: str = "float32"
) -> Callable[[], Tensor]:
    """A function that tracks points of frame 0 through a clip: (t, n, 2) pixels.

    Args:
        name: name of the tracker.
        who: "ours", or "plain" for another implementation on the same weights.
        frames, points: size of the work.
        precision: precision of "ours".
    """
    clip, xy = moving_texture(frames, WH), random_points(points, WH).round()
    if who == "ours":
        network = network_of(name, precision)
        queries = with_support(network, Queries(torch.zeros(points), xy), WH)

        def ours() -> Tensor:
            stream = WindowStream(network, queries, WH)
            rows = [*(stream.push(frame) for frame in clip), stream.finish()]
            return Tracks.concat(rows).requested().xy

        return ours
    weights, config = random_weights(name), PUBLISHED[name].config
    video = torch.from_numpy(clip).movedim(-1, 1)
    if family_of(config) == "locotrack":
        wh, size = config.input_wh, name.partition("-")[2]
        frame = torch.zeros(points, dtype=torch.int64)

        def plain() -> Tensor:
            small, places = resize_frames(video, wh, "plain"), rescale_points(xy, WH, wh, "plain")
            found = plain_locotrack.track(weights, small, frame, places + 0.5, size) - 0.5
            return rescale_points(found, wh, WH, "plain")

        return plain
    encoder = plain_alltracker.TinyEncoder().eval().requires_grad_(False)
    encoder.load_state_dict({k.removeprefix("fnet."): x for k, x in weights.items() if k.startswith("fnet.")})
    return lambda: plain_alltracker.track(weights, encoder, video.float(), xy.long())


def measure(call: Callable[[], Tensor], repeats: int, out: Path) -> dict[str, float]:
    """CPU seconds of the fastest run, and megabytes beyond the loaded model; writes the tracks to `out`."""
    seconds = []
    return_freed_memory()
    forget_peak(CPU)
    before = peak(CPU)
    with torch.inference_mode():
        for _ in range(repeats):
            began = time.process_time()
            tracks = call()
            seconds.append(time.process_time() - began)
    torch.save(tracks, out)
    return {"seconds": min(seconds), "megabytes": (peak(CPU) - before) / 1e6}


def bench(
    models: list[str] | None = None,
    frames: int = 24,
    points: int = 100,
    threads: int | None = None,
    repeats: int = 1,
    precision: str = "float32",
    one: str | None = None,
    out: Path = Path("outputs/engines.json"),
) -> None:
    """Track the same points with several trackers, each in its own process: CPU seconds, memory, answers.

    Args:
        models: names of trackers; all by default. Published ones get random weights.
        frames, points: size of the work; the video is 512 x 384.
        threads: threads of torch; by default its own choice.
        repeats: runs of each; the fastest counts.
        precision: precision of ours, float32 or bfloat16; plain implementations use float32.
        one: plain or ours: measure the first model in this process and print its figures as JSON.
        out: JSON file for the figures.
    """
    names = models or list(NAMES)
    if unknown := set(names) - set(NAMES):
        raise ValueError(f"models: expected some of {', '.join(NAMES)}, got {', '.join(sorted(unknown))}")
    use_threads(threads)
    precision = usable_precision(precision, CPU)
    if one is not None:
        call = contestant(names[0], one, frames, points, precision)
        print(json.dumps(measure(call, repeats, out)))
        return
    print("| model | seconds | MB | plain s | ratio | plain MB | share | px apart, median / most |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    rows = []
    for name in names:
        found, tracks = {}, {}
        for who in ("plain", "ours") if name in PLAIN else ("ours",):
            handle, path = tempfile.mkstemp(suffix=".pt")
            os.close(handle)
            options = {"frames": frames, "points": points, "threads": torch.get_num_threads(), "repeats": repeats, "precision": precision, "one": who, "out": path}  # fmt: skip
            words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
            found[who] = in_process("benchmarks.engines", ["--models", f"[{name}]", *words])
            tracks[who] = torch.load(path)
            Path(path).unlink()
        rows.append({"model": name, **found})
        line = f"| {name} | {found['ours']['seconds']:.1f} | {found['ours']['megabytes']:.0f} |"
        if "plain" in found:
            ratio = found["plain"]["seconds"] / found["ours"]["seconds"]
            share = found["ours"]["megabytes"] / found["plain"]["megabytes"]
            apart = (tracks["plain"][1:] - tracks["ours"][1:]).norm(dim=-1)
            rows[-1] |= {"px_apart_median": float(apart.median()), "px_apart_max": float(apart.max())}
            line += (
                f" {found['plain']['seconds']:.1f} | {ratio:.2f} | {found['plain']['megabytes']:.0f} | {share:.2f} | "
                f"{rows[-1]['px_apart_median']:.1e} / {rows[-1]['px_apart_max']:.1e} |"
            )
        print(line, flush=True)
    work = {"frames": frames, "points": points, "wh": WH, "precision": precision}
    save_figures({"rows": rows, **work, **machine(CPU)}, out)


if __name__ == "__main__":
    sys.exit(run_command(lambda: bench, sys.argv[1:], "benchmarks.engines"))
