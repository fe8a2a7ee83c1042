"""What a person says of objects in a session: clicks, boxes, masks, absences, other answers; and what is refused."""

import pytest
import torch

from tests.support.square_session import FRAMES, SCENE, W, centre, click, counted, new_session

pytestmark = pytest.mark.usefixtures("exact_square_tracks")


def test_clicks_add_up_and_each_is_honoured():
    """The second click lies on the other square, which the segmenter would have added; the third takes it away."""
    session = new_session()
    red = session.add_object()
    one = click(session, red, 3, 0)
    both = session.prompt(red, 3, points=[centre(3, 1)])
    assert torch.equal(one, SCENE.truth[3, 0]) and torch.equal(both, SCENE.truth[3].any(0))
    x, y = centre(3, 1)
    less = session.prompt(red, 3, points=[[x + 4, y]], labels=[0])
    assert not less[round(y), round(x) + 4] and less[round(y), round(x)]
    beside, alone = session.engine.segmenter.prompts[-2:]
    assert alone.labels.tolist() == beside.labels.tolist() == [True, True, False]
    assert alone.mask_logits is None and beside.mask_logits is not None


def test_a_click_on_a_propagated_frame_corrects_its_mask():
    session = new_session()
    red = session.add_object()
    click(session, red, 0, 0)
    session.propagate()
    session.prompt(red, 8, points=[centre(8, 0)])
    requested = session.engine.segmenter.prompts[-1]
    assert requested.mask_logits is not None, "the segmenter is told of the mask that is corrected"
    assert torch.equal(requested.mask_logits > 0, SCENE.truth[8, 0][::4, ::4])


def test_from_a_touched_up_mask_nothing_is_followed(tmp_path):
    """Also in a session that was saved; a mask that a person drew has the frames next to it."""
    session = new_session()
    red = session.add_object()
    click(session, red, 0, 0)
    session.propagate()
    click(session, red, 8, 0)
    other = new_session()
    other.load(session.save(tmp_path / "session"))
    for one in (session, other):
        key = one.keyframe(red, 8)
        assert key.followed == 1 and torch.equal(key.base, SCENE.truth[8, 0]) and key.touches_up
        walked = counted(one)
        masks = one.propagate()
        assert walked == [] and torch.equal(masks.masks[:, 0], SCENE.truth[:, 0])
    click(session, red, 8, 0)
    assert session.keyframe(red, 8).followed, "one more click does not change where the mask came from"
    session.prompt(red, 8, mask=SCENE.truth[8, 0])
    assert not session.keyframe(red, 8).touches_up
    walked = counted(session)
    session.propagate()
    assert sorted(walked) == [*range(1, 8), *range(9, FRAMES)]


def test_an_object_said_to_be_absent_is_absent_until_it_is_seen_again():
    session = new_session()
    red = session.add_object()
    click(session, red, 0, 0)
    session.mark_absent(red, 7)
    masks = session.propagate()
    assert not masks.masks[7].any() and masks.scores[7, 0] == 0
    assert torch.equal(masks.masks[:4, 0], SCENE.truth[:4, 0])
    assert session.quality()[7, 0] == 1


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda s: s.prompt(9, 0, points=[[5, 5]]), r"expected one of \[1\], got 9"),
        (lambda s: s.prompt(1, FRAMES, points=[[5, 5]]), r"0\.\.13, got 14"),
        (lambda s: s.prompt(1, -1, points=[[5, 5]]), r"0\.\.13, got -1"),
        (lambda s: s.prompt(1, 1.5, points=[[5, 5]]), "whole number"),
        (lambda s: s.prompt(1, 1), "expected points, a box or mask_logits"),
        (lambda s: s.prompt(1, 1, points=[[5, 5]], mask=SCENE.truth[1, 0]), "got both"),
        (lambda s: s.prompt(1, 1, points=[[80, 5]]), "within the 80 x 60 frame"),
        (lambda s: s.prompt(1, 1, points=[[5, 5]], labels=[2]), "expected 1"),
        (lambda s: s.prompt(1, 1, box=[5, 5, 5, 9]), "x0 < x1"),
        (lambda s: s.prompt(1, 1, box=[5, 5, 200, 9]), "within the 80 x 60 frame"),
        (lambda s: s.prompt(1, 1, mask=SCENE.truth[1, 0, :9]), r"\(h, w\) = \(60, 80\)"),
        (lambda s: s.prompt(1, 1, mask=SCENE.truth[1, 0] & False), "got an empty mask"),
        (lambda s: s.mark_absent(2, 0), r"expected one of \[1\]"),
        (lambda s: s.remove_prompt(1, 5), r"there are \[0\]"),
        (lambda s: s.remove_object(0), r"expected one of \[1\]"),
        (lambda s: s.add_object(object_id=1), "expected a new one"),
        (lambda s: s.propagate(3, 3), "start < stop"),
        (lambda s: s.propagate(0, 15), "stop <= 14"),
        (lambda s: s.propagate(direction="up"), "got 'up'"),
    ],
)
def test_wrong_prompts_change_nothing(call, message):
    session = new_session()
    click(session, session.add_object(), 0, 0)
    before = session.propagate()
    with pytest.raises(ValueError, match=message):
        call(session)
    assert session.objects == {1: "object 1"} and session.keyframes(1) == [0]
    frames = counted(session)
    assert torch.equal(session.propagate().masks, before.masks) and frames == []
    assert session.undo() and session.keyframes(1) == [], "nor is there anything to undo"


