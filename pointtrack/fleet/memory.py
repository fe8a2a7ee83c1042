"""Memory of processes: the peak of this one, and the present use of another."""

from __future__ import annotations

import contextlib
from pathlib import Path

from pointtrack.system import peak_memory

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def restart_peak() -> None:
    """Reset the peak of this process, if the system allows it (Linux)."""
    with contextlib.suppress(OSError):
        _CLEAR.write_text("5")


def peak_of_this_process() -> int:
    """Peak memory in bytes since `restart_peak`, or since the process began if the peak cannot be reset."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return peak_memory()


def memory_of(process: int) -> int:
    """Bytes of memory that another process takes; 0 if it is gone or the value is unavailable."""
    import psutil

    try:
        return int(psutil.Process(process).memory_info().rss)
    except psutil.Error:
        return 0
