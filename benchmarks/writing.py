"""Measure the cost of writing a drawn video, with the settings of `write_video` and with the encoders' defaults.

python -m benchmarks.writing --video VIDEO
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

import numpy as np

import pointtrack as pt
from benchmarks.machine import machine
from evaluation.tables import markdown_table
from pointtrack.cli.runner import run_command
from pointtrack.io import video as writing


def main(video: str | None = None, frames: int = 60) -> None:
    """Write the same frames with points on them, and print processor time, size and likeness.

    Args:
        video: video to take frames of; the bundled clip by default.
        frames: number of frames.
    """
    clip = pt.example_video() if video is None else pt.read_video(video, max_frames=frames)
    drawn = np.asarray(pt.draw_tracks(clip, still(clip)).frames[:frames])
    print(f"{machine()}\n{len(drawn)} frames of {clip.wh[0]} x {clip.wh[1]}, 400 points on each\n")
    rows = [["file", "encoder", "ms of processor per frame", "kB per frame", "PSNR in dB"]]
    for suffix in (".mp4", ".webm"):
        by_itself: dict[str, dict[str, str]] = {codec: {} for codec in writing.FASTER}
        rows.append([suffix, "by itself", *measured(drawn, suffix, by_itself)])
        rows.append([suffix, "as it is asked", *measured(drawn, suffix, writing.FASTER)])
    print(markdown_table(rows, names=2))


def still(clip: pt.Video) -> pt.Tracks:
    """A grid of points that do not move, to have something to draw."""
    queries = pt.grid_queries(clip, size=20)
    t, n = len(clip), len(queries)
    ones = np.ones((t, n), np.float32)
    return pt.Tracks(queries.xy.repeat(t, 1, 1), ones, ones, queries, clip.wh)  # type: ignore[arg-type]


def measured(frames: np.ndarray, suffix: str, options: dict[str, dict[str, str]]) -> list[str]:
    """Milliseconds, kilobytes and similarity of frames (t, h, w, 3) written to a file of this type."""
    with tempfile.TemporaryDirectory() as folder, patch.object(writing, "FASTER", options):
        began = time.process_time()
        path = pt.write_video(Path(folder) / f"drawn{suffix}", frames)
        spent = time.process_time() - began
        found = pt.read_video(path).frames.astype(np.float32)
        error = np.square(found - frames).mean()
        figures = 1000 * spent / len(frames), path.stat().st_size / 1000 / len(frames)
    return [*(f"{value:.1f}" for value in figures), f"{10 * np.log10(255**2 / error):.1f}"]


if __name__ == "__main__":
    sys.exit(run_command(lambda: main, sys.argv[1:], "benchmarks.writing"))
