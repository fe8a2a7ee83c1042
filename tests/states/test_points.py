"""Points that come and go while states are told, and a run that goes on from its state."""

from dataclasses import replace

import pytest
import torch

from pointtrack.tracking.stream import restored, saved
from pointtrack.tracking.support import support_queries
from pointtrack.tracking.window_stream import WindowStream
from pointtrack.types import Queries, Tracks
from pointtrack.types.point_states import PointState
from tests.support.states import GENEROUS, same_states
from tests.support.streams import state_stream
from tests.support.tracks import moving_video, same, some_queries

WH = (64, 48)
VIDEO = moving_video(30, WH)
QUERIES = some_queries(1, WH)


def new_points(frame: int) -> Queries:
    return Queries([frame, frame + 1], [[20.0, 20.0], [40.5, 30.0]], [100, 101])


def raw(tracks: Tracks) -> Tracks:
    return replace(tracks, xy=tracks.states.raw_xy, visibility=tracks.states.raw_visibility)


@pytest.mark.parametrize(
    ("frame", "redetect"),
    [
        (4, False),
        *(pytest.param(*one, marks=pytest.mark.long) for one in ((4, True), (7, False))),
        (13, True),
    ],
)
def test_points_that_join_have_states_and_leave_the_tracks_of_others_as_they_are(
    tiny_tracker, frame, redetect
):
    """On frames that were returned, on one that is not final yet, and on one that did not come yet."""
    helpers = support_queries(QUERIES, WH)
    plain = WindowStream(tiny_tracker, Queries.concat([QUERIES, helpers]), WH)
    stream = state_stream(tiny_tracker, QUERIES, WH, redetect=redetect)
    wanted, parts = [plain.push(VIDEO.frames[:14])], [stream.push(VIDEO.frames[:14])]
    assert stream.earliest_frame == 4 and len(parts[0]) == 8
    late, plain_late = (one.add(new_points(frame)) for one in (stream, plain))
    assert late.ids.tolist() == [100, 101] and stream.queries.ids.tolist() == [*range(7), 100, 101]
    assert same(raw(late), plain_late)
    assert late.first_frame == 4 and len(late) == 4
    parts += [stream.push(VIDEO.frames[14:]), stream.finish()]
    wanted += [plain.push(VIDEO.frames[14:]), plain.finish()]
    tracks, expected = Tracks.concat(parts), Tracks.concat(wanted)
    assert tracks.ids.tolist() == [*range(7), 100, 101]
    if not redetect:  # with it they may go on from where they are found
        assert same(raw(tracks), expected.select(expected.ids >= 0))
    whole = Tracks.concat([late, tracks.clip(8).select(slice(7, 9))]).states
    requested = new_points(frame).frame
    early = torch.arange(4, 30)[:, None] < requested
    assert torch.equal(whole.state == PointState.NOT_TRACKED, early)
    assert (whole.state[requested - 4, torch.arange(2)] == PointState.VISIBLE).all()
    assert whole.similarity[requested - 4, torch.arange(2)] == pytest.approx([1.0, 1.0], abs=1e-4)


def test_a_cut_loses_points_that_were_added_before_it(tiny_tracker):
    stream = state_stream(tiny_tracker, QUERIES, WH, cuts=[6, 18], rules=GENEROUS)
    stream.push(VIDEO.frames[:14])
    late = stream.add(new_points(4))
    rest = Tracks.concat([stream.push(VIDEO.frames[14:]), stream.finish()]).select(slice(7, 9))
    assert (late.states.state[2:] == PointState.LOST).all()
    assert not bool((late.states.state[:2] == PointState.LOST).any())
    assert (rest.states.state == PointState.LOST).all()
    stream = state_stream(tiny_tracker, QUERIES, WH, cuts=[6, 18], rules=GENEROUS)
    stream.push(VIDEO.frames[:14])
    stream.add(new_points(10))
    rest = Tracks.concat([stream.push(VIDEO.frames[14:]), stream.finish()])
    state = rest.states.state[:, 7:]
    assert not bool((state[: 18 - 8] == PointState.LOST).any()) and (state[18 - 8 :] == PointState.LOST).all()


def test_a_point_removed_is_gone_and_the_others_keep_their_tracks(tiny_tracker):
    alone = state_stream(tiny_tracker, QUERIES, WH)
    wanted = Tracks.concat([alone.push(VIDEO.frames), alone.finish()])
    stream = state_stream(tiny_tracker, QUERIES, WH, redetect=True)
    stream.push(VIDEO.frames[:12])
    with pytest.raises(ValueError, match=r"ids of tracked points, got \[-1\]"):
        stream.remove([2, -1])
    stream.remove([2, 5])
    kept = [0, 1, 3, 4, 6]
    assert stream.queries.ids.tolist() == kept
    rest = Tracks.concat([stream.push(VIDEO.frames[12:]), stream.finish()])
    assert rest.ids.tolist() == kept
    same_way = (rest.states.times_redetected == 0).all(dim=0)
    assert bool(same_way.any())
    assert same(raw(rest).select(same_way), raw(wanted.clip(8).select(kept)).select(same_way))
    with pytest.raises(ValueError, match=r"got \[2\]"):
        stream.remove([2])


