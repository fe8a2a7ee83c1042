"""Sessions on moving squares, with exact tracks and a segmenter that sees colours: what is followed, and when it is computed."""

import numpy as np
import pytest
import torch

from pointtrack.sessions.object_session import ObjectSession
from tests.support.exact import TRACKER
from tests.support.square_session import FRAMES, SCENE, H, W, click, counted, new_session

pytestmark = pytest.mark.usefixtures("exact_square_tracks")


@pytest.mark.parametrize("first, second", [(0, 0), (0, 6), (13, 4)])
def test_two_clicked_objects_are_followed_both_ways(first, second):
    session = new_session()
    red, blue = session.add_object("red"), session.add_object("blue")
    assert torch.equal(click(session, red, first, 0), SCENE.truth[first, 0])
    assert torch.equal(click(session, blue, second, 1), SCENE.truth[second, 1])
    masks = session.propagate()
    assert masks.object_ids.tolist() == [red, blue] and masks.names == ("red", "blue")
    assert torch.equal(masks.masks, SCENE.truth)
    assert session.objects == {1: "red", 2: "blue"}
    assert repr(session) == f"ObjectSession(2 objects, {FRAMES} frames of {W} x {H})"


def test_objects_on_the_same_frame_share_the_work():
    session = new_session()
    for square in (0, 1):
        click(session, session.add_object(), 0, square)
    frames = counted(session)
    session.propagate()
    assert sorted(frames) == list(range(1, FRAMES)), "one walk for both"
    session.propagate()
    assert len(frames) == FRAMES - 1, "and none the second time"


def test_a_correction_is_hard_and_only_its_surroundings_are_computed_again():
    session = new_session()
    red, blue = session.add_object(), session.add_object()
    for frame in (0, 6, 12):
        click(session, red, frame, 0)
    click(session, blue, 0, 1)
    before = session.propagate()
    drawn = SCENE.truth[8, 0].clone()
    drawn[:18] = False
    frames = counted(session)
    session.prompt(red, 8, mask=drawn)
    masks = session.propagate()
    assert torch.equal(masks.masks[8, 0], drawn) and masks.scores[8, 0] == 1
    assert sorted(frames) == [7, 9, 10, 11], (
        "between the neighbouring keyframes, and not for the other object"
    )
    untouched = torch.ones(FRAMES, dtype=torch.bool)
    untouched[7:12] = False
    assert torch.equal(masks.masks[untouched], before.masks[untouched])
    assert torch.equal(masks.masks[:, 1], before.masks[:, 1])


def test_the_order_of_what_is_said_does_not_matter():
    """Corrected after propagating, or all said beforehand: the same masks."""
    late = new_session()
    early = new_session()
    for session in (late, early):
        click(session, session.add_object(), 2, 0)
    late.propagate()
    for session in (late, early):
        session.prompt(1, 9, mask=SCENE.truth[9, 0] & (torch.arange(H)[:, None] > 16))
    one, other = late.propagate(), early.propagate()
    assert torch.equal(one.masks, other.masks) and torch.equal(one.scores, other.scores)


@pytest.mark.parametrize(
    "steps", [pytest.param([(0, 5), (0, 9), (0, 14)], marks=pytest.mark.long), [(6, 9), (2, 4), (0, 14)]]
)
def test_in_pieces_or_at_once_the_masks_are_the_same(steps):
    whole, pieces = new_session(), new_session()
    for session in (whole, pieces):
        click(session, session.add_object(), 0, 0)
        click(session, session.add_object(), 7, 1)
    frames = counted(pieces)
    for start, stop in steps:
        got = pieces.propagate(start, stop)
        assert got.first_frame == start and len(got) == stop - start
    assert torch.equal(pieces.masks().masks, whole.propagate().masks)
    assert len(frames) == 2 * (FRAMES - 1), "a walk that stopped goes on where it was"


def test_one_direction_alone():
    session = new_session()
    click(session, session.add_object(), 5, 0)
    masks = session.propagate(direction="forward")
    assert masks.present()[:, 0].tolist() == [frame >= 5 for frame in range(FRAMES)]
    assert session.mask(1, 3) is None and torch.isnan(session.quality()[3, 0])
    session.propagate(direction="backward")
    assert session.masks().present().all()


def test_overlaps_go_to_the_surer_object_unless_they_are_wanted():
    for exclusive in (True, False):
        session = new_session(exclusive=exclusive)
        for square in (0, 1):
            click(session, session.add_object(), 0, square)
        session.prompt(2, 0, mask=SCENE.truth[0].any(0))
        masks = session.masks()
        assert torch.equal(masks.masks[0, 1], SCENE.truth[0].any(0))
        assert bool(masks.masks[0, 0].any()) != exclusive, "what was said last has the pixel"


def test_either_an_engine_or_its_parts():
    shipped = ObjectSession(SCENE.video)  # what ships
    assert "pointtrack-small" in shipped.engine.name
    bear = shipped.add_object(name="bear")
    assert shipped.keyframes("bear") == shipped.keyframes(bear) == []
    shipped.remove_object("bear")
    with pytest.raises(ValueError, match="got 'bear'"):
        shipped.keyframes("bear")
    with pytest.raises(ValueError, match="got both"):
        ObjectSession(SCENE.video, tracker=TRACKER, engine=new_session().engine)
    with pytest.raises(ValueError, match=r"frames in 1\.\.13"):
        ObjectSession(SCENE.video, engine=new_session().engine, cuts=[14])


def test_cuts_may_be_told_later():
    session = new_session()
    session.cuts = [7, 3, 7]
    assert session.cuts == [3, 7]


def test_a_bar_counts_what_is_computed(capsys):
    session = new_session()
    for _ in range(2):
        click(session, session.add_object(), 0, 0)
    session.propagate(stop=3, progress=True)
    shown = capsys.readouterr().err
    assert "following: 100%" in shown and "4/4" in shown  # the frame of the click is known
    assert len(session.propagate(progress=False)) == len(session.video)


@pytest.mark.parametrize("error", [KeyboardInterrupt, pytest.param(RuntimeError, marks=pytest.mark.long)])
def test_a_run_that_is_broken_off_can_be_asked_for_again(error):
    """Control-C while objects are followed loses nothing but that walk."""
    session, whole = new_session(), new_session()
    for one in (session, whole):
        click(one, one.add_object(), 0, 0)

    def broken_off(done: int) -> None:
        frames.append(done)
        if len(frames) == 4:
            raise error("stop")

    frames: list[int] = []
    with pytest.raises(error):
        session.propagate(progress=broken_off)
    walk = session.engine.walk

    def breaking(video, known, span, cuts=()):
        for number, found in enumerate(walk(video, known, span, cuts)):
            if number == 2:
                raise error("stop")
            yield found

    fresh = new_session()
    click(fresh, fresh.add_object(), 0, 0)
    fresh.engine.walk = breaking
    with pytest.raises(error):
        fresh.propagate()
    fresh.engine.walk = walk
    wanted = whole.propagate().masks
    assert torch.equal(session.propagate().masks, wanted) and torch.equal(fresh.propagate().masks, wanted)


def test_names_are_text_and_ids_are_whole_numbers():
    session = new_session()
    with pytest.raises(ValueError, match="expected text, got 7; an id goes to object_id="):
        session.add_object(7)
    for wrong in (2.5, "x", True):
        with pytest.raises(ValueError, match="expected a whole number"):
            session.add_object(object_id=wrong)
    assert session.add_object("seven", np.int64(7)) == 7 and session.objects == {7: "seven"}
