"""Measure the tracker on a machine that does other work too, by how long idle OpenMP threads wait in a loop.

python -m benchmarks.busy --spins default 1000 --busy 0 1
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

from benchmarks.machine import machine
from evaluation.tables import markdown_table
from pointtrack.cli.cores import SPIN
from pointtrack.cli.runner import run_command

# Prints the seconds of the second of two runs: the first one warms up.
WORK = """
import time
import pointtrack as pt
from pointtrack.io.examples import example_path
video = pt.read_video(example_path("easy"), max_frames={frames})
tracker, queries = pt.Tracker(device="cpu"), pt.grid_queries(video, size=10)
for _ in range(2):
    began = time.perf_counter()
    tracker.track(video, queries)
print(time.perf_counter() - began)
"""
LOOP = "while True: pass"


def main(
    spins: list[str] | None = None,
    busy: list[int] | None = None,
    frames: int = 24,
    repeats: int = 3,
) -> None:
    """Track 100 points through the bundled clip with each setting in turn, and print the median seconds.

    Args:
        spins: values of GOMP_SPINCOUNT, how often a thread without work looks for some before it sleeps; "default" is
            OpenMP's own. By default that and 1000, which commands set where other programs run (`pointtrack/cli/cores.py`).
        busy: numbers of other processes that compute all the time; 0 and 1 by default.
        frames: number of frames.
        repeats: runs of each.
    """
    spins, busy = spins or ["default", "1000"], busy or [0, 1]
    print(f"{machine()}\n")
    rows = [["other processes", *spins]]
    for count in busy:
        seconds: dict[str, list[float]] = {spin: [] for spin in spins}
        with others(count):
            for _ in range(repeats):
                for spin in spins:
                    seconds[spin].append(measured(spin, frames))
        rows.append([str(count), *(f"{median(seconds[spin]):.1f} s" for spin in spins)])
    print(markdown_table(rows))


def measured(spin: str, frames: int) -> float:
    """Seconds of tracking in a process of its own, which reads the setting when it loads OpenMP."""
    env = {name: value for name, value in os.environ.items() if name != SPIN}
    env |= {} if spin == "default" else {SPIN: spin}
    work = [sys.executable, "-c", WORK.format(frames=frames)]
    return float(subprocess.run(work, env=env, check=True, capture_output=True, text=True).stdout)


@contextmanager
def others(count: int) -> Iterator[None]:
    """So many processes that compute all the time."""
    running = [subprocess.Popen([sys.executable, "-c", LOOP]) for _ in range(count)]
    try:
        yield
    finally:
        for one in running:
            one.kill()
            one.wait()


if __name__ == "__main__":
    sys.exit(run_command(lambda: main, sys.argv[1:], "benchmarks.busy"))
