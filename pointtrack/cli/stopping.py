"""SIGTERM, which `kill`, SLURM, systemd and `docker stop` send, stops a command as Ctrl-C does: what is known is kept."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

CODES = (128 + signal.SIGINT, 128 + signal.SIGTERM)  # exit codes of a command that was stopped


class Stop:
    """What a command is stopped by: Ctrl-C, unless SIGTERM comes.

    Attributes:
        code: the exit code, as a shell gives it for a program that the signal ends.
    """

    code = CODES[0]


@contextmanager
def sigterm_as_ctrl_c() -> Iterator[Stop]:
    """Make SIGTERM raise KeyboardInterrupt in this block, where nothing else handles it."""
    stop = Stop()
    if (
        threading.current_thread() is not threading.main_thread()  # only the main thread may handle signals
        or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    ):
        yield stop
        return

    def interrupt(number: int, frame: Any) -> None:
        stop.code = CODES[1]
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
