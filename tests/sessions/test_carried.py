"""Corrections that reach other frames: what was wrong on one frame is put right wherever it is wrong."""

import itertools
from dataclasses import replace

import pytest
import torch

from pointtrack.objects.engine import ObjectResult, prompted_result
from pointtrack.sessions import carried, keyframes
from pointtrack.sessions.object_session import ObjectSession
from pointtrack.types import Tracks
from tests.support.square_session import FRAMES, SCENE, centre, click, counted, new_session

pytestmark = pytest.mark.usefixtures("exact_square_tracks")
BOTH, RED = SCENE.truth.any(1), SCENE.truth[:, 0]


@pytest.fixture
def large_touch_ups(monkeypatch):
    """Half of a mask is a touch-up too, as the squares are of one size."""
    monkeypatch.setattr(keyframes, "TOUCH_UP", 0.6)


def with_both() -> ObjectSession:
    """An object that shows both squares on every frame, followed from frame 0 on."""
    session = new_session()
    red = session.add_object()
    session.prompt(red, 0, mask=BOTH[0])
    assert torch.equal(session.propagate().masks[:, 0], BOTH)
    return session


def take_away(session: ObjectSession, frame: int) -> torch.Tensor:
    """A click beside the object, on the second square."""
    return session.prompt(1, frame, points=[centre(frame, 1)], labels=[0])


def carried_from_8() -> ObjectSession:
    """The same after such a click on frame 8, which has reached the other frames."""
    session = with_both()
    take_away(session, 8)
    session.propagate()
    return session


@pytest.mark.usefixtures("large_touch_ups")
@pytest.mark.parametrize("frame", [1, 8, 11])
def test_what_one_click_takes_away_is_gone_on_all_frames(frame):
    session = with_both()
    walked = counted(session)
    assert torch.equal(take_away(session, frame), RED[frame])
    masks = session.propagate().masks[:, 0]
    assert torch.equal(masks[1:], RED[1:]) and walked == []
    assert torch.equal(masks[0], BOTH[0]), "what a person drew stays as it is"
    assert session.quality()[0, 0] == 1


@pytest.mark.usefixtures("large_touch_ups")
def test_tracking_a_correction_can_be_paused_on_every_frame():
    """The first frame needs its points on all frames between; the page answers a person meanwhile."""

    class PauseError(Exception):
        pass

    def pause(done: int) -> None:
        if not done:
            raise PauseError

    session, pauses = with_both(), 0
    take_away(session, 11)
    while True:
        try:
            masks = session.propagate(progress=pause).masks[:, 0]
            break
        except PauseError:
            pauses += 1
    assert pauses >= 10 and torch.equal(masks[1:], RED[1:])


@pytest.mark.usefixtures("large_touch_ups")
def test_what_one_click_adds_is_added_on_all_frames():
    session = new_session()
    red = session.add_object()
    click(session, red, 3, 0)
    assert torch.equal(session.propagate().masks[:, 0], RED)
    assert torch.equal(session.prompt(red, 9, points=[centre(9, 0), centre(9, 1)]), BOTH[9])
    assert session.keyframe(red, 9).touches_up
    assert torch.equal(session.mask(red, 3), RED[3]), "not before it is asked for"
    assert torch.equal(session.propagate().masks[:, 0], BOTH), "the frame of the first click too"


def clicked(monkeypatch, **prompt) -> ObjectSession:
    """Like `with_both`, but a prompt on frame 4 is what the segmenter answers with both."""
    session = new_session()
    with monkeypatch.context() as answers:
        answers.setattr(session.engine, "answer", lambda *a: ObjectResult(BOTH[4], 0.8, 0.8))
        session.prompt_new(4, **prompt)
    session.propagate()
    return session


