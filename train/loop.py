"""The training loop of all tasks, on Lightning Fabric, from a laptop's CPU to several GPUs.

Batch `i` of a run depends on the seed and `i` alone, and a checkpoint holds weights, their running
average, optimizer and step. So a stopped run continues exactly where it was.
"""

from __future__ import annotations

import copy
import csv
import importlib.util
import itertools
import logging
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from pointtrack.layers import precision
from pointtrack.system import peak_memory
from train.data.ahead import one_thread
from train.data.batch import ClipBatch
from train.settings import note_settings

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # which takes seconds to import: `--help` and mistakes need none

log = logging.getLogger(__name__)

CHECKPOINT = "last.ckpt"  # in the folder of a run

COLUMNS = ["step", "unix_time", "name", "value"]  # of log.csv


@dataclass(frozen=True)
class LoopConfig:
    """Length of the training, learning rate and device.

    Attributes:
        steps: optimizer steps of the whole run, over which the learning rate falls along a cosine to a hundredth.
        minutes: length of the whole run by the clock, instead of steps. Validations and checkpoints during the run
            count, those at the end come on top. A stopped run continues with the time left at its last checkpoint.
        learning_rate: the highest learning rate.
        warmup: steps over which the learning rate rises to that.
        weight_decay: weight decay of AdamW.
        accumulate: batches per optimizer step.
        clip_norm: largest norm of the gradient.
        average: decay of the running average of the weights; the run validates and saves this average.
        log_every, validate_every, save_every: intervals in steps.
        workers: processes that make batches; with 0 the loop makes them. A GPU makes synthetic clips itself, in the
            loop; there the workers read recorded clips, and make the pictures for segmenting.
        bf16: run matrix products and convolutions in bfloat16 (weights and coordinates stay float32) on devices where
            that is faster.
        recompute: keep less of the forward pass and recompute it in the backward pass (gradient checkpointing): same
            gradients, less memory, more time. `train/checkpointing.py` lists what it keeps.
        accelerator, devices, nodes: settings of Fabric; torchrun overrides the last two.
        seed: seed of the data and the initial weights.
    """

    steps: int = 10_000
    minutes: float | None = None
    learning_rate: float = 5e-4
    warmup: int = 200
    weight_decay: float = 1e-4
    accumulate: int = 1
    clip_norm: float = 1.0
    average: float = 0.999
    log_every: int = 20
    validate_every: int = 500
    save_every: int = 250
    workers: int = 1
    bf16: bool = True
    recompute: bool = False
    accelerator: str = "auto"
    devices: int = 1
    nodes: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.minutes is not None and not 0 < self.minutes < float("inf"):
            raise ValueError(f"loop: expected minutes above 0, got {self.minutes}")


