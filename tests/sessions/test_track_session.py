"""Corrections of tracks, with a tracker that drifts by a known amount."""

import numpy as np
import pytest
import torch

from pointtrack.sessions import track_session, track_session_file
from pointtrack.sessions.files import FORMAT, TRACK_FORMAT, write_session_npz
from pointtrack.sessions.point_walks import Part, join, walk_points
from pointtrack.sessions.track_session import Fix, FixedPoint, TrackSession, spans_of
from pointtrack.types import Queries, Source, Tracks, Video
from tests.support.drifting_tracker import FRAMES, SPEED, VIDEO, drift
from tests.support.tracks import moving_video


@pytest.fixture
def calls(monkeypatch) -> list[list[int]]:
    """The tracker drifts; which frames it was asked for."""
    return drift(monkeypatch)


@pytest.fixture
def session(calls) -> TrackSession:
    session = TrackSession(VIDEO, None)
    session.add(Queries([0, 10], [[20.0, 20.0], [50.0, 40.0]]))
    calls.clear()
    return session


def test_points_are_tracked_both_ways(session, calls):
    tracks = session.tracks()
    assert tracks.ids.tolist() == [0, 1] and torch.isfinite(tracks.xy).all()
    assert torch.allclose(tracks.xy[4, 0], torch.tensor([20.0, 20.0]) + 4 * SPEED + 1.2)
    assert calls == [] and session.points == {0: [0], 1: [10]}
    assert repr(session) == f"TrackSession(2 points, {FRAMES} frames of {VIDEO.wh[0]} x {VIDEO.wh[1]})"


def test_propagate_shows_a_bar(calls, capsys):
    session = TrackSession(VIDEO, None)
    session.add(Queries([0], [[20.0, 20.0]]), follow=False)
    session.propagate(progress=True)
    shown = capsys.readouterr().err
    assert "following" in shown and f"{FRAMES - 1}frame" in shown


def test_a_track_passes_through_its_corrections_without_a_jump(session, calls):
    right = torch.tensor([20.0, 20.0]) + 12 * SPEED
    session.correct(0, 12, right.tolist())
    tracks = session.tracks()
    assert torch.equal(tracks.xy[12, 0], right) and tracks.visibility[12, 0] == 1
    error = (tracks.xy[:, 0] - torch.tensor([20.0, 20.0]) - torch.arange(FRAMES)[:, None] * SPEED).norm(dim=1)
    assert error[11] < 0.8 and error[6] < 2.6, "drift is told from both ends"
    assert (error[1:] - error[:-1]).abs().max() < 0.7
    assert sorted(map(len, calls)) == [8, 12, 12], "12 to the end, and between the fixes from both sides"


def test_all_that_does_not_depend_on_a_correction_stays_to_the_last_bit(session, calls):
    session.correct(1, 4, (38, 34))
    before = session.tracks()
    calls.clear()
    session.correct(1, 14, (61, 47))
    after = session.tracks()
    assert torch.equal(after.xy[:, 0], before.xy[:, 0])
    assert torch.equal(after.xy[:11, 1], before.xy[:11, 1]) and not torch.equal(
        after.xy[12, 1], before.xy[12, 1]
    )
    assert all(min(frames) >= 10 for frames in calls)


def test_an_id_is_never_used_twice_not_even_that_of_a_point_that_was_taken_back(session, tmp_path):
    session.add(Queries([3], [[30.0, 30.0]], names=("gone",)), follow=False)
    session.undo()
    session.correct(1, 4, (38, 34))
    assert session.add([(5, 9.0, 9.0)], follow=False).tolist() == [3]
    session.save(tmp_path / "a.npz")
    again = TrackSession(VIDEO, None)
    again.load(tmp_path / "a.npz")
    assert again.add([(5, 9.0, 9.0)], follow=False).tolist() == [4]
    assert again.groups == {0: 1, 1: 1, 3: 3, 4: 4} and not any(again.known().queries.names)


