"""Memory of processes: the most that one took since it was last asked, and what another takes now."""

from __future__ import annotations

import contextlib
from pathlib import Path

from pointtrack.system import peak_memory

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def restart_peak() -> None:
    """Let the peak of this process begin anew, where the system allows it (Linux)."""
    with contextlib.suppress(OSError):
        _CLEAR.write_text("5")


def peak_of_this_process() -> int:
    """Most bytes of memory since `restart_peak`; since the process began where that cannot be had."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return peak_memory()


def memory_of(process: int) -> int:
    """Bytes of memory that another process takes; 0 where it is gone or nobody tells."""
    import psutil

    try:
        return int(psutil.Process(process).memory_info().rss)
    except psutil.Error:
        return 0