@pytest.mark.usefixtures("large_touch_ups")
def test_a_correction_reaches_the_frame_of_an_earlier_click(monkeypatch, tmp_path):
    session = clicked(monkeypatch, points=[centre(4, 0)])
    take_away(session, 8)
    assert torch.equal(session.mask(1, 4), BOTH[4]) and torch.isnan(session.quality()[4, 0])
    assert torch.equal(session.propagate(direction="forward").masks[4, 0], RED[4])
    masks = session.propagate().masks
    assert torch.equal(masks[:, 0], RED) and not torch.isnan(session.quality()).any()
    other = new_session()
    other.load(session.save(tmp_path / "session"))
    assert torch.equal(other.masks().masks, masks)
    assert session.undo() and torch.equal(session.masks().masks[:, 0], BOTH)


@pytest.mark.usefixtures("large_touch_ups")
def test_the_quality_of_a_corrected_mask_is_between_that_of_before_and_the_new_one():
    session = with_both()
    before = session.quality()[:, 0]
    take_away(session, 8)
    session.propagate()
    others = [frame for frame in range(1, FRAMES) if frame != 8]
    corrected = (before[others] + 0.8) / 2  # the segmenter of these tests expects 0.8 of itself
    torch.testing.assert_close(session.quality()[others, 0], corrected)
    torch.testing.assert_close(session.scores()[others, 0], corrected)
    assert session.quality()[0, 0] == 1, "of a mask that agreed with the correction, or was drawn, it stays"


@pytest.mark.usefixtures("large_touch_ups")
def test_earlier_clicks_stay_honoured_whatever_is_said_elsewhere(monkeypatch):
    session = clicked(monkeypatch, points=[centre(4, 0), centre(4, 1)])
    take_away(session, 8)
    masks = session.propagate().masks[:, 0]
    assert torch.equal(masks[4], BOTH[4]) and torch.equal(masks[5], RED[5])


@pytest.mark.usefixtures("large_touch_ups")
@pytest.mark.parametrize("prompt", [{"points": [centre(4, 0)]}, {"box": [0, 0, 80, 60]}])
def test_clicks_on_a_frame_go_on_from_what_was_corrected_there(monkeypatch, prompt):
    session = clicked(monkeypatch, **prompt)
    take_away(session, 8)
    session.propagate()
    x, y = centre(4, 0)
    assert torch.equal(session.prompt(1, 4, points=[[x + 2, y]]), RED[4]), (
        "the second square does not come back"
    )


@pytest.mark.usefixtures("large_touch_ups")
def test_until_it_is_carried_masks_are_as_they_were_and_can_be_corrected():
    session = with_both()
    take_away(session, 8)
    assert torch.equal(session.mask(1, 5), BOTH[5]) and torch.equal(session.masks().masks[9, 0], BOTH[9])
    known = torch.isfinite(session.quality()[:, 0])
    assert known.nonzero()[:, 0].tolist() == [0, 8], "but they are not settled"
    assert torch.equal(take_away(session, 5), RED[5])
    assert torch.equal(session.propagate().masks[1:, 0], RED[1:])


@pytest.mark.usefixtures("large_touch_ups")
def test_an_undo_brings_back_what_was_there_and_computes_nothing(monkeypatch):
    session, answered = carried_from_8(), []
    correct = session.engine.correct
    monkeypatch.setattr(session.engine, "correct", lambda *a: answered.append(a) or correct(*a))
    assert session.undo() and torch.equal(session.propagate().masks[:, 0], BOTH)
    assert session.redo() and torch.equal(session.propagate().masks[1:, 0], RED[1:])
    assert answered == []


@pytest.mark.usefixtures("large_touch_ups")
def test_frames_that_agree_with_a_correction_are_not_answered_again(monkeypatch):
    session, answered = carried_from_8(), []
    take_away(session, 4)
    monkeypatch.setattr(session.engine, "correct", lambda *a: answered.append(a))
    session.propagate()
    assert answered == []


