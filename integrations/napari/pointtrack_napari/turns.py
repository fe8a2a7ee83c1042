"""Jobs in a thread, one at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, eq=False)
class Job:
    """Work for a thread, and what changes layers after it."""

    work: Callable[[], Any]
    then: Callable[[Any], None]


class Turns:
    """Runs jobs one at a time; those that come meanwhile wait, and have their turn however the one before ended.

    Args:
        start: runs a function in a thread; calls the second argument with its result, or the third with its error.
        begun: called before each job.
        failed: called with the error of a job that failed.
        ended: called after each job, once its results are shown.
    """

    def __init__(
        self,
        start: Callable[[Callable[[], Any], Callable[[Any], None], Callable[[Exception], None]], Any],
        begun: Callable[[], None],
        failed: Callable[[Exception], None],
        ended: Callable[[], None],
    ):
        self._start, self._begun, self._failed, self._ended = start, begun, failed, ended
        self._waiting: list[Job] = []
        self.busy = False

    def run(self, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """Do `work` in a thread, and `then` with its result in this one; now, or when it is its turn."""
        job = Job(work, then)
        if self.busy:
            self._waiting.append(job)
        else:
            self._take(job)

    def _take(self, job: Job) -> None:
        self.busy = True
        self._begun()
        self._start(
            job.work,
            lambda result: self._over(lambda: job.then(result)),
            lambda error: self._over(lambda: self._failed(error)),
        )

    def _over(self, shows: Callable[[], None]) -> None:
        try:
            shows()
        finally:
            self.busy = False
            self._ended()
            if self._waiting:
                self._take(self._waiting.pop(0))
