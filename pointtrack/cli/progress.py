"""Shows progress with the remaining time: a bar on a terminal, elsewhere a line every ten seconds."""

from __future__ import annotations

import sys
import time
from typing import Any

from tqdm import tqdm

LINE_SECONDS = 10.0


class Bar:
    """Counts and shows progress.

    The rate, and the time left, count from the end of the first step, as that one also loads and warms up.

    Args:
        total: how much there is to do; None if unknown.
        desc: name of the work.
        unit: name of what is counted.
    """

    def __init__(self, total: int | None = None, desc: str = "tracking", unit: str = "frame", **more: Any):
        self.total, self.desc, self.unit, self.n = total, desc, unit, 0
        self._bar = (
            tqdm(total=total, desc=desc, unit=unit, leave=False, **more) if sys.stderr.isatty() else None
        )
        self._printed = time.monotonic()
        self._first: tuple[float, int] | None = None  # when the first step was done, and how much it was

    def update(self, done: int = 1) -> None:
        """Count `done` more as done."""
        self.n += done
        now = time.monotonic()
        begins = done > 0 and self._first is None
        if begins:
            self._first = now, self.n
        if self._bar is not None:
            self._bar.total = self.total
            if begins:  # tqdm then takes what is done for the work of an earlier run, and has no rate yet
                self._bar.n = self._bar.initial = self._bar.last_print_n = self.n
                self._bar.last_print_t = time.time()
                self._bar.refresh()
            else:
                self._bar.update(done)
            return
        if now - self._printed >= LINE_SECONDS:
            self._printed = now
            print(self._line(now), file=sys.stderr, flush=True)

    def _line(self, now: float) -> str:
        """The progress in words."""
        of = "" if self.total is None else f" of {self.total}"
        words = f"{self.desc}  {self.n}{of} {self.unit}s"
        began, before = self._first or (now, self.n)
        if self.n == before:
            return words
        rate = (self.n - before) / max(now - began, 1e-9)
        words = f"{words}, {rate:.3g} per second"
        if self.total is None:
            return words
        return f"{words}, about {duration(max(self.total - self.n, 0) / rate)} left"

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()


def duration(seconds: float) -> str:
    """A duration in words.

    >>> duration(12), duration(600), duration(9000)
    ('12 s', '10 min', '2.5 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
