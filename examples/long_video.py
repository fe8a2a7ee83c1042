"""A video of any length in flat memory, tracks on disk while it runs; a run that was killed goes on where it was."""

from pathlib import Path

import pointtrack as pt

CLIP = Path(pt.__file__).parent / "assets" / "clip.mp4"
OUT = Path("outputs/example_long.tracks")

OUT.parent.mkdir(exist_ok=True)
tracker = pt.Tracker(states=True)
with pt.open_video(CLIP, max_frames=12) as frames:  # all of it if left out
    queries = pt.grid_queries(frames.wh, size=4)
    tracker.track_to_file(frames, queries, OUT, resume=True)  # the same line after a crash

tracks = pt.load_tracks(OUT)  # also while it runs, as far as it is
print(len(tracks), "frames,", len(tracks.ids), "points")
