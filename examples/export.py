"""The same tracks for a spreadsheet, DeepLabCut, napari and CVAT."""

from pathlib import Path

import pointtrack as pt
from pointtrack.tracking.smooth import smooth_tracks

CLIP = Path(pt.__file__).parent / "assets" / "clip.mp4"

video = pt.read_video(CLIP, max_frames=6)
tracks = pt.Tracker().track(video, pt.corner_queries(video, 10))

for name, format in {"t.csv": None, "t_dlc.csv": "dlc", "t_napari.csv": "napari", "t.xml": "cvat"}.items():
    print(pt.save_tracks(Path("outputs") / name, tracks, format=format))
smooth = smooth_tracks(tracks, radius=3)  # evened out over 3 frames on each side; `tracks` stay raw
again = pt.load_tracks("outputs/t.csv")
assert again.xy.equal(tracks.xy)  # pointtrack's own formats come back to the last bit