def test_to_add_points_and_to_ask_for_their_groups_looks_at_no_state_from_before(session, monkeypatch):
    class Watched(list):
        def __iter__(self):
            raise AssertionError("all states are gone through")

    session._history.states = Watched(session._history.states)
    session.add([(5, 9.0, 9.0)], follow=False)
    session._history.states = Watched(session._history.states)
    assert session.groups == {0: 1, 1: 1, 2: 2}


def test_the_order_of_corrections_does_not_matter(calls):
    one, other = TrackSession(VIDEO, None), TrackSession(VIDEO, None)
    for session, order in ((one, (5, 15, 9)), (other, (15, 9, 5))):
        session.add(Queries([0], [[20.0, 20.0]]))
        for frame in order:
            session.correct(0, frame, (20 + 2.5 * frame, 22 + frame))
            session.tracks()
    assert torch.equal(one.tracks().xy, other.tracks().xy)


def test_a_correction_costs_the_same_after_many_others(session, monkeypatch):
    """What can be reached grows with every act, so there is nothing to look for in the whole history."""
    found = []
    monkeypatch.setattr(
        track_session, "spans_of", lambda point, length: found.append(point) or spans_of(point, length)
    )
    for number in range(6):
        session.correct(0, number + 2, (30, 30))
    assert not found
    session.undo()
    session.correct(1, 4, (30, 30))  # what was undone is gone
    assert len(found) == len({id(point) for point in found})


def test_who_said_what(session):
    session.correct(0, 7, (30, 30))
    sources = session.tracks().sources
    assert (sources[:, 0] == Source.PERSON).nonzero()[:, 0].tolist() == [0, 7]
    assert (sources[:, 1] == Source.PERSON).nonzero()[:, 0].tolist() == [10]
    assert (sources > 0).all()


def test_undo_redo_and_forget(session, calls):
    before = session.tracks()
    session.correct(0, 7, (30, 30))
    after = session.tracks()
    calls.clear()
    assert session.undo() and torch.equal(session.tracks().xy, before.xy)
    assert session.redo() and torch.equal(session.tracks().xy, after.xy)
    assert calls == [] and not session.redo()
    session.forget(0, 7)
    assert torch.equal(session.tracks().xy, before.xy) and calls == [], "the spans are those of before"
    session.forget(0, 0)
    assert session.points == {1: [10]} and session.undo() and session.points == {0: [0], 1: [10]}
    (late,) = session.add(Queries([3], [[5.0, 5.0]])).tolist()
    assert late == 2


@pytest.mark.parametrize(("most", "tracks_again"), [(1_000_000, False), (3, True)])
def test_undo_and_redo_track_nothing_in_a_session_from_a_file(
    session, calls, tmp_path, monkeypatch, most, tracks_again
):
    """As far as the file stays small."""
    monkeypatch.setattr(track_session_file, "MOST_EARLIER", most)
    steps = [session.tracks().xy]
    for frame in (7, 9):
        session.correct(0, frame, (30, 30))
        steps.append(session.tracks().xy)
    session.undo()
    other = TrackSession(VIDEO, None)
    other.load(session.save(tmp_path / "tracks.npz"))
    calls.clear()
    assert torch.equal(other.tracks().xy, steps[1]) and calls == []
    assert other.undo() and torch.equal(other.tracks().xy, steps[0])
    assert other.redo() and other.redo() and torch.equal(other.tracks().xy, steps[2])
    assert bool(calls) == tracks_again


@pytest.mark.parametrize(
    "content",
    [
        {"states": 3, "now": 0, "spans": [], "walks": []},
        {"states": [[{"id": [1], "fixes": []}]], "now": 0, "spans": [], "walks": []},
        {"states": [[]], "now": 0, "spans": [[1, 2]], "walks": []},
        {"states": [[]], "now": 7, "spans": [], "walks": []},
        {"states": [[]]},
    ],
)
def test_a_damaged_file_is_named(session, tmp_path, content):
    told = {"format": TRACK_FORMAT, "video": VIDEO.fingerprint(), **content}
    nothing = {"xy": np.zeros((0, 2), np.float32), **dict.fromkeys(("visibility", "confidence"), np.zeros(0))}
    path = write_session_npz(tmp_path / "a.npz", told, nothing)
    with pytest.raises(ValueError, match=r"a\.npz: expected a track session saved by pointtrack, but"):
        session.load(path)
    assert session.points == {0: [0], 1: [10]}, "the session is as it was"


