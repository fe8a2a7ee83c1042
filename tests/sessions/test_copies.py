"""Trackers, streams and sessions go to worker processes: pickled or copied, also while walks are under way."""

import copy
import pickle

import pytest
import torch

from pointtrack.io.lazy_video import lazy_video
from pointtrack.io.video import write_video
from pointtrack.sessions.track_session import TrackSession
from pointtrack.tracker import Tracker
from pointtrack.types import Queries, Video

HOWS = {"pickle": lambda x: pickle.loads(pickle.dumps(x)), "deepcopy": copy.deepcopy}


@pytest.mark.parametrize("how", HOWS)
def test_trackers_streams_and_sessions(how, tiny_tracker, tiny_video):
    queries = Queries([0, 1], [[40, 30], [20, 30]])
    tracker = Tracker(tiny_tracker)
    expected = tracker.track(tiny_video, queries).xy
    assert HOWS[how](tracker).track(tiny_video, queries).xy.equal(expected)
    stream = tracker.stream(queries, tiny_video.wh)
    stream.push(tiny_video.frames[:3])
    other = HOWS[how](stream)
    for one in (stream, other):
        one.push(tiny_video.frames[3:])
    torch.testing.assert_close(stream.finish().xy, other.finish().xy, atol=0, rtol=0, equal_nan=True)
    session = TrackSession(tiny_video, tracker)
    session.add(queries)
    torch.testing.assert_close(
        HOWS[how](session).tracks().xy, session.tracks().xy, atol=0, rtol=0, equal_nan=True
    )


def test_lazy_videos(tmp_path, tiny_video):
    video = lazy_video(write_video(tmp_path / "a.mp4", tiny_video))
    first = video.frames[0]
    again = pickle.loads(pickle.dumps(video))
    assert (again.frames[0] == first).all()
    assert isinstance(again, Video)


def test_another_default_dtype(tiny_tracker, tiny_video):
    queries = Queries([0, 1], [[40, 30], [20, 30]])
    expected = Tracker(tiny_tracker).track(tiny_video, queries).xy
    torch.set_default_dtype(torch.float64)
    try:
        found = Tracker(tiny_tracker).track(tiny_video, queries).xy
    finally:
        torch.set_default_dtype(torch.float32)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)