def test_a_prompt_where_nothing_is_seen_is_refused():
    session = new_session()
    thing = session.add_object()
    session.engine.segmenter.answers = (0,)  # left of the click, of which nothing is there
    with pytest.raises(ValueError, match="sees nothing"):
        session.prompt(thing, 0, box=[1, 1, 4, 4])
    assert session.keyframes(thing) == []
    with pytest.raises(ValueError, match="an object with a prompt"):
        session.propagate()


def test_a_mask_does_not_reach_out_of_its_box():
    session = new_session()
    both = session.add_object()
    mask = session.prompt(both, 2, points=[centre(2, 0), centre(2, 1)], box=[5, 3, 30, 25])
    assert torch.equal(mask & (torch.arange(W) < 35), SCENE.truth[2, 0])
    x, y = (round(value) for value in centre(2, 1))
    assert mask[y, x], "but a click outside is honoured"


def test_another_answer_can_be_chosen_and_is_what_later_clicks_correct():
    session = new_session()
    session.engine.segmenter.answers = (0, 1, 2)
    red = session.add_object("red")
    session.prompt(red, 0, points=[centre(0, 0)])
    found = session.candidates(red, 0)
    assert len(found) == 3 and len({int(one.mask.sum()) for one in found}) == 3
    for place, one in enumerate(found):
        assert torch.equal(session.choose(red, 0, place), one.mask)
        assert torch.equal(session.mask(red, 0), one.mask)
    assert session.undo() and torch.equal(session.mask(red, 0), found[1].mask)
    with pytest.raises(ValueError, match=r"candidate: expected one of 0\.\.2"):
        session.choose(red, 0, 3)
    with pytest.raises(ValueError, match="expected clicks or a box"):
        session.candidates(red, 5)


def test_an_object_is_absent_on_a_range_in_one_action():
    session = new_session()
    red = session.add_object("red")
    click(session, red, 0, 0)
    session.mark_absent(red, 5, 9)
    masks = session.propagate()
    assert masks.present()[:, 0].nonzero()[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert session.undo() and session.keyframes(red) == [0]


def test_clicks_beside_an_object_that_nobody_knows_are_refused():
    session = new_session()
    number = session.add_object()
    with pytest.raises(ValueError, match="expected a click on the object, or a box"):
        session.prompt(number, 0, points=[[40, 5]], labels=[0])
    assert session.keyframes(number) == []
    click(session, number, 0, 0)
    session.prompt(number, 0, points=[[40, 5]], labels=[0])


def test_a_new_object_whose_prompt_is_refused_leaves_what_can_be_done_again():
    session = new_session()
    click(session, session.add_object(), 0, 0)
    session.undo()
    with pytest.raises(ValueError):
        session.prompt_new(0, points=[[40, 5]], labels=[0])
    assert session.redo() and session.keyframes(1) == [0]
    number, mask = session.prompt_new(0, points=[centre(0, 1)])
    assert number == 2 and torch.equal(mask, SCENE.truth[0, 1])
