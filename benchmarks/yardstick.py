"""Compare the engine with plain implementations of the same models: time, memory, answers, share of the machine's rate.

python -m benchmarks.yardstick --workloads clip-100 stream-100 --threads 2
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from benchmarks.machine import (
    CPU,
    forget_peak,
    in_process,
    machine,
    measured_rates,
    moving_texture,
    now,
    peak,
    random_points,
    return_freed_memory,
    save_figures,
    use_threads,
)
from benchmarks.operations import operations_needed
from benchmarks.plain.models import PLAIN, random_model
from benchmarks.plain.windows import Model, Stream, track_video
from pointtrack.cli.runner import run_command
from pointtrack.config import InferenceOptions
from pointtrack.cotracker import Answers
from pointtrack.layers.precision import usable_precision
from pointtrack.models.device import pick_device
from pointtrack.models.point_tracker import PointTracker
from pointtrack.models.published import PUBLISHED, from_published
from pointtrack.models.window_loop import WindowLoop

ROUNDS = 6
# Peak memory does not grow with the rounds; the second round shows what is kept from one to the next.
ROUNDS_FOR_MEMORY = 2


@dataclass(frozen=True)
class Workload:
    """The work of a benchmark.

    Attributes:
        frames, points: numbers of frames and points.
        streaming: chunks of one window that overlap by half, as from a camera.
        models: models to run by default.
        wh: size of the frames.
    """

    frames: int
    points: int
    streaming: bool
    models: tuple[str, ...]
    wh: tuple[int, int] = (512, 384)


WORKLOADS = {
    "clip-100": Workload(24, 100, False, ("cotracker3-offline", "cotracker2")),
    "clip-1024": Workload(48, 1024, False, ("cotracker3-offline", "cotracker2")),
    "stream-100": Workload(40, 100, True, ("cotracker3-online", "cotracker2")),
    "stream-1024": Workload(40, 1024, True, ("cotracker3-online",)),
}


def run_plain(model: Model, video: Tensor, queries: Tensor, streaming: bool, rounds: int) -> Tensor:
    """Positions (1, t, n, 2) in pixels."""
    if not streaming:
        return track_video(model, video, queries, rounds).xy
    stream = Stream(model, queries, rounds)
    for start in range(0, video.shape[1] - stream.step, stream.step):
        answer = stream.push(video[:, start : start + stream.length])
    return answer.xy


def run_engine(tracker: PointTracker, video: Tensor, queries: Tensor) -> Tensor:
    """Positions (1, t, n, 2) in pixels; the same calls for files and streams."""
    loop = WindowLoop(tracker, queries[..., 0].long(), queries[..., 1:])
    answers = Answers(1, queries.shape[1])
    for frames in video.split(loop.step, dim=1):
        answers.add(loop.push(tracker.encode(frames)))
    answers.add(loop.finish())
    return answers.xy


def contestants(
    name: str, workload: Workload, precision: str, device: torch.device, rounds: int = ROUNDS
) -> dict[str, Callable[[], Tensor]]:
    """Two functions that track the same points through the same frames with the same weights."""
    plain = random_model(name).to(device)
    tracker = PointTracker(PUBLISHED[name].config).eval().requires_grad_(False).to(device)
    tracker.inference = InferenceOptions(precision, rounds, strict_parity=True)
    tracker.load_state_dict(from_published(plain.state_dict(), tracker, "random weights"))
    tracker.encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # as load_tracker does
    video = rearrange(
        torch.from_numpy(moving_texture(workload.frames, workload.wh)), "t h w c -> 1 t c h w"
    ).to(device, torch.float32)
    xy = random_points(workload.points, workload.wh)
    queries = torch.cat([torch.zeros(len(xy), 1), xy], dim=1)[None].to(device)
    return {
        "plain": lambda: run_plain(plain, video, queries, workload.streaming, rounds),
        "engine": lambda: run_engine(tracker, video, queries),
    }


def race(
    name: str, workload: Workload, precision: str, repeats: int, device: torch.device = CPU
) -> dict[str, Any]:
    """Run both alternately: the fastest wall-clock and CPU seconds of each, and the distance of their answers."""
    calls = contestants(name, workload, precision, device)
    if device.type != "cpu":  # a GPU's libraries choose their algorithms on the first run
        repeats += 1
    clock: dict[str, list[float]] = {who: [] for who in calls}
    processor: dict[str, list[float]] = {who: [] for who in calls}
    tracks = {}
    with torch.inference_mode():
        for _ in range(repeats):
            for who, call in calls.items():
                began, worked = now(device), time.process_time()
                tracks[who] = call()
                clock[who].append(now(device) - began)
                processor[who].append(time.process_time() - worked)
    apart = (tracks["plain"] - tracks["engine"]).norm(dim=-1)
    moved = (tracks["plain"] - tracks["plain"][:, :1]).norm(dim=-1)
    return {
        "seconds": {who: min(values) for who, values in clock.items()},
        "processor_seconds": {who: min(values) for who, values in processor.items()},
        "seconds_of_every_run": clock,
        "px_apart_median": float(apart.median()),
        "px_apart_max": float(apart.max()),
        "px_moved_median": float(moved.median()),
    }


def memory_of(
    who: str, name: str, workload: Workload, precision: str, device: torch.device = CPU
) -> dict[str, float]:
    """Peak memory of a run with fewer rounds, total and beyond the start, in MB: of the device, or of the process."""
    return_freed_memory()
    call = contestants(name, workload, precision, device, ROUNDS_FOR_MEMORY)[who]
    forget_peak(device)  # building both models may have taken more than the run does
    before = peak(device)
    with torch.inference_mode():
        call()
    return {"whole": peak(device) / 1e6, "beyond": (peak(device) - before) / 1e6}


def bench(
    workloads: list[str] | None = None,
    models: list[str] | None = None,
    frames: int | None = None,
    threads: int | None = None,
    precision: str = "float32",
    repeats: int = 2,
    device: str = "cpu",
    memory: bool = True,
    one: str | None = None,
    out: Path = Path("outputs/yardstick.json"),
) -> None:
    """Track with the engine and with the plain implementation alternately, and print a table of both.

    Args:
        workloads: clip-100, clip-1024, stream-100, stream-1024; all by default.
        models: cotracker2, cotracker2.1, cotracker3-offline, cotracker3-online; by default those that fit the workload.
        frames: length of the video, if it should differ from the workload's own.
        threads: threads of torch; by default its own choice.
        precision: precision of the engine, float32 or bfloat16; the plain implementation stays in float32.
        repeats: runs of each; the fastest counts. On a GPU there is one more run to warm up.
        device: cpu, cuda, mps, or auto.
        memory: also measure peak memory, each in its own process.
        one: plain or engine: run the one workload and model once and print its memory as JSON.
        out: JSON file for the figures; a plot is written beside it.
    """
    chosen = workloads or list(WORKLOADS)
    unknown = [*(set(chosen) - set(WORKLOADS)), *(set(models or []) - set(PLAIN))]
    if unknown or precision not in ("float32", "bfloat16") or min(repeats, frames or 1) < 1:
        raise ValueError(
            f"expected workloads of {', '.join(WORKLOADS)}, models of {', '.join(PLAIN)}, precision float32 or bfloat16, "
            f"1 repeat and frame or more; got {', '.join(unknown) or 'known names'}, {precision}, {repeats}, {frames}"
        )
    use_threads(threads)
    place = pick_device(device)
    precision = usable_precision(precision, place)
    works = {name: replace(WORKLOADS[name], frames=frames or WORKLOADS[name].frames) for name in chosen}
    if one is not None:
        work = works[chosen[0]]
        print(json.dumps(memory_of(one, (models or work.models)[0], work, precision, place)))
        return
    rates = measured_rates(place)
    about = machine(place)
    print(
        f"{about.get('gpu', about['processor'])}, {torch.get_num_threads()} threads: matrix product "
        f"{rates['matrix_product'] / 1e9:.0f} GFLOP/s, convolution {rates['convolution'] / 1e9:.0f} GFLOP/s, "
        f"copy {rates['copy'] / 1e9:.1f} GB/s\n"
    )
    print(HEADER)
    rows = []
    for workload, work in works.items():
        for name in models or work.models:
            if work.streaming and PUBLISHED[name].config.window.length is None:
                raise ValueError(f"{workload}: expected a model of windows, got {name}")
            row: dict[str, Any] = {"workload": workload, "model": name, "frames": work.frames}
            row |= race(name, work, precision, repeats, place)
            row["operations"] = operations_needed(name, work.frames, work.points, work.wh, ROUNDS)
            row["rate"] = row["operations"] / row["seconds"]["engine"]
            row["share_of_rate"] = row["rate"] / max(rates["matrix_product"], rates["convolution"])
            if memory:
                options = ["--workloads", workload, "--models", name, "--precision", precision]
                options += ["--threads", str(torch.get_num_threads()), "--frames", str(work.frames)]
                options += ["--device", str(place)]
                row["memory_mb"] = {
                    who: in_process("benchmarks.yardstick", [*options, "--one", who])
                    for who in ("plain", "engine")
                }
            rows.append(row)
            print(table_row(row), flush=True)
    figures = {"rows": rows, "rates": rates, "precision": precision, "repeats": repeats, **about}
    save_figures(figures, out)
    plot(rows, out.with_suffix(".png"))


HEADER = (
    "| workload | model | frames | plain s | engine s | ratio | of processor time | plain MB | engine MB | share | TFLOP | "
    "GFLOP/s | of the machine's | px apart, median / most |\n"
    "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
)


def table_row(row: dict[str, Any]) -> str:
    """A line of the table; memory counts beyond the loaded model."""
    seconds, worked, memory = row["seconds"], row["processor_seconds"], row.get("memory_mb")
    cells = [
        row["workload"],
        row["model"],
        str(row["frames"]),
        f"{seconds['plain']:.1f}",
        f"{seconds['engine']:.1f}",
        f"{seconds['plain'] / seconds['engine']:.2f}",
        f"{worked['plain'] / worked['engine']:.2f}",
        *(f"{memory[who]['beyond']:.0f}" if memory else "" for who in ("plain", "engine")),
        f"{memory['engine']['beyond'] / memory['plain']['beyond']:.2f}" if memory else "",
        f"{row['operations'] / 1e12:.2f}",
        f"{row['rate'] / 1e9:.0f}",
        f"{100 * row['share_of_rate']:.0f} %",
        f"{row['px_apart_median']:.1e} / {row['px_apart_max']:.1e}",
    ]
    return f"| {' | '.join(cells)} |"


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Plot bars of the seconds of both, with their ratio."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 1.2 + 0.6 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for offset, who in ((-0.2, "plain"), (0.2, "engine")):
        places = [i + offset for i in range(len(rows))]
        axes.barh(places, [row["seconds"][who] for row in rows], 0.38, label=who)
    for i, row in enumerate(rows):
        ratio = row["seconds"]["plain"] / row["seconds"]["engine"]
        axes.text(row["seconds"]["engine"], i + 0.2, f"  {ratio:.2f} times as fast", va="center")
    axes.set_yticks(range(len(rows)), [f"{row['model']}\n{row['workload']}" for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel("seconds")
    axes.legend()
    figure.savefig(path, dpi=110)
    print(f"plot      {path}")


if __name__ == "__main__":
    sys.exit(run_command(lambda: bench, sys.argv[1:], "benchmarks.yardstick"))
