"""Runs a batch from the source to the last row; does what is missing, and nothing twice."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pointtrack.fleet.adopt import adopted_row
from pointtrack.fleet.estimate import Estimate, estimate_batch
from pointtrack.fleet.executors import Attempt, Executor, LocalExecutor, RayExecutor, default_workers
from pointtrack.fleet.job import JobSetup, main_name
from pointtrack.fleet.ledger import LedgerWriter, read_rows
from pointtrack.fleet.manifest import VideoTask, read_source
from pointtrack.fleet.options import JobOptions, RunOptions
from pointtrack.fleet.output import Output
from pointtrack.fleet.pack import Packer
from pointtrack.fleet.settings import keep_settings, weights_digest
from pointtrack.system import machine_memory

log = logging.getLogger(__name__)

MEMORY_SHARE = 0.8  # share of the machine's memory for all workers together


@dataclass(frozen=True)
class BatchResult:
    """How far a batch is.

    Attributes:
        videos: number of videos in the source, or in this shard of it.
        done: those of them with results.
        failed: those of them that were put aside.
        ended: those that this call processed or put aside.
        frames: frames of the videos that this call processed.
        seconds: duration of this call.
    """

    videos: int
    done: int
    failed: int
    ended: int = 0
    frames: int = 0
    seconds: float = 0.0

    @property
    def left(self) -> int:
        """Videos still to do."""
        return self.videos - self.done - self.failed


@dataclass(frozen=True)
class Plan:
    """What a batch would do.

    Attributes:
        result: how far it is.
        workers: processes on this machine, or CPUs of the cluster divided by the threads of a worker; None if unknown.
        estimate: measured on a few of the missing videos; None if there are none.
    """

    result: BatchResult
    workers: int | None
    estimate: Estimate | None


Progress = Callable[[BatchResult], None]


def batch(
    source: str | Path,
    out: str | Path,
    job: JobOptions | None = None,
    run: RunOptions | None = None,
    *,
    progress: Progress | None = None,
) -> BatchResult:
    """Track points or follow objects in every video of a source, once.

    A second call with the same arguments does what is missing. Results lie under `tracks/`, `masks/`, `exports/`,
    `previews/` and `edited/` of OUT, with the names of the videos. `ledger/` has a row for each video, and `logs/` the messages about
    single ones. A script that calls this needs `if __name__ == "__main__":`, as workers are processes.

    Args:
        source: a folder, a pattern, a prefix in a store (s3://...), or a manifest (.csv, .jsonl, .parquet).
        out: folder, or prefix in a store.
        job: what to do with every video.
        run: where the batch runs, and within which limits.
        progress: called after every video.

    Returns:
        How far the batch is.

    Raises:
        FileNotFoundError: the source or the weights do not exist.
        ValueError: the options make no sense or differ from those that OUT was begun with, or another driver works there.
        OSError: OUT cannot be written to, as when the disk is full.
    """
    job, run = (job or JobOptions()).checked(), run or RunOptions()
    run.checked_with(job)
    tasks = _shard(read_source(source, job), run)
    output = Output(out)
    output.check()
    with output.lock(run.part()):
        weights = weights_digest(job)
        keep_settings(output, job, weights)
        setup = _setup(output, job, run, weights)
        ledger = LedgerWriter(output, setup.run)
        packer = Packer(output, setup.staging, run.pack) if setup.staging else None
        try:
            todo, result = _missing(output, setup, run, tasks, ledger, packer)
            if todo:
                executor = make_executor(setup, run)
                result = drive(
                    executor,
                    _feed(output, setup, todo, run),
                    ledger,
                    result,
                    packer=packer,
                    progress=progress,
                )
            if packer is not None:
                packer.pack()
        finally:
            ledger.close()
    return result


def plan(
    source: str | Path, out: str | Path, job: JobOptions | None = None, run: RunOptions | None = None
) -> Plan:
    """What `batch` would do with the same arguments, and how long it would take. Writes nothing to OUT.

    To measure this, it tracks some frames of a few of the missing videos.
    """
    job, run = (job or JobOptions()).checked(), run or RunOptions()
    run.checked_with(job)
    tasks = _shard(read_source(source, job), run)
    output = Output(out)
    setup = _setup(output, job, run, "")
    todo, result = _missing(output, setup, run, tasks, None, None)
    workers = run.workers
    if workers is None and run.ray is None:
        workers = default_workers(job.threads, job.device)
    estimate = estimate_batch([task for task, _ in todo], setup, workers or 1) if todo else None
    return Plan(result, workers, estimate)


def make_executor(setup: JobSetup, run: RunOptions) -> Executor:
    """The executor that processes the videos."""
    if run.ray is not None:
        return RayExecutor(setup, run.ray, workers=run.workers, gpus=run.gpus)
    workers = run.workers or default_workers(setup.options.threads, setup.options.device)
    memory = machine_memory()
    if setup.limit_memory is None and memory is not None:
        setup = replace(setup, limit_memory=int(MEMORY_SHARE * memory / workers))
    return LocalExecutor(setup, workers)


def drive(
    executor: Executor,
    tasks: Iterator[Attempt],
    ledger: LedgerWriter,
    result: BatchResult,
    *,
    packer: Packer | None = None,
    progress: Progress | None = None,
) -> BatchResult:
    """Run the tasks on an executor, store its rows, and close it."""
    began = time.monotonic()
    with contextlib.closing(executor):
        for row in executor.run(tasks):
            ledger.add(row)  # before packing, so that every packed video has a row
            is_done = row["status"] == "done"
            if packer is not None and is_done and row.get("tracks"):
                packer.add(row["key"])
            result = replace(
                result,
                done=result.done + is_done,
                failed=result.failed + (not is_done),
                ended=result.ended + 1,
                frames=result.frames + (row.get("frames") or 0),
                seconds=time.monotonic() - began,
            )
            if progress is not None:
                progress(result)
    return result


def _setup(output: Output, job: JobOptions, run: RunOptions, weights: str) -> JobSetup:
    i, n = run.part()
    name = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"
    return JobSetup(
        output.root if output.folder is None else str(output.folder.absolute()),
        job,
        name,
        staging=(f"staging/{i}-{n}" if run.pack else None),
        weights=weights,
        limit_frames=run.limit_frames,
        limit_bytes=run.limit_bytes,
        limit_memory=None if run.limit_memory is None else int(run.limit_memory * 1e9),
        limit_seconds=run.limit_seconds,
    )


def _shard(tasks: list[VideoTask], run: RunOptions) -> list[VideoTask]:
    i, n = run.part()
    return tasks[i::n]


def _missing(
    output: Output,
    setup: JobSetup,
    run: RunOptions,
    tasks: list[VideoTask],
    ledger: LedgerWriter | None,
    packer: Packer | None,
) -> tuple[list[Attempt], BatchResult]:
    """The videos to do with the number of this attempt, and how far the batch is.

    Results without a row, whose driver was killed before it wrote one, get one.
    """
    known = read_rows(output, ["key", "status", "attempt", "options"]).to_pydict()
    rows = {
        key: (status, attempt or 1, options)
        for key, status, attempt, options in zip(*known.values(), strict=True)
    }
    if packer is not None:
        packer.recover()
        results = {main_name(setup, setup.options, key) for key in packer.waiting()}
    else:
        results = {*output.names("tracks"), *output.names("masks")}
    common = setup.options.digest()
    todo: list[Attempt] = []
    done = failed = 0
    others: list[str] = []
    for task in tasks:
        options = setup.options.with_changes(task.changes) if task.changes else setup.options
        status, attempt, before = rows.get(task.key, ("", 0, None))
        if status == "done" and before != (options.digest() if task.changes else common):
            others.append(task.key)
        if run.retry == "all" or (run.retry == "failed" and status == "failed"):
            todo.append((task, attempt + 1))
        elif status == "done":
            done += 1
        elif status == "failed":
            failed += 1
        elif main_name(setup, options, task.key) in results and _adopt(output, setup, task, ledger):
            done += 1
        else:
            todo.append((task, attempt + 1))
    if others and run.retry != "all":
        raise ValueError(
            f"{output.root}: expected the options that videos were done with, got others for {len(others)} of them, first "
            f"{others[0]!r}; take another --out, or do everything again with --retry all"
        )
    return todo, BatchResult(len(tasks), done, failed)


def _adopt(output: Output, setup: JobSetup, task: VideoTask, ledger: LedgerWriter | None) -> bool:
    """Add a row for an existing result; False if it cannot be read and has to be made again."""
    if ledger is None:
        return True
    try:
        ledger.add(adopted_row(output, setup, task))
    except (ValueError, KeyError, FileNotFoundError) as error:
        log.warning("%s: its result cannot be read and is made again (%s)", task.key, error)
        return False
    return True


def _feed(output: Output, setup: JobSetup, todo: list[Attempt], run: RunOptions) -> Iterator[Attempt]:
    """The tasks; in stores, which cannot be locked, without those that another driver has done meanwhile."""
    for task, attempt in todo:
        if output.folder is None and run.retry is None:
            options = setup.options.with_changes(task.changes)
            if output.exists(main_name(setup, options, task.key)):
                continue
        yield task, attempt