def test_a_session_goes_on_from_its_file(session, calls, tmp_path):
    session.correct(0, 7, (30, 30))
    session.correct(0, 9, (34, 32))
    session.undo()
    session.tracks()
    other = TrackSession(VIDEO, None)
    other.load(session.save(tmp_path / "tracks"))
    calls.clear()
    assert torch.equal(other.tracks().xy, session.tracks().xy) and calls == []
    assert other.redo() and other.points[0] == [0, 7, 9]
    other.correct(1, 2, (30, 30))
    assert torch.equal(other.tracks().xy[2, 1], torch.tensor([30.0, 30.0]))
    elsewhere = TrackSession(Video(VIDEO.frames[:-1]), None)
    with pytest.raises(ValueError, match="got another one .* the start, end and max_frames of before"):
        elsewhere.load(tmp_path / "tracks.npz")
    np.savez(tmp_path / "else.npz", xy=np.zeros(2))
    with pytest.raises(ValueError, match="expected a track session"):
        elsewhere.load(tmp_path / "else.npz")
    objects = write_session_npz(tmp_path / "objects.npz", {"format": FORMAT, "video": "any"}, {})
    with pytest.raises(ValueError, match="it is a session of objects, for `pointtrack segment --session`"):
        elsewhere.load(objects)
    with pytest.raises(FileNotFoundError):
        elsewhere.load(tmp_path / "none.npz")


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda s: s.correct(7, 3, (5, 5)), r"expected one of \[0, 1\], got 7"),
        (lambda s: s.correct(0, FRAMES, (5, 5)), r"0\.\.19, got 20"),
        (lambda s: s.correct(0, 3, (100, 5)), "inside the"),
        (lambda s: s.correct(0, 3, (5, float("nan"))), "inside the"),
        (lambda s: s.correct(0, 3, (5, 5, 5)), r"expected \(x, y\)"),
        (lambda s: s.forget(0, 3), r"a frame of \[0\], got 3"),
        (lambda s: s.add(Queries([20], [[1.0, 1.0]])), "expected a frame in 0..19"),
    ],
)
def test_mistakes_change_nothing(session, call, message):
    with pytest.raises(ValueError, match=message):
        call(session)
    assert session.points == {0: [0], 1: [10]}


def test_spans_hold_every_other_frame_once():
    point = FixedPoint(3, (Fix(2, (0, 0), 1), Fix(3, (0, 0), 2), Fix(7, (0, 0), 3)))
    spans = spans_of(point, 10)
    assert [(s.left, s.right, list(s.frames)) for s in spans] == [
        (None, 1, [0, 1]),
        (2, 3, [4, 5, 6]),
        (3, None, [8, 9]),
    ]


def test_the_surer_side_counts_more():
    def part(value: float, sure: float) -> Part:
        return Part(torch.full((3, 2), value), torch.ones(3), torch.full((3,), sure))

    middle = join(part(0.0, 0.9), part(10.0, 0.1)).xy[1, 0]
    assert 0 < middle < 2
    even = join(part(0.0, 0.5), part(10.0, 0.5)).xy[:, 0]
    assert even.tolist() == pytest.approx([1.5625, 5.0, 8.4375])


@pytest.mark.parametrize("order", [range(3, 21), pytest.param(range(17, -1, -1), marks=pytest.mark.long)])
def test_points_tracked_apart_do_not_see_each_other(tiny_tracker, order):
    video = moving_video(21, (64, 48))
    xy = torch.tensor([[20.0, 20.0], [40.0, 30.0], [50.0, 10.0]])

    def apart(some: torch.Tensor) -> Tracks:
        return Tracks.concat(list(walk_points(tiny_tracker, video, order, some, together=False)))

    together = apart(xy)
    assert len(together) == len(order)
    for i in range(3):
        alone = apart(xy[i : i + 1])
        assert torch.equal(together.xy[:, i], alone.xy[:, 0])
        assert torch.equal(together.confidence[:, i], alone.confidence[:, 0])


