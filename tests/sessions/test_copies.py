"""Trackers, streams and sessions go to worker processes: pickled or copied, also while walks are under way."""

import copy
import pickle

import pytest
import torch

from pointtrack.io.lazy_video import lazy_video
from pointtrack.io.video import write_video
from pointtrack.sessions.object_session import ObjectSession
from pointtrack.sessions.track_session import TrackSession
from pointtrack.tracker import Tracker
from pointtrack.types import Queries, Video
from tests.support.scenes import ColourSegmenter, squares

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


@pytest.mark.parametrize("how", HOWS)
def test_object_sessions(how, tiny_tracker):
    """Also in the middle of a walk, of which the copy goes on from the results that are there."""
    frames = [(2 + 3 * t, 4 + t) for t in range(8)]
    scene = squares([frames, [(60 - x, 38 - y // 2) for x, y in frames]])
    segmenter = ColourSegmenter()
    segmenter.answers = (1,)
    session = ObjectSession(scene.video, tiny_tracker, segmenter, cuts=())
    thing = session.add_object("thing")
    session.prompt(thing, 0, points=[scene.truth[0, 0].nonzero().float().mean(0).flip(0).tolist()])
    session.propagate(stop=4)
    other = HOWS[how](session)
    assert other.objects == session.objects and other.engine is not session.engine
    expected = session.propagate()
    assert torch.equal(other.propagate().masks, expected.masks)
    assert other.undo(), "the click"
    assert not other.masks().masks.any()
    assert torch.equal(session.propagate().masks, expected.masks), "and not that of the first"


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
