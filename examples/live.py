"""Frames as they come: one answer each, with its lag. Here a file plays the camera."""

from pathlib import Path

import pointtrack as pt

CLIP = Path(pt.__file__).parent / "assets" / "clip.mp4"  # 0 for a camera, or an rtsp:// address

tracker = pt.Tracker(step=1, states=True)
with tracker.live(CLIP, lambda wh: pt.grid_queries(wh, size=4), drop=False) as live:
    for count, result in enumerate(live):
        visible = int(result.tracks.visible().sum())
        print(f"frame {result.number}: {visible} points visible, final answers lag {result.lag} frames")
        if count == 5:
            break
