"""Track a grid and two chosen points through a video, draw and save them."""

from pathlib import Path

import pointtrack as pt

CLIP = Path(pt.__file__).parent / "assets" / "clip.mp4"  # any video of yours

video = pt.read_video(CLIP, max_frames=9)  # all of it if left out
tracker = pt.Tracker()  # the shipped model; pt.Tracker("cotracker3-offline", device="cuda")
chosen = pt.Queries(frame=[0, 8], xy=[[120, 80], [200.5, 110]])
queries = pt.Queries.concat([pt.grid_queries(video, size=8), chosen], renumber=True)

tracks = tracker.track(video, queries)

print(tracks.xy.shape)  # (frames, points, 2) pixels; not clamped to the image
print(f"{tracks.visible().float().mean():.0%} visible")
pt.save_tracks("outputs/example_tracks.npz", tracks)
pt.write_video("outputs/example_tracks.mp4", pt.draw_tracks(video, tracks), fps=video.fps)
