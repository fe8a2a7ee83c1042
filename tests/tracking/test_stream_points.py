"""Points that come and go while a stream runs."""

import pytest
import torch

from pointtrack.geometry import resize_frames
from pointtrack.tracking.window_stream import WindowStream
from pointtrack.types import Queries, Tracks
from tests.support.tracks import moving_video, same, some_queries

WH = (64, 48)
VIDEO = moving_video(30, WH)


def new_points(frame: int, first_id: int = 100) -> Queries:
    return Queries([frame, frame + 1], [[20.0, 20.0], [40.5, 30.0]], [first_id, first_id + 1])


def run(tracker, queries: Queries, adds: dict[int, Queries]) -> tuple[Tracks, dict[int, Tracks]]:
    """Frames one by one; points are added after so many frames."""
    stream = WindowStream(tracker, queries, WH)
    parts, caught_up = [], {}
    for count, frame in enumerate(VIDEO.frames, 1):
        parts.append(stream.push(frame))
        if count in adds:
            caught_up[count] = stream.add(adds[count])
    return Tracks.concat([*parts, stream.finish()]), caught_up


@pytest.mark.parametrize(
    "count", [2, 13, *(pytest.param(count, marks=pytest.mark.long) for count in (9, 20))]
)
def test_points_that_join_do_not_disturb_the_others(tiny_tracker, count):
    queries = some_queries(8, WH)
    alone, _ = run(tiny_tracker, queries, {})
    both, _ = run(tiny_tracker, queries, {count: new_points(count - 1)})
    assert both.ids.tolist() == [*range(7), 100, 101]
    assert same(both.select(slice(0, 7)), alone)


@pytest.mark.parametrize("count", [13, 17, 22])
def test_a_point_added_is_tracked_like_one_of_a_stream_that_starts_there(tiny_tracker, count):
    """Windows of both lie on the same frames, so the answers are the same to the last bit."""
    stream = WindowStream(tiny_tracker, some_queries(1, WH), WH)
    parts = [stream.push(VIDEO.frames[:count])]
    first = stream.earliest_frame
    assert 0 < first <= len(parts[0])
    late = stream.add(new_points(first))
    rest = Tracks.concat([stream.push(VIDEO.frames[count:]), stream.finish()])
    assert late.first_frame == first and len(late) == len(parts[0]) - first
    joined = Tracks.concat([late, rest.select(slice(7, 9))])

    other = WindowStream(tiny_tracker, new_points(0), WH)
    wanted = Tracks.concat([other.push(VIDEO.frames[first:]), other.finish()])
    for name in ("xy", "visibility", "confidence"):
        got, expected = getattr(joined, name), getattr(wanted, name)
        assert torch.equal(torch.nan_to_num(got, -9), torch.nan_to_num(expected, -9)), name


def test_a_point_removed_leaves_the_others_as_they_are(tiny_tracker):
    queries = some_queries(1, WH)
    alone, _ = run(tiny_tracker, queries, {})
    stream = WindowStream(tiny_tracker, queries, WH)
    parts = [stream.push(VIDEO.frames[:12])]
    stream.remove([2, 5])
    parts.append(stream.push(VIDEO.frames[12:]))
    tracks = Tracks.concat([*parts, stream.finish()])
    kept = torch.tensor([0, 1, 3, 4, 6])
    assert same(tracks.select(torch.searchsorted(tracks.ids, kept)), alone.select(kept))
    assert torch.isnan(tracks.xy[len(parts[0]) :, tracks.ids == 2]).all()


def test_all_points_may_go_and_others_come(tiny_tracker):
    stream = WindowStream(tiny_tracker, some_queries(1, WH), WH)
    parts = [stream.push(VIDEO.frames[:10])]
    stream.remove(range(7))
    assert len(stream.queries) == 0
    assert stream.push(VIDEO.frames[10:16]).xy.shape[1] == 0
    late = stream.add(new_points(stream.earliest_frame))
    assert late.ids.tolist() == [100, 101] and torch.isfinite(late.xy[1:]).all()
    rest = Tracks.concat([stream.push(VIDEO.frames[16:]), stream.finish()])
    assert rest.first_frame + len(rest) == 30 and torch.isfinite(rest.xy).all()
    assert len(parts[0]) + 8 == rest.first_frame


def test_a_stream_may_start_without_points(tiny_tracker):
    nobody = Queries.none()
    tracks, caught_up = run(tiny_tracker, nobody, {12: new_points(11)})
    assert torch.isfinite(tracks.xy[13:]).all() and torch.isnan(tracks.xy[:11]).all()
    assert caught_up[12].first_frame == 4 and len(caught_up[12]) == 4, (
        "from `earliest` to the last one returned"
    )


