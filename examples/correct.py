"""Correct a track: it passes through what a person said, and only the frames around it are tracked again."""

from pathlib import Path

import pointtrack as pt

CLIP = Path(pt.__file__).parent / "assets" / "clip.mp4"
video = pt.read_video(CLIP, max_frames=9)
# --8<-- [start:code]
session = pt.TrackSession(video, pt.Tracker())
(point,) = session.add(pt.Queries(frame=[0], xy=[[120, 80]])).tolist()
before = session.tracks()
session.correct(point, frame=8, xy=(124.5, 81.5))  # the other frames of this point are tracked again
after = session.tracks()
session.save("outputs/points.npz")  # session.undo(), redo(), load("outputs/points.npz")
# --8<-- [end:code]
print("frame 8 before", before.xy[8, 0].tolist(), "after", after.xy[8, 0].tolist())
