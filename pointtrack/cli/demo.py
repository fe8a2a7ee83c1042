"""The command `pointtrack demo`: the clips that come with pointtrack, whose exact tracks are known, or a video of your own."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from pointtrack.checks import counted
from pointtrack.cli.track import track_and_report, write_results
from pointtrack.io.examples import example_path, example_tracks
from pointtrack.io.outputs import check_outputs, record_origin
from pointtrack.io.video import read_video
from pointtrack.tracker import Tracker
from pointtrack.tracking.classical import dis, lk
from pointtrack.tracking.queries import corner_queries, grid_queries
from pointtrack.types import Queries, Tracks, Video
from pointtrack.viz.styles import TrackStyle
from pointtrack.zoo import load_tracker


def demo(
    video: str | None = None,
    clip: str = "easy",
    grid: int = 20,
    corners: int = 12,
    compare: bool = True,
    tracker: str = "small",
    out: str = "outputs",
    max_frames: int | None = None,
) -> None:
    """Track a grid and the strongest corners of the middle frame; write a video, pictures and the tracks.

    Without a video it takes a clip that comes with pointtrack, whose exact tracks are known, and prints the errors of the
    tracker, of Lucas-Kanade and of DIS flow.

    Args:
        video: any video file or folder of pictures; a bundled clip if left out.
        clip: bundled clip: easy (patterned things slide over a floor), or hard (blur, sudden turns, things that look
            alike).
        grid: points per side of a grid on the first frame.
        corners: number of corners, chosen on the middle frame and tracked both ways from there.
        compare: also track the points with known exact tracks by the other methods.
        tracker: name of a tracker, or its .safetensors file.
        out: folder for the results.
        max_frames: use only this many frames.
    """
    target, saved = Path(out) / "demo.mp4", Path(out) / "tracks.npz"
    written = [target, target.with_suffix(".png"), saved]
    check_outputs([video, tracker], written)
    frames = read_video(video or example_path(clip), max_frames=max_frames)
    queries = Queries.concat(
        [grid_queries(frames, size=grid), corner_queries(frames, corners, frame=len(frames) // 2)],
        renumber=True,
    )
    network = load_tracker(tracker)
    tracks = track_and_report(network, frames, queries)
    record_origin(written, video or "demo")
    write_results(frames, tracks, target, [saved], TrackStyle(legend=True), video)
    if video is None:
        compare_with_truth(Tracker(network), frames, clip, compare)
    shown = video or ("demo" if clip == "hard" else str(example_path(clip)))
    print(f"next      pointtrack ui {shown} --tracks {saved}    (click, correct, export)")


def compare_with_truth(tracker: Tracker, video: Video, clip: str, compare: bool) -> None:
    """Print the errors of the methods on the points of a bundled clip whose exact tracks are known."""
    truth, visible, frame = example_tracks(clip)
    truth, visible = truth[: len(video)], visible[: len(video)]
    known = frame < len(video)
    truth, visible, frame = truth[:, known], visible[:, known], frame[known]
    points = torch.arange(len(frame))
    queries = Queries(frame, truth[frame, points])
    others = torch.arange(len(video))[:, None] != frame  # leave out the query itself, which is given
    methods: dict[str, Callable[[Video, Queries], Tracks]] = {"pointtrack": tracker.track}
    if compare:
        methods |= {"Lucas-Kanade": lk, "DIS flow": dis}
    print(f"\n{counted(len(frame), 'point')} whose exact tracks are known:")
    print("method          error median    mean    within 4 px     visibility right    seconds")
    for name, method in methods.items():
        began = time.perf_counter()
        tracks = method(video, queries)
        seconds = time.perf_counter() - began
        error = (tracks.xy - truth).norm(dim=-1)[visible & others].numpy()
        right = (tracks.visible() == visible)[others].float().mean()
        print(
            f"{name:15} {np.median(error):9.2f} px {error.mean():7.2f} {100 * (error < 4).mean():11.0f} %"
            f" {100 * right:17.0f} % {seconds:12.1f}"
        )
    if compare and clip == "easy":
        print("Patterned things that slide suit optical flow. On real animals: docs/results/accuracy.md")
    print()