def test_all_points_may_go_and_others_come(tiny_tracker):
    stream = state_stream(tiny_tracker, QUERIES, WH, redetect=True, support_grid=0)
    stream.push(VIDEO.frames[:10])
    stream.remove(range(7))
    assert stream.push(VIDEO.frames[10:16]).states.state.shape == (8, 0)
    assert stream.inner.state_dict()["maps"] == {}, "nobody will be searched for on what was seen there"
    late = stream.add(new_points(stream.earliest_frame))
    assert (late.states.state[1:] != PointState.NOT_TRACKED).all()
    rest = Tracks.concat([stream.push(VIDEO.frames[16:]), stream.finish()])
    assert rest.first_frame + len(rest) == 30 and (rest.states.state != PointState.NOT_TRACKED).all()


def test_points_that_cannot_be_added(tiny_tracker):
    stream = state_stream(tiny_tracker, QUERIES, WH)
    stream.push(VIDEO.frames[:14])
    for queries, message in (
        (new_points(0), "frame 4 or later, got frame 0"),
        (Queries([15], [[4.0, 3.0]], [-40]), "query ids: expected 0 or more, got -40"),
        (Queries([15], [[4.0, 3.0]], [6]), "distinct ids"),
    ):
        with pytest.raises(ValueError, match=message):
            stream.add(queries)
    assert len(stream.queries) == 7


def test_after_a_point_was_found_again_others_may_join_with_any_free_id_and_a_run_goes_on(tiny_tracker):
    stream = state_stream(tiny_tracker, QUERIES, WH, cuts=[9], redetect=True)
    before = stream.push(VIDEO.frames[:28])
    assert [(find.id, find.frame) for find in stream.inner.redetected] == [(0, 20)]
    stream.add(Queries([26] * 9, [[20.0, 20.0]] * 9, range(7, 16)))
    again = restored(tiny_tracker, saved(stream))
    rest, other = (Tracks.concat([one.push(VIDEO.frames[28:]), one.finish()]) for one in (stream, again))
    assert rest.ids.tolist() == [*range(16)]
    assert (
        rest.states.times_redetected[-1].tolist()
        == [1, *[0] * 15]
        == [*before.states.times_redetected[-1].tolist(), *[0] * 9]
    )
    assert same(other, rest) and same_states(other.states, rest.states)
    stream = state_stream(tiny_tracker, QUERIES, WH, cuts=[9], redetect=True)
    stream.push(VIDEO.frames[:28])
    stream.remove([0, 3])
    assert Tracks.concat([stream.push(VIDEO.frames[28:]), stream.finish()]).ids.tolist() == [1, 2, 4, 5, 6]


def test_a_first_answer_changes_no_state_and_what_became_final_with_it_comes_with_the_next_push(tiny_tracker):
    options = {"cuts": [9], "redetect": True}
    plain = state_stream(tiny_tracker, QUERIES, WH, **options)
    wanted = Tracks.concat([*(plain.push(frame) for frame in VIDEO.frames), plain.finish()])
    stream, parts, found = state_stream(tiny_tracker, QUERIES, WH, **options), [], []
    for frame in VIDEO.frames:
        parts.append(stream.push(frame))
        found += stream.inner.redetected
        assert stream.redetected == stream.inner.redetected
        preview = stream.preview()
        assert preview.ids.tolist() == [*range(7)]
        assert stream.lag == stream.frames_pushed - sum(map(len, parts))
    parts.append(stream.finish())
    found += stream.inner.redetected
    tracks = Tracks.concat(parts)
    assert torch.equal(tracks.states.state, wanted.states.state)
    assert torch.equal(tracks.states.times_redetected, wanted.states.times_redetected)
    torch.testing.assert_close(tracks.xy, wanted.xy, atol=1e-2, rtol=0)
    assert len(found) == int(tracks.states.times_redetected[-1].sum()) > 0
    for find in found:
        assert tracks.xy[find.frame, find.id].tolist() == pytest.approx(find.xy)


@pytest.mark.parametrize(
    ("count", "redetect"),
    [(9, False), (14, True), *(pytest.param(count, True, marks=pytest.mark.long) for count in (3, 22))],
)
def test_a_stream_goes_on_from_its_state(tiny_tracker, tmp_path, count, redetect):
    """With points that came and went, a first answer asked for, cuts found: everything is in the state."""
    frames = VIDEO.frames.copy()
    frames[11:] = 255 - frames[11:]
    stream = state_stream(tiny_tracker, some_queries(12, WH), WH, redetect=redetect)
    for frame in frames[: count - 1]:
        stream.push(frame)
    if count > 9:
        stream.add(new_points(count - 2))
        stream.remove([2])
    stream.push(frames[count - 1])
    stream.preview()
    torch.save(saved(stream), tmp_path / "state")
    rest = Tracks.concat([stream.push(frames[count:]), stream.finish()])
    again = restored(tiny_tracker, torch.load(tmp_path / "state", weights_only=True))
    assert again.frames_pushed == count and again.lag == count - rest.first_frame
    other = Tracks.concat([again.push(frames[count:]), again.finish()])
    assert again.cuts == stream.cuts == {11} and again.inner.redetected == stream.inner.redetected
    assert other.first_frame == rest.first_frame and other.ids.equal(rest.ids)
    assert same(other, rest) and same_states(other.states, rest.states)
    assert bool((rest.states.state == PointState.LOST).any())


def test_a_state_may_be_asked_for_before_the_end_and_without_a_function(tiny_tracker):
    stream = state_stream(tiny_tracker, QUERIES, WH, cuts=lambda frame: False)
    with pytest.raises(ValueError, match="cuts: expected frames, or 'auto', .* got a function"):
        stream.state_dict()
    stream = state_stream(tiny_tracker, QUERIES, WH)
    stream.push(VIDEO.frames[:9])
    stream.finish()
    with pytest.raises(ValueError, match="before finish"):
        stream.state_dict()
