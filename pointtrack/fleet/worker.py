"""A worker: a separate process with its own models that processes videos one by one, within limits.

If a video makes the process hang, crash or take all memory, the worker ends the process, records this in the
video's row and continues in a new process.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import Future, ProcessPoolExecutor, TimeoutError
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from pointtrack.fleet.job import Job, JobSetup, first_row
from pointtrack.fleet.ledger import now
from pointtrack.fleet.manifest import VideoTask
from pointtrack.fleet.memory import memory_of

log = logging.getLogger(__name__)

CHECK_SECONDS = 0.2  # between two checks of time and memory
CRASHES = 2  # crashes before a video is put aside; something else may have killed the first process
STARTS = 3  # starts to try; if all fail, the cause is not somebody who kills processes
_job: Job | None = None  # the job of this process


class Stopped(Exception):
    """Raised in a worker that `stop` has ended."""


class Worker:
    """Processes videos in a separate process, which starts with the first video and stays.

    Args:
        setup: what to do, and the limits.
    """

    def __init__(self, setup: JobSetup) -> None:
        self.setup = setup
        self._pool: ProcessPoolExecutor | None = None
        self._process = 0
        self._stopping = threading.Event()

    def run(self, task: VideoTask, attempt: int = 1) -> dict[str, Any]:
        """Process one video; returns its row of the ledger.

        Raises:
            CannotWrite: OUT takes no results.
            ValueError, FileNotFoundError: models cannot be loaded.
            Stopped: `stop` was called.
        """
        for crash in range(CRASHES):
            pool = self._started()
            began = time.monotonic()
            try:
                return self._watched(pool.submit(_run, task, attempt), task, attempt)
            except BrokenProcessPool:
                self.close()
                if self._stopping.is_set():
                    raise Stopped from None
                log.info("%s: its process ended after %.1f s", task.key, time.monotonic() - began)
                if crash + 1 == CRASHES:
                    message = f"its process ended without an answer, {CRASHES} times"
                    return self._put_aside(task, attempt, "crashed", message, time.monotonic() - began)
        raise AssertionError

    def count_frames(self, task: VideoTask, seconds: float) -> int | None:
        """Frames of a video by its header; None if it is unreadable, does not say, or takes longer than `seconds`."""
        try:
            return self._started().submit(_count, task).result(timeout=seconds)
        except (TimeoutError, BrokenProcessPool):
            self.close()
            return None

    def stop(self) -> None:
        """End the process, whatever it is doing; another thread may call this."""
        self._stopping.set()
        self._kill()

    def close(self) -> None:
        """End the process; the next video starts a new one."""
        pool, self._pool = self._pool, None
        self._kill()
        self._process = 0
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)

    def _watched(self, answer: Future[dict[str, Any]], task: VideoTask, attempt: int) -> dict[str, Any]:
        began, peak = time.monotonic(), 0
        while True:
            with contextlib.suppress(TimeoutError):
                return answer.result(timeout=CHECK_SECONDS)
            if self._stopping.is_set():
                raise Stopped
            spent = time.monotonic() - began
            taken = memory_of(self._process) if self.setup.limit_memory is not None else 0
            peak = max(peak, taken)
            if self.setup.limit_seconds is not None and spent > self.setup.limit_seconds:
                reason, message = "seconds", f"expected at most {self.setup.limit_seconds:g} s, took longer"
            elif self.setup.limit_memory is not None and taken > self.setup.limit_memory:
                limit = self.setup.limit_memory / 1e9
                reason, message = (
                    "memory",
                    f"expected at most {limit:.1f} GB of memory, took {taken / 1e9:.1f} GB",
                )
            else:
                continue
            self.close()
            return self._put_aside(task, attempt, reason, message, spent) | {"peak_memory": peak or None}

    def _put_aside(
        self, task: VideoTask, attempt: int, reason: str, message: str, seconds: float
    ) -> dict[str, Any]:
        row = first_row(self.setup, task, attempt)
        return row | {
            "status": "failed", "reason": reason, "message": message, "seconds": seconds, "finished": now(),
        }  # fmt: skip

    def _started(self) -> ProcessPoolExecutor:
        if self._pool is None:
            if self._stopping.is_set():
                raise Stopped
            # A fork would copy threads and GPU contexts, which do not work in the copy.
            context = multiprocessing.get_context("spawn")
            for start in range(STARTS):
                self._pool = ProcessPoolExecutor(1, context, initializer=_prepare)
                try:
                    self._process = self._pool.submit(os.getpid).result()
                    self._pool.submit(_load, self.setup).result()
                    break
                except BrokenProcessPool as error:
                    self.close()
                    if self._stopping.is_set():
                        raise Stopped from None
                    if start + 1 == STARTS:
                        raise RuntimeError(
                            f"a worker ended while it loaded its models, {STARTS} times: is there memory for so many?"
                        ) from error
                except BaseException:
                    self.close()
                    raise
        assert self._pool is not None
        return self._pool

    def _kill(self) -> None:
        if self._process:
            with contextlib.suppress(OSError):
                os.kill(self._process, getattr(signal, "SIGKILL", signal.SIGTERM))


# The functions below run in the worker's process.


def _prepare() -> None:
    """Exit together with the parent process, and leave Ctrl-C and SIGTERM, which all processes may get, to it."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:

        def follow() -> None:
            parent.join()
            os._exit(1)

        threading.Thread(target=follow, daemon=True, name="follow-parent").start()


def _load(setup: JobSetup) -> None:
    global _job
    _job = Job(setup)
    _job.warm_up()


def _run(task: VideoTask, attempt: int) -> dict[str, Any]:
    assert _job is not None
    return _job.run(task, attempt)


def _count(task: VideoTask) -> int | None:
    assert _job is not None
    return _job.count_frames(task)
