"""Executors run videos in processes on this machine, or as tasks of a Ray cluster. Both yield rows as videos end."""

from __future__ import annotations

import logging
import os
import queue
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import Any, Protocol

import torch

from pointtrack.fleet.job import JobSetup, first_row
from pointtrack.fleet.ledger import now
from pointtrack.fleet.manifest import VideoTask
from pointtrack.fleet.worker import Worker

log = logging.getLogger(__name__)

Row = dict[str, Any]
Attempt = tuple[VideoTask, int]
LOST_NODES = 3  # how often Ray may lose a video's node or process before the video is put aside


class Executor(Protocol):
    """Processes videos; takes the next ones only when it has room for them."""

    def run(self, tasks: Iterable[Attempt]) -> Iterator[Row]:
        """Yield rows in the order in which videos end."""

    def close(self) -> None:
        """Stop everything that the executor started."""


class LocalExecutor:
    """Workers on this machine, each a process with its own models.

    Args:
        setup: what to do.
        workers: how many.
    """

    def __init__(self, setup: JobSetup, workers: int) -> None:
        self._free: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        self._workers = [Worker(replace(setup, device=device)) for device in _devices(setup, workers)]
        for worker in self._workers:
            self._free.put(worker)
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="worker")

    def run(self, tasks: Iterable[Attempt]) -> Iterator[Row]:
        """Rows in the order in which videos end. Errors as of `Worker.run`."""
        pending: set[Future[Row]] = set()
        for task, attempt in tasks:
            pending.add(self._threads.submit(self._do, task, attempt))
            if len(pending) > len(self._workers):  # one waits, so that no worker does
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        while pending:
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)

    def close(self) -> None:
        """End all processes, whatever they are doing."""
        for worker in self._workers:
            worker.stop()
        self._threads.shutdown(wait=True, cancel_futures=True)
        for worker in self._workers:
            worker.close()

    def _do(self, task: VideoTask, attempt: int) -> Row:
        worker = self._free.get()
        try:
            return worker.run(task, attempt)
        finally:
            self._free.put(worker)


class RayExecutor:
    """Tasks on a Ray cluster; each Ray process keeps one worker.

    A task takes as many CPUs as its worker has threads, and `gpus`. If a node is lost or a process killed, another
    one does its work.

    Args:
        setup: what to do; OUT and the videos must be reachable from all nodes.
        address: address of the cluster; auto for the one of this machine, local to start one in this process.
        workers: with local, the cluster's CPUs divided by a worker's threads; otherwise the most tasks at a time. By
            default all.
        gpus: GPUs per task.

    Raises:
        ValueError: Ray is not installed.
        ConnectionError: no such cluster.
    """

    def __init__(
        self, setup: JobSetup, address: str, *, workers: int | None = None, gpus: float = 0.0
    ) -> None:
        try:
            import ray as library
        except ImportError as error:
            raise ValueError("ray: expected the package ray; pip install 'pointtrack[ray]'") from error
        ray: Any = library
        self._ray, self._setup, self._most = ray, setup, workers
        self._cpus, self._gpus = setup.options.threads, gpus
        self._was_there = ray.is_initialized()
        # Otherwise Ray's workers run at niceness +15, after everything else.
        os.environ.setdefault("RAY_worker_niceness", "0")
        if not self._was_there:
            own: dict[str, Any] = {}
            if address == "local":
                own["include_dashboard"] = False
                if workers is not None:
                    own["num_cpus"] = workers * self._cpus
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **own)
        self._setup_ref = ray.put(setup)
        # max_calls=0 keeps a process for the next video even if it has a GPU, so its models are loaded once.
        self._do = ray.remote(
            max_calls=0,
            num_cpus=self._cpus,
            num_gpus=gpus or None,
            max_retries=LOST_NODES,
            scheduling_strategy="SPREAD",
        )(_do)

    def run(self, tasks: Iterable[Attempt]) -> Iterator[Row]:
        """Rows in the order in which videos end. Errors as of `Worker.run`."""
        pending: dict[Any, Attempt] = {}
        for task, attempt in tasks:
            pending[self._do.remote(self._setup_ref, task, attempt)] = (task, attempt)
            while len(pending) >= self._room():
                yield from self._ended(pending)
        while pending:
            yield from self._ended(pending)

    def close(self) -> None:
        """Leave the cluster; a cluster started here ends."""
        if not self._was_there:
            self._ray.shutdown()

    def _room(self) -> int:
        """Tasks to submit at a time: those that can run, and one more per node so that it never waits."""
        if self._most is not None:
            return self._most + 1
        there = self._ray.cluster_resources()
        slots = there.get("CPU", 1) / self._cpus
        if self._gpus:
            slots = min(slots, there.get("GPU", 0) / self._gpus)
        return max(int(slots), 1) + len(self._ray.nodes())

    def _ended(self, pending: dict[Any, Attempt]) -> Iterator[Row]:
        done, _ = self._ray.wait(list(pending), num_returns=1, timeout=5.0)
        for one in done:
            task, attempt = pending.pop(one)
            try:
                yield self._ray.get(one)
            except self._ray.exceptions.RayTaskError as error:  # raised by the task
                raise error.cause if isinstance(getattr(error, "cause", None), Exception) else error from None
            except self._ray.exceptions.RayError as error:  # its node or process was lost
                yield first_row(self._setup, task, attempt) | {
                    "status": "failed", "reason": "crashed", "finished": now(),
                    "message": f"lost by Ray, {LOST_NODES + 1} times: {' '.join(str(error).split())[:300]}",
                }  # fmt: skip


_kept: dict[tuple[Any, ...], Worker] = {}  # the worker of this Ray process; one at most


def _do(setup: JobSetup, task: VideoTask, attempt: int) -> Row:
    """Process a video in a Ray process, which keeps its worker as long as it gets the same GPUs and setup."""
    name = (setup.run, setup.out, os.environ.get("CUDA_VISIBLE_DEVICES"))
    if name not in _kept:
        for other in _kept.values():
            other.close()
        _kept.clear()
        _kept[name] = Worker(setup)
    return _kept[name].run(task, attempt)


def _devices(setup: JobSetup, workers: int) -> list[str]:
    """The device of each worker: GPUs in turn, if there are several and no single one is named."""
    device = setup.options.device
    if device in ("auto", "cuda") and torch.cuda.is_available():
        return [f"cuda:{i % torch.cuda.device_count()}" for i in range(workers)]
    return [device] * workers


def default_workers(threads: int, device: str) -> int:
    """The number of workers that this machine has room for: one per GPU if GPUs are used, otherwise by cores."""
    if device in ("auto", "cuda") and torch.cuda.is_available():
        return torch.cuda.device_count()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(cores // threads, 1)
