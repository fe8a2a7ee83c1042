"""Folders of short videos for batches, some of them broken in different ways, and an executor without processes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch

import pointtrack as pt
from pointtrack.config import (
    CorrelationConfig,
    EncoderConfig,
    TrackerConfig,
    TransformerConfig,
    WindowConfig,
)
from pointtrack.fleet.executors import Attempt
from pointtrack.fleet.job import Job, JobSetup
from pointtrack.models.checkpoint import save_checkpoint
from pointtrack.models.point_tracker import PointTracker

WH = (64, 48)


def moving_video(seed: int, frames: int) -> pt.Video:
    """A smooth random texture that moves by whole pixels, another one for each seed."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (20, 24, 3)).astype(np.uint8)
    picture = np.kron(coarse, np.ones((5, 5, 1), np.uint8))
    dx, dy = (int(step) for step in rng.integers(0, 2, 2))
    shots = [picture[t * dy : t * dy + WH[1], t * dx : t * dx + WH[0]] for t in range(frames)]
    return pt.Video(np.stack(shots), fps=10)


def write_clips(folder: Path, count: int, frames: int = 6) -> list[str]:
    """Write `count` videos into two folders; returns their names."""
    names = []
    for i in range(count):
        name = f"{'even' if i % 2 == 0 else 'odd'}/clip{i:03d}.mp4"
        pt.write_video(folder / name, moving_video(i, frames + i % 3))
        names.append(name)
    return sorted(names)


def write_broken(folder: Path, *, hangs: bool = True) -> dict[str, str]:
    """Name -> the reason for which it is put aside, given limits of 20 frames and of seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("no video at all\n" * 50)
    pt.write_video(folder / "whole.mp4", moving_video(0, 8))
    whole = (folder / "whole.mp4").read_bytes()
    (folder / "whole.mp4").unlink()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 3])
    with av.open(str(folder / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), format="fltp", layout="mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    pt.write_video(folder / "long.mp4", moving_video(1, 24))
    reasons = dict.fromkeys(("empty.mp4", "text.mp4", "cut.mp4", "sound.mp4"), "unreadable")
    reasons["long.mp4"] = "frames"
    if hangs:  # opening it never returns
        os.mkfifo(folder / "hang.mp4")
        reasons["hang.mp4"] = "seconds"
    return reasons


class InlineExecutor:
    """Processes videos in this process, one after the other, and counts them."""

    def __init__(self, setup: JobSetup) -> None:
        self.job = Job(setup)
        self.keys: list[str] = []

    def run(self, tasks: Iterable[Attempt]) -> Iterator[dict[str, Any]]:
        for task, attempt in tasks:
            self.keys.append(task.key)
            yield self.job.run(task, attempt)

    def close(self) -> None:
        pass


def save_small_network(path: Path) -> Path:
    """A file of a network with random weights that tracks a clip in a fraction of a second."""
    config = TrackerConfig(
        name="little",
        input_area=96 * 64,
        encoder=EncoderConfig(stem_channels=8, stage_channels=(8, 12, 16), blocks_per_stage=1, channels=16),
        correlation=CorrelationConfig(levels=2, radius=2, support_radius=1, hidden=16, channels=8),
        transformer=TransformerConfig(width=16, heads=2, depth=1, proxies=4),
        window=WindowConfig(length=8, step=4, iterations=2, search_radius=3),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = PointTracker(config)
        torch.nn.init.normal_(network.head.weight, std=0.02)
    save_checkpoint(path, network, half=False)
    return path
