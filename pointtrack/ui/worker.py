"""One thread that does everything for a project: a person's requests at once, long runs in slices between them."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any, Protocol

logger = logging.getLogger(__name__)

IDLE_SECONDS = 0.5  # after which the thread looks for idle work


class Run(Protocol):
    """A long task in slices. Its `step` runs one, and returns whether the task is over."""

    def step(self) -> bool: ...

    def failed(self, error: Exception) -> None: ...


class Worker:
    """Executes calls one by one, and between them slices of the runs, the newest run first.

    Args:
        name: name of the thread.
        idle: called when there is nothing else to do; returns whether it did something.
    """

    def __init__(self, name: str, idle: Callable[[], bool] = lambda: False):
        self._calls: queue.Queue[tuple[Callable[[], Any], Future] | None] = queue.Queue()
        self._idle = idle
        self.runs: list[Run] = []
        self._closed = threading.Event()
        self._closing = threading.Lock()  # nothing may come behind the end
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread, once its owner is ready for its calls."""
        self._thread.start()

    def call(self, function: Callable[[], Any]) -> Future:
        """Call a function as soon as the current call or slice is over; the future gets the result."""
        future: Future = Future()
        with self._closing:
            if not self._closed.is_set():
                self._calls.put((function, future))
                return future
        future.set_exception(ValueError("expected an open project, got one that was closed; open it again"))
        return future

    @property
    def wanted(self) -> bool:
        """True if a call waits, so that a slice should end."""
        return not self._calls.empty()

    def close(self, timeout: float = 30.0) -> None:
        """Finish the waiting calls, drop the runs, and end the thread."""
        with self._closing:
            self._closed.set()
            self._calls.put(None)
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout)

    def _loop(self) -> None:
        for call in self._next_calls():
            function, future = call
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(function())
            except Exception as error:  # the caller gets it
                future.set_exception(error)

    def _next_calls(self) -> Iterator[tuple[Callable[[], Any], Future]]:
        busy = True
        while True:
            try:
                call = self._calls.get(block=not (self.runs or busy), timeout=IDLE_SECONDS)
            except queue.Empty:
                call = None
                if self._closed.is_set():
                    return
                busy = self._slice()
                continue
            if call is None:
                return
            yield call
            busy = True

    def _slice(self) -> bool:
        """Run a slice of the newest run, or idle work; returns whether there may be more to do."""
        if self.runs:
            run = self.runs[-1]
            try:
                over = run.step()
            except Exception as error:
                logger.debug("run", exc_info=error)
                run.failed(error)
                over = True
            if over and run in self.runs:
                self.runs.remove(run)
            return True
        try:
            return self._idle()
        except Exception as error:  # idle work must not end the thread
            logger.warning("%s: %s", type(error).__name__, error)
            time.sleep(IDLE_SECONDS)
            return False