class Task(nn.Module):
    """A training task: a module whose forward pass returns a loss, and which can validate itself.

    Attributes:
        recompute: `LoopConfig.recompute`, set by `run`; a task with nothing to recompute ignores it.
    """

    recompute = False

    def forward(self, batch: ClipBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the loss of a batch, and figures for the log."""
        raise NotImplementedError

    def validate(self, folder: Path) -> dict[str, float]:
        """Compute figures on held-out clips; may write pictures to `folder`."""
        raise NotImplementedError

    def save(self, path: Path) -> None:
        """Write the file that a user of the library loads."""
        raise NotImplementedError

    def is_finished(self) -> bool:
        """Whether to stop early; called on the running average at the start and after every validation."""
        return False


def make_fabric(config: LoopConfig, out: Path) -> Fabric:
    """A launched Fabric for this machine. Call this before you put anything on a device.

    Under torchrun, torchrun sets the number of processes. If tensorboard is installed, the figures of the log also
    go to `out` in its format.
    """
    from lightning_fabric import Fabric
    from lightning_fabric.loggers import TensorBoardLogger

    # Fabric's own mixed precision would round every float input to bfloat16, coordinates included (an error
    # of a pixel at x = 256); hence float32 here, and autocast around the forward pass in `run`.
    loggers = []
    if importlib.util.find_spec("tensorboard"):
        loggers.append(TensorBoardLogger(out, name="tensorboard", version=""))
    devices, nodes = config.devices, config.nodes
    if "TORCHELASTIC_RUN_ID" in os.environ:
        # With the settings at 1, Fabric would let every process train on its own.
        devices, nodes = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["GROUP_WORLD_SIZE"])
    fabric = Fabric(accelerator=config.accelerator, devices=devices, num_nodes=nodes, loggers=loggers)  # type: ignore[arg-type]
    fabric.launch()
    return fabric


def for_clips(config: LoopConfig, fabric: Fabric) -> tuple[LoopConfig, int]:
    """Settings of the loop for synthetic clips, and the number of processes that read recorded clips beside it.

    A GPU makes its synthetic clips itself, in the loop; on a CPU, workers make all batches. Each of several GPUs has
    its own readers.
    """
    if fabric.device.type == "cpu":
        return config, 0
    return replace(config, workers=0), config.workers if fabric.world_size == 1 else 0


def run(
    task: Task,
    clips: Dataset,
    config: LoopConfig,
    out: Path,
    fabric: Fabric | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Task:
    """Train `task` on `clips` until `config.steps` (or `minutes`) or `task.is_finished`.

    Continues from `out/last.ckpt` if it exists. Returns the running average of the task, which it also writes to
    `out/model.safetensors`. A new run writes its `settings` there, if some are given.
    """
    out.mkdir(parents=True, exist_ok=True)
    fabric = fabric or make_fabric(config, out)
    task.recompute = config.recompute
    averaged = fabric.to_device(copy.deepcopy(task)).eval().requires_grad_(False)
    if fabric.device.type == "cuda":
        torch.set_float32_matmul_precision("high")  # TF32: precise enough for training
    learnt = [p for p in task.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learnt, lr=config.learning_rate, weight_decay=config.weight_decay)
    model, optimizer = fabric.setup(task, optimizer)
    state = {"model": model, "averaged": averaged, "optimizer": optimizer, "step": 0}
    checkpoint = out / CHECKPOINT
    clock = _Clock(config.minutes, fabric)
    if settings is not None and fabric.is_global_zero and not checkpoint.exists():
        note_settings(out, settings)
    if checkpoint.exists():
        clock.go_on(fabric.load(checkpoint, state))
        log.info("going on from step %d of %s", state["step"], checkpoint)
    start = int(state["step"])
    finished = fabric.broadcast(averaged.is_finished())  # type: ignore[operator]

    # Without a warning: bfloat16 is the default, so the user need not have asked for it.
    bf16 = config.bf16 and precision.computes_bfloat16(fabric.device)
    nothing_left = finished or clock.is_over() or (config.minutes is None and start >= config.steps)
    if nothing_left and start:
        log.info(
            "%s is complete: nothing is trained. More steps (--loop.steps, --loop.minutes) continue it, another --out begins anew",
            out / "model.safetensors",
        )
    batches = numbered_batches(clips, start * config.accumulate, config, fabric)
    journal = _Journal(out / "log.csv", fabric, start)
    steps: Iterable[int] = range(start, config.steps) if config.minutes is None else itertools.count(start)
    for step in [] if nothing_left else steps:
        rate = learning_rate(step, config, clock.seconds)
        for group in optimizer.param_groups:
            group["lr"] = rate
        for part in range(config.accumulate):
            batch = journal.timed(lambda: next(batches))
            with fabric.no_backward_sync(model, enabled=part + 1 < config.accumulate):
                with torch.autocast(fabric.device.type, torch.bfloat16, enabled=bf16):
                    loss, figures = model(batch)
                fabric.backward(loss / config.accumulate)
            journal.add(len(batch) * fabric.world_size, {"loss": loss.detach(), **figures})
        norm = fabric.clip_gradients(model, optimizer, max_norm=config.clip_norm, error_if_nonfinite=False)
        if torch.isfinite(norm):  # type: ignore[arg-type]  # one broken batch must not cost the run
            optimizer.step()
            update_average(averaged, task, min(config.average, (step + 1) / (step + 10)))
        else:
            log.warning("step %d: the gradient is not finite, step left out", step)
        optimizer.zero_grad(set_to_none=True)
        done = state["step"] = step + 1
        clock.read()
        last = done == config.steps if config.minutes is None else clock.is_over()
        if done % config.log_every == 0:
            journal.write_means(done, rate)
        if done % config.validate_every == 0 or last:
            if fabric.is_global_zero:
                figures = averaged.validate(out)  # type: ignore[operator]
                journal.write(done, {f"val_{name}": value for name, value in figures.items()})
            finished = fabric.broadcast(averaged.is_finished())  # type: ignore[operator]  # only the first process validated
        if done % config.save_every == 0 or last or finished:
            # The checkpoint last: a run killed between the two continues from the one before, and writes both.
            if fabric.is_global_zero:
                averaged.save(out / "model.safetensors")  # type: ignore[operator]
            # A run killed while it saves keeps the last checkpoint.
            unfinished = checkpoint.with_name(f".{checkpoint.name}.part")
            fabric.save(unfinished, {**state, **clock.state()})
            if fabric.is_global_zero:
                unfinished.replace(checkpoint)
        if finished or (last and config.minutes is not None):
            log.info("stopped after step %d", done)
            break
    return averaged  # type: ignore[return-value]


class _Clock:
    """Elapsed time of a run with a limit in minutes; does nothing without such a limit.

    Attributes:
        seconds: reading after the last step. All processes use that of the first, so that they stop at the same step
            and have the same learning rate.
    """

    def __init__(self, minutes: float | None, fabric: Fabric):
        self.minutes, self.fabric = minutes, fabric
        self.seconds = 0.0
        self._start = time.monotonic()

    def go_on(self, saved: dict[str, float]) -> None:
        """Continue from the time in a checkpoint, or from zero if it holds none."""
        self.seconds = float(saved.get("seconds", 0.0))
        self._start = time.monotonic() - self.seconds

    def read(self) -> None:
        if self.minutes is not None:
            self.seconds = self.fabric.broadcast(time.monotonic() - self._start)

    def is_over(self) -> bool:
        return self.minutes is not None and self.seconds >= 60 * self.minutes

    def state(self) -> dict[str, float]:
        """The time until now, for the checkpoint; includes a validation just before it."""
        if self.minutes is None:
            return {}
        return {"seconds": time.monotonic() - self._start}


def learning_rate(step: int, config: LoopConfig, seconds: float = 0.0) -> float:
    """Linear warm-up, then half a cosine down to a hundredth at the last step, or when `minutes` are over."""
    if step < config.warmup:
        return config.learning_rate * (step + 1) / config.warmup
    if config.minutes is None:
        progress = (step - config.warmup) / max(config.steps - config.warmup, 1)
    else:
        progress = min(seconds / (60 * config.minutes), 1.0)
    fall = 0.5 * (1 + torch.cos(torch.tensor(torch.pi * progress)).item())
    return config.learning_rate * (0.01 + 0.99 * fall)


@torch.no_grad()
def update_average(averaged: nn.Module, model: nn.Module, decay: float) -> None:
    """averaged = decay * averaged + (1 - decay) * model, buffers copied."""
    for old, new in zip(averaged.parameters(), model.parameters(), strict=True):
        old.lerp_(new.detach().to(old.dtype), 1 - decay)
    for old, new in zip(averaged.buffers(), model.buffers(), strict=True):  # type: ignore[assignment]
        old.copy_(new)


def numbered_batches(clips: Dataset, first: int, config: LoopConfig, fabric: Fabric) -> Iterator[ClipBatch]:
    """Batches first, first + 1, ...; of several processes, each takes its share of the numbers."""
    numbers = range(first * fabric.world_size + fabric.global_rank, 2**40, fabric.world_size)
    loader = DataLoader(
        clips,
        batch_size=None,
        sampler=numbers,  # type: ignore[arg-type]
        num_workers=config.workers,
        prefetch_factor=4 if config.workers else None,
        worker_init_fn=one_thread if config.workers else None,
    )
    for batch in loader:
        yield batch.to(fabric.device)


class _Journal:
    """Log of means since the last line, speed, share of time spent waiting for data, and peak memory.

    Loss, speed, share and memory cover all processes. The parts of the loss are those of the first process, since tasks
    may name them differently from batch to batch. A run killed before its next checkpoint leaves lines after `start`;
    these are removed from the file.
    """

    def __init__(self, path: Path, fabric: Fabric, start: int):
        self.path, self.fabric = path, fabric
        if fabric.is_global_zero and path.exists():
            _keep_rows(path, start)
        self._reset()

    def _reset(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.batches, self.clips, self.waited, self.since = 0, 0, 0.0, time.perf_counter()

    def timed(self, get):
        """Call `get` and count its time as time spent waiting for data."""
        start = time.perf_counter()
        result = get()
        self.waited += time.perf_counter() - start
        return result

    def add(self, clips: int, figures: dict[str, Tensor]) -> None:
        """Add the figures of one batch, without synchronising with the device."""
        self.batches, self.clips = self.batches + 1, self.clips + clips
        for name, value in figures.items():
            self.sums[name] = self.sums.get(name, 0.0) + value.detach()

    def write_means(self, step: int, rate: float) -> None:
        """Write the means over all processes; every process must call this."""
        # The device first: its queue is part of the time.
        means = {name: float(value) / max(self.batches, 1) for name, value in self.sums.items()}
        seconds = max(time.perf_counter() - self.since, 1e-9)
        means |= {"clips_per_s": self.clips / seconds, "data_share": self.waited / seconds}
        for name in ("loss", "clips_per_s", "data_share"):
            means[name] = self._over_processes(means[name], "mean")
        memory = self._over_processes(self._peak_memory() / 1e9, "max")
        self.write(step, {**means, "rate": rate, "memory_gb": memory})
        self._reset()

    def _over_processes(self, value: float, operation: str) -> float:
        return float(
            self.fabric.all_reduce(torch.tensor(value, device=self.fabric.device), reduce_op=operation)  # type: ignore[arg-type]
        )

    def write(self, step: int, figures: dict[str, float]) -> None:
        """Write figures to the log and to log.csv (on the first process)."""
        if not self.fabric.is_global_zero:
            return
        self.fabric.log_dict(figures, step)
        log.info("step %d  %s", step, "  ".join(f"{k} {v:.4g}" for k, v in figures.items()))
        new = not self.path.exists()
        with self.path.open("a", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(COLUMNS)
            writer.writerows([step, f"{time.time():.0f}", k, f"{v:.6g}"] for k, v in figures.items())

    def _peak_memory(self) -> int:
        """Peak bytes so far: of tensors on a GPU, otherwise of this process (without workers)."""
        device = self.fabric.device
        return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else peak_memory()


def _keep_rows(path: Path, last: int) -> None:
    """Keep the complete rows of a log.csv up to step `last`."""
    with path.open(newline="") as file:
        rows = [row for row in csv.reader(file) if len(row) == len(COLUMNS) and row[0].isdigit()]
    kept = [row for row in rows if int(row[0]) <= last]
    part = path.with_suffix(".part")
    with part.open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *kept])
    part.replace(path)
