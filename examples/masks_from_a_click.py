"""One click on an object becomes its mask on every frame."""

from pathlib import Path

import pointtrack as pt

CLIP = Path(pt.__file__).parent / "assets" / "clip.mp4"

video = pt.read_video(CLIP, max_frames=4)
session = pt.ObjectSession(video, pt.Tracker(), pt.load_segmenter())
ball = session.add_object(name="ball")
first = session.prompt(ball, frame=0, points=[[200, 150]], labels=[1])
print(f"the click covers {first.float().mean():.1%} of the frame")

masks = session.propagate()  # forward and backward; session.prompt(...) on any frame corrects

print("scores", [round(score, 2) for score in masks.scores[:, 0].tolist()])
print("worth a look", session.suggest_corrections(3))
pt.save_masks("outputs/ball.json", masks, format="coco")
pt.write_video("outputs/ball.mp4", pt.draw_masks(video, masks), fps=video.fps)
