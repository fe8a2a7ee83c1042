"""Track a grid and a few chosen points through a video: `python demo.py [VIDEO] --grid 20`.

Without a video it takes the clip that comes with pointtrack, whose exact tracks are known, and also says
how far off the tracker was. The whole video is held in memory; for very long ones see `StreamTracker`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

import pointtrack as pt
from pointtrack.cli.runner import run_command
from pointtrack.cli.track import track_and_report, write_results
from pointtrack.viz.styles import TrackStyle
from pointtrack.zoo import load_tracker

ASSETS = Path(pt.__file__).parent / "assets"


def demo(
    video: str | None = None,
    grid: int = 20,
    corners: int = 12,
    tracker: str = "small",
    out: str = "outputs",
    max_frames: int | None = None,
) -> None:
    """Track a grid and the strongest corners of the middle frame; write a video, pictures and the tracks.

    Args:
        video: any video file or folder of pictures; the bundled clip if left out.
        grid: points per side of a grid on the first frame.
        corners: this many corners, chosen on the middle frame and tracked both ways from there.
        tracker: name of a tracker, or its .safetensors file.
        out: folder for the results.
        max_frames: use only this many frames.
    """
    clip = pt.read_video(video or ASSETS / "clip.mp4", max_frames=max_frames)
    queries = pt.Queries.concat(
        [pt.grid_queries(clip, size=grid), pt.corner_queries(clip, corners, frame=len(clip) // 2)],
        renumber=True,
    )
    model = load_tracker(tracker)
    tracks = track_and_report(model, clip, queries)
    write_results(clip, tracks, Path(out) / "demo.mp4", [Path(out) / "tracks.npz"], TrackStyle(legend=True))
    if video is None:
        compare_with_truth(model, clip)
    print("\nTo click on objects and points of it, correct them and export masks, in the browser:")
    print(
        f"          {sys.executable} -m pointtrack.cli ui {video or 'demo'} --tracks {Path(out) / 'tracks.npz'}"
    )


def compare_with_truth(model: torch.nn.Module, clip: pt.Video) -> None:
    """Track the points of the bundled clip whose exact tracks are known, and print how far off they are."""
    with np.load(ASSETS / "clip_tracks.npz") as file:
        truth = torch.from_numpy(file["xy"])[: len(clip)].float()  # (t, n, 2) pixels
        visible = torch.from_numpy(file["visible"])[: len(clip)].bool()  # (t, n)
        frame = torch.from_numpy(file["query_frame"]).long()  # (n,)
    known = frame < len(clip)
    truth, visible, frame = truth[:, known], visible[:, known], frame[known]
    points = torch.arange(len(frame))
    print(f"\nAnd {len(frame)} points whose exact tracks are known, from the renderer:")
    tracks = track_and_report(model, clip, pt.Queries(frame, truth[frame, points]))
    counted = torch.arange(len(clip))[:, None] != frame  # the query itself is given, not found
    error = (tracks.xy - truth).norm(dim=-1)[visible & counted]
    right = (tracks.visible() == visible)[counted].float().mean()
    print(f"error     median {error.median():.2f}, mean {error.mean():.2f} pixels where points are visible")
    print(f"          {100 * (error < 4).float().mean():.0f} % within 4 pixels")
    print(f"hidden?   told right for {100 * right:.0f} % of the points and frames")


if __name__ == "__main__":
    sys.exit(run_command(lambda: demo, sys.argv[1:], "demo.py"))