def test_with_a_real_tracker(tiny_tracker, tiny_video):
    session = TrackSession(tiny_video, tiny_tracker)
    session.add(Queries([0, 2], [[20.0, 20.0], [40.0, 24.0]]))
    session.correct(0, 4, (28, 24))
    tracks = session.tracks()
    assert torch.isfinite(tracks.xy).all() and tracks.xy[4, 0].tolist() == [28, 24]


def test_points_are_followed_later_as_far_as_is_wanted_and_stopped_at_any_time(calls):
    class Stopped(Exception):
        pass

    session = TrackSession(VIDEO, None)
    session.add(Queries([6, 6], [[20.0, 20.0], [50.0, 40.0]]), follow=False)
    assert calls == [] and session.known().tracked().sum() == 2

    def stop(frames: range) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        session.propagate(direction="forward", progress=stop)
    assert session.known().tracked()[:, 0].nonzero()[:, 0].tolist() == [6, 7, 8, 9], "what was tracked stays"
    session.propagate(0, 12, direction="forward")
    assert not session.known().tracked()[:6].any() and session.known().tracked()[6:12].all()
    assert session.known(4, 8).first_frame == 4 and session.known(4, 8).tracked()[:, 1].tolist() == [
        0,
        0,
        1,
        1,
    ]
    session.correct(0, 14, (40.0, 30.0))
    session.propagate(direction="forward")
    assert session.known().tracked()[6:].all(), "the other point's walk went on"
    both = session.tracks()
    assert torch.isfinite(both.xy).all() and calls[0] == list(range(6, 20)), "one call for both"


def test_a_half_tracked_session_goes_on_from_its_file(calls, tmp_path):
    session = TrackSession(VIDEO, None)
    session.add(Queries([6], [[20.0, 20.0]]), follow=False)
    session.propagate(0, 12, direction="forward")
    other = TrackSession(VIDEO, None)
    other.load(session.save(tmp_path / "half"))
    assert torch.equal(other.known().tracked(), session.known().tracked()) and other.groups == {0: 1}
    assert torch.equal(other.tracks().xy, session.tracks().xy)


def test_remove_takes_points_away_and_undo_brings_them_back(session):
    before = session.tracks()
    session.remove([0])
    assert session.points == {1: [10]}
    with pytest.raises(ValueError, match="got 0"):
        session.remove([0])
    assert session.undo() and torch.equal(session.tracks().xy, before.xy)


def test_tracks_made_elsewhere_are_taken_over_and_corrected(session, calls):
    made = session.tracks()
    other = TrackSession(VIDEO, None)
    assert other.adopt(made).tolist() == [0, 1]
    calls.clear()
    assert torch.equal(other.tracks().xy, made.xy) and calls == []
    other.correct(0, 12, (44.0, 32.0))
    assert torch.equal(other.tracks().xy[:, 1], made.xy[:, 1])
    with pytest.raises(ValueError, match="expected 20 frames"):
        other.adopt(made.clip(0, 7))


def test_a_walk_that_is_broken_off_begins_anew(calls, monkeypatch):
    """An error, or Control-C, while points are followed costs that walk and nothing else."""
    import pointtrack.sessions.point_walks as walks

    session, whole = TrackSession(VIDEO, None), TrackSession(VIDEO, None)
    for one in (session, whole):
        one.add(Queries([0], [[20.0, 20.0]]))
    walk = walks.walk_points

    def breaking(*arguments, **options):
        yield next(iter(walk(*arguments, **options)))
        raise RuntimeError("stop")

    monkeypatch.setattr(walks, "walk_points", breaking)
    with pytest.raises(RuntimeError, match="stop"):
        session.correct(0, 12, (40.0, 34.0))
        session.tracks()
    monkeypatch.setattr(walks, "walk_points", walk)
    whole.correct(0, 12, (40.0, 34.0))
    assert torch.equal(session.tracks().xy, whole.tracks().xy)
