"""Measure how much tracks tremble and drift if nothing moves: `python -m evaluation.points.stability`."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import torch

from evaluation.points.datasets import REPOSITORY
from evaluation.points.methods import build_methods
from evaluation.points.metrics import jitter_px
from evaluation.tables import split_names
from pointtrack.cli.runner import run_command
from pointtrack.io.video import read_video
from pointtrack.tracking.queries import grid_queries
from pointtrack.tracking.smooth import smooth_tracks
from pointtrack.types import Tracks, Video

CLIP = REPOSITORY / "pointtrack" / "assets" / "clip.mp4"
NOISE_LEVELS = (0.0, 4.0)
COLUMNS = ("jitter px", "drift px", "visible %")


def still_video(
    picture: np.ndarray, frames: int, noise: float = 0.0, generator: np.random.Generator | None = None
) -> Video:
    """Repeat one picture, with optional sensor noise.

    Args:
        picture: (h, w, 3) uint8 RGB.
        frames: number of frames, at least 1.
        noise: standard deviation in grey levels of normal noise, independent in every value of every frame.
        generator: source of the noise.

    Raises:
        ValueError: no frames, negative noise, or noise without a generator.
    """
    if frames < 1 or noise < 0:
        raise ValueError(f"still video: expected frames >= 1 and noise >= 0, got {frames} and {noise}")
    if not noise:
        return Video(np.repeat(picture[None], frames, axis=0))
    if generator is None:
        raise ValueError("still video: expected a generator for the noise, got none")
    shown = np.empty((frames, *picture.shape), dtype=np.uint8)
    for frame in range(frames):
        noisy = picture + generator.normal(0, noise, picture.shape)
        shown[frame] = np.clip(np.rint(noisy), 0, 255)
    return Video(shown)


def still_figures(tracks: Tracks) -> dict[str, float]:
    """Figures of tracks through a video in which nothing moves.

    Returns:
        "jitter px": see `jitter_px`, where visible. "drift px": mean distance from the query, where visible, without
        the query frame. "visible %": share of those frames on which points are visible.
        Pixels are those of the video; NaN if there is nothing to count.
    """
    frame = torch.arange(len(tracks))[:, None] + tracks.first_frame
    other = (frame != tracks.queries.frame) & tracks.tracked()
    visible = tracks.visible()
    distance = (tracks.xy - tracks.queries.xy).double().norm(dim=-1)
    seen = other & visible
    return {
        "jitter px": jitter_px(tracks.xy, visible),
        "drift px": float(distance[seen].mean()),
        "visible %": 100 * float(seen.sum() / other.sum()),
    }


def still_command(
    videos: list[str] | None = None,
    methods: str = "pointtrack,dis,lk",
    tracker: str | None = None,
    noise: list[float] | None = None,
    frames: int = 48,
    grid: int = 16,
    smooth: int = 0,
) -> None:
    """Measure how much trackers tremble and drift on still clips, and print one table; the figures are in pixels.

    Args:
        videos: videos, folders of pictures or picture files; the first frame of each is repeated. By default the clip
            that ships with pointtrack.
        methods: comma-separated: pointtrack, dis, lk, static.
        tracker: name or checkpoint file of the tracker that pointtrack loads; its default if left out.
        noise: standard deviations of the sensor's noise in grey levels; a row for each. By default 0 and 4.
        frames: length of the clips, at least 3.
        grid: points per side, all queried on the first frame.
        smooth: frames on each side to smooth over before measuring; 0 measures the tracker's own output.

    Raises:
        ValueError: an unknown method, too short a clip. FileNotFoundError: a video is missing.
    """
    if frames < 3:
        raise ValueError(f"frames: expected at least 3, as jitter is a second difference, got {frames}")
    pictures = [read_video(Path(video), max_frames=1).frames[0] for video in videos or [str(CLIP)]]
    built = build_methods(split_names(methods), tracker)
    sizes = ", ".join(dict.fromkeys(f"{picture.shape[1]}x{picture.shape[0]}" for picture in pictures))
    print(f"{len(pictures)} still clips of {frames} frames ({sizes}), {grid} x {grid} points each", end="")
    print(f", smoothed over {smooth} frames on each side" if smooth else "", end="\n\n")
    print("| method     | noise | " + " | ".join(COLUMNS) + " |")
    print("| ---------- | ----: | " + " | ".join("-" * (len(name) - 1) + ":" for name in COLUMNS) + " |")
    for name, method in built.items():
        for level in noise or NOISE_LEVELS:
            found = []
            for number, picture in enumerate(pictures):
                video = still_video(picture, frames, level, np.random.default_rng(number))
                tracks = method(video, grid_queries(video, grid))
                found.append(still_figures(smooth_tracks(tracks, radius=smooth) if smooth else tracks))
            means = {column: _mean([figures[column] for figures in found]) for column in COLUMNS}
            cells = [f"{means[c]:.1f}" if c.endswith("%") else f"{means[c]:.3f}" for c in COLUMNS]
            numbers = " | ".join(cell.rjust(len(c)) for cell, c in zip(cells, COLUMNS, strict=True))
            print(f"| {name:10} | {level:5g} | {numbers} |", flush=True)


def _mean(values: list[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


if __name__ == "__main__":
    sys.exit(run_command(lambda: still_command, sys.argv[1:], "evaluation.points.stability"))
