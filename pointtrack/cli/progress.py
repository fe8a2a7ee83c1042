"""Shows progress with the remaining time: a bar on a terminal, elsewhere a line every ten seconds."""

from __future__ import annotations

import sys
import time
from typing import Any

from tqdm import tqdm

LINE_SECONDS = 10.0


class Bar:
    """Counts and shows progress.

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
        self._began = self._told = time.monotonic()

    def update(self, done: int = 1) -> None:
        """Count `done` more as done."""
        self.n += done
        if self._bar is not None:
            self._bar.total = self.total
            self._bar.update(done)
            return
        now = time.monotonic()
        if now - self._told >= LINE_SECONDS:
            self._told = now
            print(self.line(now - self._began), file=sys.stderr, flush=True)

    def line(self, seconds: float) -> str:
        """The progress after this many seconds, in words."""
        rate = self.n / max(seconds, 1e-9)
        of = "" if self.total is None else f" of {self.total}"
        words = f"{self.desc}  {self.n}{of} {self.unit}s, {rate:.3g} per second"
        if self.total is None or not self.n:
            return words
        return f"{words}, {duration(max(self.total - self.n, 0) / rate)} left"

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()


def duration(seconds: float) -> str:
    """An approximate duration in words.

    >>> duration(12), duration(600), duration(9000)
    ('about 12 s', 'about 10 min', 'about 2.5 h')
    """
    if seconds < 100:
        return f"about {seconds:.0f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 6000 else f"about {seconds / 3600:.1f} h"
