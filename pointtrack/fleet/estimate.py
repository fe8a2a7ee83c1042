"""Estimates the time and disk space of a batch, measured on a few of its videos."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from pointtrack.fleet.job import JobSetup
from pointtrack.fleet.manifest import VideoTask
from pointtrack.fleet.worker import Worker

HEADERS, TRACKED, FRAMES = 20, 3, 48  # videos to read headers of, videos to track, and frames of each
HEADER_SECONDS, SAMPLE_SECONDS = 20.0, 120.0  # after which a sample counts as broken
SEED = 0


@dataclass(frozen=True)
class Estimate:
    """The remaining work, estimated from samples.

    Attributes:
        videos: number of videos left.
        frames: frames of a video, mean of the samples.
        frames_error: standard error of that mean.
        frame_seconds: seconds of one worker per frame, with reading and writing: smallest, mean and largest of the
            samples.
        frame_bytes: bytes of results per frame.
        workers: number of workers that share the work.
        sampled: number of videos tracked for the estimate.
    """

    videos: int
    frames: float
    frames_error: float
    frame_seconds: tuple[float, float, float]
    frame_bytes: float
    workers: int
    sampled: int

    @property
    def hours(self) -> tuple[float, float, float]:
        """Hours of the whole batch: at best, as expected, at worst."""
        low, middle, high = self.frame_seconds
        shortest = max(self.frames - 2 * self.frames_error, 1.0)
        longest = self.frames + 2 * self.frames_error
        share = self.videos / self.workers / 3600
        return low * shortest * share, middle * self.frames * share, high * longest * share

    @property
    def worker_hours(self) -> float:
        """Expected hours of all workers together."""
        return self.hours[1] * self.workers

    @property
    def disk_bytes(self) -> float:
        """Expected bytes of all results."""
        return self.videos * self.frames * self.frame_bytes


def estimate_batch(tasks: Sequence[VideoTask], setup: JobSetup, workers: int) -> Estimate | None:
    """Read the headers of some videos, track the first frames of a few, and extrapolate; None if none can be read.

    The estimate assumes `workers` workers like this machine's, and ignores that workers slow each other down.
    """
    order = random.Random(SEED).sample(list(tasks), len(tasks))
    with tempfile.TemporaryDirectory(prefix="pointtrack-") as out:
        few = replace(setup, out=out, staging=None, limit_frames=None, limit_seconds=SAMPLE_SECONDS)
        worker = Worker(few)
        rows: list[dict[str, Any]] = []
        try:
            headers = [worker.count_frames(task, HEADER_SECONDS) for task in order[:HEADERS]]
            for task in order[: 3 * TRACKED]:  # some may be broken
                frames = setup.options.with_changes(task.changes).max_frames
                short = dict(task.changes) | {"max_frames": min(frames or FRAMES, FRAMES)}
                row = worker.run(replace(task, changes=short))
                if row["status"] == "done":
                    rows.append(row)
                if len(rows) == TRACKED:
                    break
        finally:
            worker.close()
        size = sum(path.stat().st_size for path in Path(out).rglob("*") if path.is_file())
    counts = [count for count in headers if count is not None]
    if not rows or not counts:
        return None
    rates = [row["seconds"] / row["frames"] for row in rows]
    error = stdev(counts) / len(counts) ** 0.5 if len(counts) > 1 else 0.0
    frames = sum(row["frames"] for row in rows)
    return Estimate(
        len(tasks),
        mean(counts),
        error,
        (min(rates), mean(rates), max(rates)),
        size / frames,
        workers,
        len(rows),
    )
