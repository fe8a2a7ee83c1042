"""Many points in chunks: each chunk as if alone, in memory or in files, gone on with after a kill."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pointtrack.io.track_arrays import open_dense
from pointtrack.pipeline import passes as dense
from pointtrack.pipeline.options import TrackOptions
from pointtrack.pipeline.passes import chunks_per_pass, track_dense
from pointtrack.tracking.queries import stride_queries
from pointtrack.types import Queries, Tracks
from tests.support.streams import track
from tests.support.trackers import variant
from tests.support.tracks import moving_video, same, some_queries

WH = (64, 48)
VIDEO = moving_video(13, WH)
ONE = 1.0  # bytes: one chunk per pass
ALL = 1e12


def alone(tracker, queries: Queries, chunk: int) -> list[Tracks]:
    parts = [queries.select(slice(i, i + chunk)) for i in range(0, len(queries), chunk)]
    return [track(tracker, VIDEO, part) for part in parts]


def late_queries() -> Queries:
    """Chunks of 3: two that end on frame 0, one of which has points of any frame, and one of frame 5 alone."""
    queries = some_queries(1, WH, 11)
    return Queries([0, 0, 0, 0, 0, 0, 12, 0, 7, 5, 5], queries.xy, torch.arange(11) * 2 - 9)


@pytest.mark.parametrize("memory", [ONE, ALL])
def test_a_chunk_is_tracked_as_if_alone(tiny_tracker, memory):
    queries = late_queries()
    tracks = track_dense(tiny_tracker, VIDEO, queries, chunk=3, memory=memory)
    expected = alone(tiny_tracker, queries, 3)
    assert tracks.ids.equal(queries.ids) and tracks.fps == VIDEO.fps
    for i, part in enumerate(expected):
        assert same(tracks.select(slice(3 * i, 3 * i + 3)), part), f"chunk {i}"
    assert torch.isfinite(tracks.xy).all()


def test_rows_have_the_times_of_their_frames(tiny_tracker, tmp_path):
    """Also of a part of a video, whose rate varies, and of single frames."""
    times = 2 + np.cumsum([0.1, 0.2, 0.1, 0.3])
    video = replace(VIDEO.clip(0, 4), times=times)
    assert track_dense(tiny_tracker, video, 24).seconds().tolist() == times.tolist()
    found = open_dense(track_dense(tiny_tracker, video, 24, out=tmp_path / "a"))
    assert found.read().seconds().tolist() == times.tolist()
    assert found.read(frames=[1, 3]).seconds().tolist() == times[[1, 3]].tolist()
    assert found.read(frames=[3, 1]).times is None and found.read(frames=slice(2, 4)).first_frame == 2
    assert found.read(frames=slice(2, 4)).seconds().tolist() == times[2:].tolist()
    (tmp_path / "a" / "times.npy").unlink()  # as of an older version
    assert open_dense(tmp_path / "a").read().times is None


@pytest.mark.parametrize("length", [None, 8])
def test_forward_alone_nothing_is_known_before_the_points(tiny_tracker, length):
    """Also of a tracker that takes a whole video in one window."""
    tracker, queries = variant(tiny_tracker, length=length), late_queries()
    tracks = track_dense(tracker, VIDEO, queries, TrackOptions(backward=False), chunk=11, memory=ALL)
    assert same(tracks, track(tracker, VIDEO, queries, backward=False))
    early = torch.arange(len(VIDEO))[:, None] < queries.frame
    assert torch.equal(torch.isnan(tracks.xy[..., 0]), early)


def test_the_encoder_sees_the_frames_once_per_pass(tiny_tracker, monkeypatch):
    seen = []
    encode = type(tiny_tracker).encode
    monkeypatch.setattr(
        type(tiny_tracker), "encode", lambda self, x: seen.append(x.shape[1]) or encode(self, x)
    )
    queries = some_queries(1, WH, 12)
    for memory, passes in ((ONE, 4), (ALL, 1)):
        seen.clear()
        track_dense(tiny_tracker, VIDEO, queries, chunk=3, memory=memory)
        assert sum(seen) == passes * len(VIDEO)


def test_more_memory_holds_more_chunks(tiny_tracker):
    counts = [chunks_per_pass(tiny_tracker, WH, 100, memory) for memory in (0, 2e7, 4e7, 8e7)]
    assert counts[0] == 1 and counts == sorted(counts) and counts[-1] > counts[1]
    assert chunks_per_pass(tiny_tracker, WH, 50, 8e7) > counts[-1], "smaller chunks"


def test_chunks_share_the_features_of_a_pass(tiny_tracker):
    """What one more chunk takes does not depend on the size of the frames."""
    more = []
    for area in (96 * 64, 16 * 96 * 64):
        tiny_tracker.config = replace(tiny_tracker.config, input_area=area)
        few, many = (chunks_per_pass(tiny_tracker, WH, 100, memory) for memory in (1e9, 2e9))
        more.append(many - few)
    assert more[1] == pytest.approx(more[0], abs=1) and more[0] > 100


def test_files_hold_the_same_and_are_read_in_part(tiny_tracker, tmp_path):
    queries = late_queries()
    expected = track_dense(tiny_tracker, VIDEO, queries, chunk=4)
    assert track_dense(tiny_tracker, VIDEO, queries, chunk=4, out=tmp_path / "a") == tmp_path / "a"
    found = open_dense(tmp_path / "a")
    assert isinstance(found.xy, np.memmap) and found.requested == 11 and len(found) == 13
    tracks = found.read()
    assert tracks.xy.equal(expected.xy) and tracks.ids.equal(queries.ids) and tracks.fps == VIDEO.fps
    torch.testing.assert_close(tracks.visibility, expected.visibility, atol=5e-4, rtol=0)
    torch.testing.assert_close(tracks.confidence, expected.confidence, atol=5e-4, rtol=0)
    some = found.read(torch.tensor([9, 2]), slice(3, 5))
    assert some.first_frame == 3 and some.xy.equal(expected.xy[3:5, [9, 2]]) and some.ids.tolist() == [9, -5]


def test_a_run_that_was_stopped_goes_on(tiny_tracker, tmp_path, monkeypatch):
    queries = late_queries()
    whole = open_dense(track_dense(tiny_tracker, VIDEO, queries, chunk=3, out=tmp_path / "whole")).read()
    steps = []

    def stopped(done: int, total: int) -> None:
        steps.append((done, total))
        if done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        track_dense(tiny_tracker, VIDEO, queries, chunk=3, memory=ONE, out=tmp_path / "a", progress=stopped)
    half = open_dense(tmp_path / "a")
    done = len(half.queries)
    assert 0 < done < 11 and same(half.read(), whole.select(slice(0, done)))

    begun = []
    chunks = dense._track_chunks
    monkeypatch.setattr(
        dense, "_track_chunks", lambda *args: begun.append(int(args[2][0].ids[0])) or chunks(*args)
    )
    counts = []
    track_dense(
        tiny_tracker, VIDEO, queries, chunk=3, memory=ALL, out=tmp_path / "a", resume=True,
        progress=lambda done, total: counts.append((done, total)),
    )  # fmt: skip
    assert begun[0] == done, "what is done is not done again"
    assert same(open_dense(tmp_path / "a").read(), whole)
    assert 0 < counts[0][0] < counts[0][1] == counts[-1][0] == steps[0][1]
    begun.clear()
    track_dense(tiny_tracker, VIDEO, queries, chunk=3, out=tmp_path / "a", resume=True)
    assert begun == []
    track_dense(tiny_tracker, VIDEO, queries, chunk=3, out=tmp_path / "a")
    assert begun[0] == 0, "without resume it starts anew"


def test_only_the_same_run_can_be_gone_on_with(tiny_tracker, tmp_path):
    queries = some_queries(1, WH)
    track_dense(tiny_tracker, VIDEO, queries, chunk=4, out=tmp_path)
    other = moving_video(13, WH, seed=1)
    for video, points, chunk, name in [
        (other, queries, 4, "video"),
        (VIDEO, some_queries(2, WH), 4, "points"),
        (VIDEO, queries, 5, "chunk"),
    ]:
        with pytest.raises(ValueError, match=f"got others: {name}: "):
            track_dense(tiny_tracker, video, points, chunk=chunk, out=tmp_path, resume=True)
    with torch.no_grad():
        tiny_tracker.head.bias += 1
    with pytest.raises(ValueError, match="tracker: not the same, though tiny again"):
        track_dense(tiny_tracker, VIDEO, queries, chunk=4, out=tmp_path, resume=True)


def test_every_pixel_is_a_stride_of_one():
    queries = stride_queries((5, 3), 1, frame=2)
    assert queries.xy[:6].tolist() == [[0, 0], [1, 0], [2, 0], [3, 0], [4, 0], [0, 1]]
    assert len(queries) == 15 and set(queries.frame.tolist()) == {2}
    for stride in (2, 7, 8):
        xy = stride_queries(WH, stride).xy
        assert (xy.amin(0) + xy.amax(0)).tolist() == [WH[0] - 1, WH[1] - 1], "in the middle"
        assert xy.min() >= 0 and float(xy[1, 0] - xy[0, 0]) == stride
        assert len(xy) == -(-WH[0] // stride) * -(-WH[1] // stride)


def test_a_stride_in_place_of_points(tiny_tracker):
    tracks = track_dense(tiny_tracker, VIDEO.clip(0, 4), 20)
    assert tracks.queries.xy.equal(stride_queries(WH, 20).xy) and torch.isfinite(tracks.xy).all()


@pytest.mark.parametrize(
    "points, options, message",
    [
        (Queries([0, 13], [[1.0, 1.0]] * 2), {}, r"query point 1: expected a frame in 0\.\.12, got 13"),
        (Queries([0, 0], [[1.0, 1.0], [64.0, 1.0]]), {}, "query point 1: .*inside the 64 x 48 image"),
        (4, {"chunk": 0}, "chunk: expected 1 point or more"),
        (0, {}, "stride: expected 1 pixel or more, got 0"),
        (4, {"resume": True}, "resume: expected a folder"),
    ],
)
def test_mistakes(tiny_tracker, points, options, message):
    with pytest.raises(ValueError, match=message):
        track_dense(tiny_tracker, VIDEO, points, **options)


def test_no_points(tiny_tracker):
    tracks = track_dense(tiny_tracker, VIDEO, Queries.none())
    assert tracks.xy.shape == (13, 0, 2)


def test_a_folder_of_another_kind(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected a folder that track_dense wrote"):
        open_dense(tmp_path)