@pytest.mark.usefixtures("large_touch_ups")
@pytest.mark.parametrize(
    "pieces",
    [
        [(6, 9), (2, 4), (0, FRAMES)],
        *(
            pytest.param(pieces, marks=pytest.mark.long)
            for pieces in ([(0, FRAMES)], [(12, 14), (0, 5), (5, 12)])
        ),
    ],
)
def test_in_pieces_or_at_once_the_masks_are_the_same_after_a_file_too(pieces, tmp_path):
    session = with_both()
    take_away(session, 8)
    for start, stop in pieces:
        session.propagate(start, stop)
    assert torch.equal(session.masks().masks[1:, 0], RED[1:])
    other = new_session()
    other.load(session.save(tmp_path / "session"))
    frames = counted(other)
    assert torch.equal(other.propagate().masks, session.masks().masks) and frames == []
    take_away(other, 3)
    assert torch.equal(other.propagate().masks[1:, 0], RED[1:]) and frames == []


@pytest.mark.usefixtures("large_touch_ups")
def test_a_copy_of_a_session_holds_no_walk_under_way():
    session = with_both()
    take_away(session, 8)
    session.propagate(6, 10)
    assert session._schedule._carried._trails
    assert not session._schedule.__getstate__()["_carried"]._trails


@pytest.mark.usefixtures("large_touch_ups")
def test_corrections_end_at_a_cut():
    session = with_both()
    session.cuts = [5]
    take_away(session, 8)
    masks = session.propagate().masks[:, 0]
    assert torch.equal(masks[5:], RED[5:]) and torch.equal(masks[:5], BOTH[:5])


@pytest.mark.usefixtures("large_touch_ups")
def test_corrections_leave_absences_alone():
    session = with_both()
    session.mark_absent(1, 11)
    session.propagate()
    take_away(session, 8)
    masks = session.propagate().masks[:, 0]
    assert torch.equal(masks[1:11], RED[1:11]) and not masks[11].any()


def test_points_that_are_lost_are_not_tracked_for_ever(monkeypatch):
    monkeypatch.setattr(carried, "LOST", 2)
    rows = list(carried._tracked(None, SCENE.video, range(FRAMES), torch.tensor([[79.0, 59.0]])))
    assert len(rows) == FRAMES - 1, "the ground stays in view"
    hidden = torch.tensor([centre(0, 0)])
    monkeypatch.setattr(carried, "walk_points", lambda *a, **k: iter([_unseen()]))
    assert len(list(carried._tracked(None, SCENE.video, range(FRAMES), hidden))) == 2


@pytest.mark.usefixtures("large_touch_ups")
@pytest.mark.parametrize("share, carries", [(0.3, True), (0.7, False)])
def test_few_points_in_view_are_not_trusted(monkeypatch, share, carries):
    """The points on the square that is taken away are seen, about half of all, and those on the other one are not."""
    monkeypatch.setattr(carried, "IN_VIEW", share)
    walk = carried.walk_points

    def half(tracker, video, order, xy, *, together):
        shown = torch.tensor(
            [bool(BOTH[order[0]][int(y), int(x)] & ~RED[order[0]][int(y), int(x)]) for x, y in xy]
        )
        for tracks in walk(tracker, video, order, xy, together=together):
            yield replace(tracks, visibility=tracks.visibility * shown)

    monkeypatch.setattr(carried, "walk_points", half)
    session = with_both()
    take_away(session, 8)
    assert torch.equal(session.propagate().masks[9, 0], RED[9] if carries else BOTH[9])


def _unseen() -> Tracks:
    tracks = SCENE.tracks.select(torch.tensor([0]))
    return replace(tracks, visibility=0 * tracks.visibility)


@pytest.mark.usefixtures("large_touch_ups")
def test_a_run_that_is_broken_off_while_it_carries_can_be_asked_for_again(monkeypatch):
    session = with_both()
    take_away(session, 8)
    with monkeypatch.context() as broken:
        broken.setattr(carried, "walk_points", lambda *a, **k: _breaks())
        with pytest.raises(KeyboardInterrupt):
            session.propagate()
    assert torch.equal(session.propagate().masks[1:, 0], RED[1:])