@pytest.mark.parametrize(
    "queries, message",
    [
        (new_points(0), "frame 4 or later, got frame 0"),
        (Queries([15], [[64.0, 3.0]], [9]), "inside the 64 x 48 image"),
        (Queries([15], [[4.0, 3.0]], [6]), "distinct ids"),
    ],
)
def test_points_that_cannot_be_added(tiny_tracker, queries, message):
    stream = WindowStream(tiny_tracker, some_queries(1, WH), WH)
    stream.push(VIDEO.frames[:14])
    with pytest.raises(ValueError, match=message):
        stream.add(queries)
    assert len(stream.queries) == 7
    stream.finish()
    with pytest.raises(ValueError, match="before finish"):
        stream.add(new_points(15))


def test_only_points_that_are_there_can_be_removed(tiny_tracker):
    stream = WindowStream(tiny_tracker, some_queries(1, WH), WH)
    with pytest.raises(ValueError, match=r"ids of tracked points, got \[12\]"):
        stream.remove([3, 12])
    assert len(stream.queries) == 7


def test_what_the_tracker_saw_of_the_latest_frames_can_be_asked_for(tiny_tracker):
    stream = WindowStream(tiny_tracker, some_queries(1, WH), WH)
    stream.push(VIDEO.frames[:16])
    assert stream.earliest_frame == 8
    for frame in (8, 11, 15):
        pixels = torch.from_numpy(VIDEO.frames[frame]).permute(2, 0, 1)[None]
        resized = resize_frames(pixels, stream.wh, stream.rule)[None]
        seen = tiny_tracker.encode(resized)[1][0, 0].permute(2, 0, 1)
        torch.testing.assert_close(stream.features(frame, 1), seen, atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match=r"one of 8\.\.15, got 7"):
        stream.features(7, 1)


def test_the_newest_frame_has_an_answer_at_once_and_the_final_ones_do_not_change(tiny_tracker):
    queries = some_queries(1, WH)
    plain, _ = run(tiny_tracker, queries, {})
    stream = WindowStream(tiny_tracker, queries, WH)
    parts, first, lags = [], [], []
    for frame in VIDEO.frames:
        parts.append(stream.push(frame))
        first.append(stream.preview())
        lags.append(stream.lag)
    parts.append(stream.finish())
    final = Tracks.concat(parts)
    torch.testing.assert_close(final.xy, plain.xy, atol=1e-3, rtol=0)
    assert [rows.first_frame for rows in first] == list(range(30)) and all(len(rows) == 1 for rows in first)
    assert torch.equal(first[0].xy[0], queries.xy), "where it was asked for"
    # A stream that ends here would say the same of its last frame.
    for end in (1, 5, 8, 19):
        short = WindowStream(tiny_tracker, queries, WH)
        rows = Tracks.concat([short.push(VIDEO.frames[:end]), short.finish()])
        torch.testing.assert_close(first[end - 1].xy[0], rows.xy[-1], atol=1e-3, rtol=0)
    assert lags[0] == 1 and max(lags) <= tiny_tracker.config.window.length
    with pytest.raises(ValueError, match="preview after the first push"):
        WindowStream(tiny_tracker, queries, WH).preview()


@pytest.mark.parametrize(
    "count", [*(pytest.param(count, marks=pytest.mark.long) for count in (3, 22)), 9, 14]
)
def test_a_stream_goes_on_from_its_state(tiny_tracker, tmp_path, count):
    """With points that came later, a first answer asked for, frames that wait: everything is in the state."""
    stream = WindowStream(tiny_tracker, some_queries(12, WH), WH)
    for frame in VIDEO.frames[: count - 1]:
        stream.push(frame)
    if count > 9:
        stream.add(new_points(count - 2))
        stream.remove([2])
    stream.preview()
    stream.push(VIDEO.frames[count - 1])
    torch.save(stream.state_dict(), tmp_path / "state")
    rest = Tracks.concat([stream.push(VIDEO.frames[count:]), stream.finish()])
    again = WindowStream.from_state_dict(tiny_tracker, torch.load(tmp_path / "state", weights_only=True))
    assert again.frames_pushed == count and again.fps == stream.fps
    other = Tracks.concat([again.push(VIDEO.frames[count:]), again.finish()])
    assert other.first_frame == rest.first_frame and other.ids.equal(rest.ids) and same(other, rest)
    with pytest.raises(ValueError, match="before finish"):
        again.state_dict()


def test_a_stream_may_end_where_its_state_was_saved(tiny_tracker):
    """The last window has said all: its answers are in the state too."""
    stream = WindowStream(tiny_tracker, some_queries(12, WH), WH)
    stream.push(VIDEO.frames[:12])
    again = WindowStream.from_state_dict(tiny_tracker, stream.state_dict())
    rest = stream.finish()
    assert len(rest) == 4 and torch.isfinite(rest.xy).all() and same(again.finish(), rest)
