"""One thread in which all of a project happens: what a person asks for at once, what takes long in slices between."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any, Protocol

logger = logging.getLogger(__name__)

IDLE_SECONDS = 0.5  # after which the thread looks for things to do on its own


class Run(Protocol):
    """Something that takes long, done in slices. Its `step` does one, and answers whether it is over."""

    def step(self) -> bool: ...

    def failed(self, error: Exception) -> None: ...


class Worker:
    """Calls one after the other; between them slices of the runs, the newest run first.

    Args:
        name: of the thread.
        idle: called when there is nothing else to do; answers whether it did something.
    """

    def __init__(self, name: str, idle: Callable[[], bool] = lambda: False):
        self._calls: queue.Queue[tuple[Callable[[], Any], Future] | None] = queue.Queue()
        self._idle = idle
        self.runs: list[Run] = []
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)

    def start(self) -> None:
        """Begin: whoever made it is ready for what the thread calls."""
        self._thread.start()

    def call(self, function: Callable[[], Any]) -> Future:
        """Do something as soon as the call or slice in work is over; the result comes in the future."""
        future: Future = Future()
        if self._closed.is_set():
            future.set_exception(
                ValueError("expected an open project, got one that was closed; open it again")
            )
        else:
            self._calls.put((function, future))
        return future

    @property
    def wanted(self) -> bool:
        """A call waits: a slice had better end."""
        return not self._calls.empty()

    def close(self, timeout: float = 30.0) -> None:
        """Do what was asked for already, drop the runs, and end."""
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
            except Exception as error:  # whoever asked gets it
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
        """One slice of the newest run, or something idle; whether there may be more to do."""
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