def _breaks():
    yield SCENE.tracks.clip(0, 1).select(torch.arange(13))
    raise KeyboardInterrupt


class Stub:
    """An engine that says what it is told to: every mask goes on unchanged, as sure as it was where it was set."""

    name, licence, own_answers = "stub", "none", True

    def __init__(self) -> None:
        self.corrector = self
        self.tracker = None
        self.answers: list[ObjectResult] = []

    def answer(self, video, frame, prompt, before=None, shown=None, elsewhere=()) -> ObjectResult:
        return self.answers.pop(0)

    def walk(self, video, known, frames, cuts=()):
        for _ in frames:
            yield {number: prompted_result(masks[0].mask, masks[0].score) for number, masks in known.items()}


def result(mask: torch.Tensor, score: float) -> ObjectResult:
    return ObjectResult(mask, score, score)


@pytest.mark.parametrize(
    "first, second, counts",
    [(0.9, 0.4, "first"), (0.3, 0.4, "second"), (0.4, 0.4, "second"), (0.9, 0.6, "second")],
)
def test_where_two_masks_follow_from_different_keyframes_the_surer_one_counts(first, second, counts):
    red, blue = SCENE.truth[0]
    session = ObjectSession(SCENE.video, engine=Stub(), cuts=())
    session.engine.answers = [result(red, first), result(blue, second)]
    thing, _ = session.prompt_new(0, points=[centre(0, 0)])
    session.propagate()
    assert torch.equal(session.prompt(thing, 6, points=[centre(0, 1)]), blue)
    assert torch.isnan(session.quality()[[2, 4, 9], 0]).tolist() == [True, True, True], "both must be known"
    masks = session.propagate().masks[:, 0]
    assert torch.equal(masks[6], blue) and torch.equal(masks[0], red), "prompted frames stay"
    wanted = {"first": [red] * 3, "second": [red, blue, blue]}[counts]
    assert all(torch.equal(masks[frame], one) for frame, one in zip((2, 4, 9), wanted, strict=True))
    assert session.undo() and torch.equal(session.propagate().masks[4, 0], red)


@pytest.mark.parametrize("first, there", [(0.9, True), (0.4, False)])
def test_a_newer_absence_gives_way_to_a_mask_that_is_sure(first, there):
    red, blue = SCENE.truth[0]
    session = ObjectSession(SCENE.video, engine=Stub(), cuts=())
    session.engine.answers = [result(red, first), result(blue, 0.1)]
    thing, _ = session.prompt_new(0, points=[centre(0, 0)])
    session.propagate()
    session.engine.walk = absent_from_now_on
    session.prompt(thing, 6, points=[centre(0, 1)])
    assert bool(session.propagate().masks[9, 0].any()) == there


def test_an_older_absence_never_counts_instead_of_a_mask():
    red, blue = SCENE.truth[0]
    session = ObjectSession(SCENE.video, engine=Stub(), cuts=())
    walk = session.engine.walk
    session.engine.walk = lambda video, known, frames, cuts=(): itertools.chain(
        walk(video, known, frames[:6]), absent_from_now_on(video, known, frames[6:])
    )
    session.engine.answers = [result(red, 0.9), result(blue, 0.2)]
    thing, _ = session.prompt_new(0, points=[centre(0, 0)])
    assert not session.propagate().masks[9, 0].any()
    session.prompt(thing, 6, points=[centre(0, 1)])
    assert torch.equal(session.propagate().masks[9, 0], blue)


def absent_from_now_on(video, known, frames, cuts=()):
    for _ in frames:
        yield {number: ObjectResult(masks[0].mask & False, 0.0, 1.0) for number, masks in known.items()}


@pytest.mark.usefixtures("large_touch_ups")
def test_a_mask_that_would_change_much_more_than_the_corrected_one_stays(monkeypatch):
    session = with_both()
    monkeypatch.setattr(carried, "MOST_CHANGE", 0.5)
    take_away(session, 8)
    assert torch.equal(session.propagate().masks[9, 0], BOTH[9])
