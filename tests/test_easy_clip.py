"""The easy clip and its exact tracks fit each other, and are what the script makes."""

import numpy as np

from pointtrack.io.examples import example_tracks, example_video
from pointtrack.tracking.classical import lk
from pointtrack.types import Queries
from train import easy_clip


def test_the_tracks_are_those_of_the_pictures():
    video = example_video("easy")
    xy, visible, frame = example_tracks("easy")
    assert (len(video), video.wh, video.fps) == (60, (640, 360), 24)
    assert xy.shape[1] >= 120
    assert visible[frame, range(len(frame))].all()
    # Lucas-Kanade knows nothing of the script: on most points, most of the time, it agrees to a fraction of a pixel.
    tracks = lk(video.clip(0, 4), Queries(frame, xy[frame, range(len(frame))]).select(frame == 0))
    error = (tracks.xy - xy[:4, frame == 0]).norm(dim=-1)[visible[:4, frame == 0]]
    assert float(error.median()) < 0.25


def test_a_frame_is_what_the_script_draws():
    rng = np.random.default_rng(easy_clip.SEED)
    floor, things = easy_clip.scene(rng)
    made = easy_clip.drawn(20, floor.astype(np.float32), things).astype(int)
    assert np.abs(made - example_video("easy").frames[20]).mean() < 6  # what the codec changes
