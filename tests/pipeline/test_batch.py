"""Videos with different numbers of points in one batch: as one after the other."""

import pytest
import torch

from pointtrack.models.point_tracker import PointTracker
from pointtrack.pipeline.batch import track_batch
from pointtrack.types import Queries
from tests.support.streams import track
from tests.support.trackers import variant
from tests.support.tracks import moving_video, some_queries

NOBODY = Queries.none()
# (frames, size, points, latest query frame + 1): three that share a batch, and others.
CLIPS = [(13, (64, 48), 7, 1), (13, (64, 48), 3, 13), (9, (64, 48), 4, 9), (13, (64, 48), 12, 13), (13, (48, 64), 2, 1)]  # fmt: skip


def clips():
    videos = [moving_video(t, wh, seed) for seed, (t, wh, _, _) in enumerate(CLIPS)]
    queries = [some_queries(last, wh, n) for _, wh, n, last in CLIPS]
    return [*videos, videos[0]], [*queries, NOBODY]


def assert_same(found, expected):
    assert found.ids.equal(expected.ids) and found.fps == expected.fps and found.wh == expected.wh
    for name, tolerance in (("xy", 1e-4), ("visibility", 1e-5), ("confidence", 1e-5)):
        torch.testing.assert_close(
            getattr(found, name), getattr(expected, name), atol=tolerance, rtol=1e-6, equal_nan=True
        )


@pytest.mark.parametrize("backward", [True, pytest.param(False, marks=pytest.mark.long)])
@pytest.mark.parametrize(
    "window",
    [{}, {"start": "repeat", "late": "masked"}, {"start": "repeat", "late": "present"}, {"length": None, "start": "repeat"}],
    ids=["absent", "masked", "present", "one window"],
)  # fmt: skip
def test_a_batch_is_as_one_by_one(tiny_tracker, window, backward):
    tracker = variant(tiny_tracker, **window)
    videos, queries = clips()
    found = track_batch(tracker, videos, queries, backward=backward, support_grid=2)
    for tracks, video, points in zip(found, videos, queries, strict=True):
        assert_same(tracks, track(tracker, video, points, backward=backward, support_grid=2))


def test_videos_that_are_alike_share_the_network(tiny_tracker, monkeypatch):
    seen = []
    encode = PointTracker.encode
    monkeypatch.setattr(
        PointTracker, "encode", lambda self, x: seen.append(tuple(x.shape[:2])) or encode(self, x)
    )
    videos, queries = clips()
    track_batch(tiny_tracker, videos, queries, backward=False)
    assert sorted(seen)[-4:] == [(4, 1), (4, 4), (4, 4), (4, 4)]
    seen.clear()
    track_batch(tiny_tracker, videos, queries, backward=False, size=3)
    assert max(seen)[0] == 3


def test_filling_up_is_hidden(tiny_tracker, monkeypatch):
    """Without the mask the answers differ: the test above can fail."""
    monkeypatch.setattr(PointTracker, "hiding", lambda self, filler: self)
    videos, queries = clips()
    found = track_batch(tiny_tracker, videos, queries)
    expected = track(tiny_tracker, videos[1], queries[1])
    assert float((found[1].xy - expected.xy).abs().max()) > 1e-3


def test_the_tracker_stays_as_it_was(tiny_tracker):
    updater = tiny_tracker.updater
    track_batch(tiny_tracker, *clips(), backward=False)
    assert tiny_tracker.updater is updater


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda v, q: (v, q[:-1], {}), "queries for each of the 6 videos, got 5"),
        (lambda v, q: (v, q, {"size": 0}), "size: expected 1 video or more"),
        (lambda v, q: (v, [some_queries(1, (99, 99)), *q[1:]], {}), "inside the 64 x 48 image"),
    ],
)
def test_mistakes(tiny_tracker, change, message):
    videos, queries, options = change(*clips())
    with pytest.raises(ValueError, match=message):
        track_batch(tiny_tracker, videos, queries, **options)


def test_no_videos(tiny_tracker):
    assert track_batch(tiny_tracker, [], []) == []
