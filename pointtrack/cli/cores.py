"""Settings of a command's threads, so that they get along with other work on the same machine."""

from __future__ import annotations

import contextlib
import math
import os
import sys
import time
from pathlib import Path

SPIN, THREADS = "GOMP_SPINCOUNT", "OMP_NUM_THREADS"
# How often a thread without work looks for some before it sleeps, where others need the cores (`benchmarks/busy.py`).
FEW_LOOKS = 1000
LOOKS, APART_S = 3, 0.004  # at the number of running threads

SYSTEM = Path("/")  # tests read another one


def share_cores() -> None:
    """Set how many threads torch uses, and how they wait, unless the user has set it.

    In a container that may use fewer cores than the machine has, there are no more threads than cores to use. Torch's threads
    meet many times per frame, and by default look for work in a loop until then. If other programs need the cores, that
    loop keeps the last thread from arriving, and tracking takes several times as long as with threads that sleep.
    Where nothing else runs, sleeping costs time, so this looks at the machine first.

    OpenMP reads these settings when torch is first imported. They affect the whole process, so commands make them, and
    the library does not.
    """
    if sys.platform != "linux" or "torch" in sys.modules:
        return
    with contextlib.suppress(OSError, ValueError):
        cores, allowed = len(os.sched_getaffinity(0)), allowed_cores()
        if allowed is not None and allowed < cores:
            os.environ.setdefault(THREADS, str(max(1, math.floor(allowed))))
        threads = int(os.environ.get(THREADS, cores))
        chosen = {SPIN, "OMP_WAIT_POLICY"} & set(os.environ)
        if threads > 1 and not chosen and running_elsewhere() > cores - threads:
            os.environ[SPIN] = str(FEW_LOOKS)


def allowed_cores() -> float | None:
    """The number of cores that a container may use at a time, such as 1.5; None without such a limit."""
    group = SYSTEM / "sys/fs/cgroup"
    if (group / "cpu.max").is_file():
        quota, period = (group / "cpu.max").read_text().split()
    elif (group / "cpu/cpu.cfs_quota_us").is_file():
        quota, period = (
            (group / f"cpu/cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period")
        )
    else:
        return None
    return None if quota in ("max", "-1") else int(quota) / int(period)


def running_elsewhere() -> int:
    """The number of threads of other programs that run or wait for a core: the least of a few looks."""
    counts = []
    for look in range(LOOKS):
        time.sleep(APART_S if look else 0)
        running, _, _ = (SYSTEM / "proc/loadavg").read_text().split()[3].partition("/")
        counts.append(int(running) - 1)
    return max(0, min(counts))
