"""Sessions on moving squares, with exact tracks and a segmenter that sees colours."""

import numpy as np
import pytest
import torch

from pointtrack.sessions.object_session import ObjectSession
from pointtrack.types import Video
from tests.support.exact import TRACKER, use_exact_tracks
from tests.support.scenes import ColourSegmenter, squares

FRAMES = 14
SCENE = squares(
    [[(2 + 3 * t, 4 + t) for t in range(FRAMES)], [(60 - 3 * t, 38 - t // 2) for t in range(FRAMES)]]
)
H, W = 60, 80


@pytest.fixture(autouse=True)
def exact_tracks(monkeypatch):
    use_exact_tracks(monkeypatch, SCENE)


def new_session(**options) -> ObjectSession:
    segmenter = ColourSegmenter()
    segmenter.answers = (1,)  # the square that was clicked
    return ObjectSession(SCENE.video, tracker=TRACKER, segmenter=segmenter, cuts=(), **options)


def centre(frame: int, square: int) -> list[float]:
    return SCENE.truth[frame, square].nonzero().float().mean(0).flip(0).tolist()


def click(session: ObjectSession, number: int, frame: int, square: int, **options):
    return session.prompt(number, frame, points=[centre(frame, square)], **options)


def counted(session: ObjectSession) -> list[int]:
    """Frames that are segmented from now on."""
    frames: list[int] = []
    walk = session.engine.walk

    def counting(video, known, span, cuts=()):
        for frame, found in zip(span, walk(video, known, span, cuts), strict=False):
            frames.append(frame)
            yield found

    session.engine.walk = counting
    return frames


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


@pytest.mark.parametrize("steps", [[(0, 5), (0, 9), (0, 14)], [(6, 9), (2, 4), (0, 14)]])
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


def test_undo_and_redo_compute_nothing():
    session = new_session()
    red = session.add_object()
    click(session, red, 0, 0)
    before = session.propagate()
    session.prompt(red, 6, mask=SCENE.truth[6, 1])
    after = session.propagate()
    frames = counted(session)
    assert session.undo()
    assert torch.equal(session.propagate().masks, before.masks) and session.keyframes(red) == [0]
    assert session.redo()
    assert torch.equal(session.propagate().masks, after.masks) and session.keyframes(red) == [0, 6]
    assert not session.redo() and frames == []
    assert [session.undo() for _ in range(4)] == [True, True, True, False]
    assert session.objects == {}


def test_what_is_said_after_undo_takes_the_place_of_what_was_undone():
    session = new_session()
    red = session.add_object()
    click(session, red, 0, 0)
    session.prompt(red, 6, mask=SCENE.truth[6, 1])
    session.undo()
    session.prompt(red, 9, mask=SCENE.truth[9, 0])
    assert session.keyframes(red) == [0, 9] and not session.redo()
    assert torch.equal(session.propagate().masks[:, 0], SCENE.truth[:, 0])


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


def test_a_touched_up_mask_leaves_the_frames_that_it_came_over_to_their_keyframe(tmp_path):
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
        walked = []
        walk = one.engine.walk
        one.engine.walk = lambda video, known, frames, cuts=(), walk=walk, walked=walked: (
            walked.append(frames) or walk(video, known, frames, cuts)
        )
        masks = one.propagate()
        assert walked == [range(1, 8), range(9, FRAMES)]
        assert torch.equal(masks.masks[:, 0], SCENE.truth[:, 0])
    click(session, red, 8, 0)
    assert session.keyframe(red, 8).followed, "one more click does not change where the mask came from"
    session.prompt(red, 8, mask=SCENE.truth[8, 0])
    assert not session.keyframe(red, 8).touches_up


def test_an_object_said_to_be_absent_is_absent_until_it_is_seen_again():
    session = new_session()
    red = session.add_object()
    click(session, red, 0, 0)
    session.mark_absent(red, 7)
    masks = session.propagate()
    assert not masks.masks[7].any() and masks.scores[7, 0] == 0
    assert torch.equal(masks.masks[:4, 0], SCENE.truth[:4, 0])
    assert session.quality()[7, 0] == 1


def test_overlaps_go_to_the_surer_object_unless_they_are_wanted():
    for exclusive in (True, False):
        session = new_session(exclusive=exclusive)
        for square in (0, 1):
            click(session, session.add_object(), 0, square)
        session.prompt(2, 0, mask=SCENE.truth[0].any(0))
        masks = session.masks()
        assert torch.equal(masks.masks[0, 1], SCENE.truth[0].any(0))
        assert bool(masks.masks[0, 0].any()) != exclusive, "what was said last has the pixel"


def test_a_session_goes_on_from_its_file(tmp_path):
    session = new_session()
    red = session.add_object("red")
    click(session, red, 0, 0)
    session.propagate()
    session.prompt(red, 6, box=[10, 5, 40, 40], points=[centre(6, 0)])
    session.undo()
    other = new_session()
    other.load(session.save(tmp_path / "session"))
    frames = counted(other)
    masks = other.propagate()
    assert torch.equal(masks.masks, session.masks().masks) and torch.equal(
        masks.scores, session.masks().scores
    )
    assert frames == [] and other.objects == {red: "red"}
    assert other.redo() and other.keyframes(red) == [0, 6]
    click(other, other.add_object(), 2, 1)
    assert torch.equal(other.propagate().masks, SCENE.truth)


def test_files_that_do_not_fit_change_nothing(tmp_path):
    session = new_session()
    click(session, session.add_object(), 0, 0)
    path = session.save(tmp_path / "session.npz")
    frames = SCENE.video.frames.copy()
    frames[0, 0, 0] += 1
    other = ObjectSession(Video(frames), engine=session.engine, cuts=())
    with pytest.raises(ValueError, match="got another one"):
        other.load(path)
    np.savez(tmp_path / "tracks.npz", xy=np.zeros(3))
    with pytest.raises(ValueError, match="expected a session saved by pointtrack"):
        session.load(tmp_path / "tracks.npz")
    with pytest.raises(FileNotFoundError, match="found nothing"):
        session.load(tmp_path / "none.npz")
    assert session.keyframes(1) == [0] and other.objects == {}


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
    with pytest.raises(ValueError, match=r"candidate: expected 0\.\.2"):
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


def test_cuts_may_be_told_later():
    session = new_session()
    session.cuts = [7, 3, 7]
    assert session.cuts == [3, 7]


def test_sessions_go_to_other_processes():
    import pickle

    session = ObjectSession(SCENE.video)
    bear = session.add_object(name="bear")
    again = pickle.loads(pickle.dumps(session))
    assert again.objects == {bear: "bear"}
    assert again.undo()
    assert again.objects == {}


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
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


def test_clicks_beside_an_object_that_nobody_knows_are_refused():
    session = new_session()
    number = session.add_object()
    with pytest.raises(ValueError, match="expected a click on the object, or a box"):
        session.prompt(number, 0, points=[[40, 5]], labels=[0])
    assert session.keyframes(number) == []
    click(session, number, 0, 0)
    session.prompt(number, 0, points=[[40, 5]], labels=[0])


def test_names_are_text_and_ids_are_whole_numbers():
    session = new_session()
    with pytest.raises(ValueError, match="expected text, got 7; an id goes to object_id="):
        session.add_object(7)
    for wrong in (2.5, "x", True):
        with pytest.raises(ValueError, match="expected a whole number"):
            session.add_object(object_id=wrong)
    assert session.add_object("seven", np.int64(7)) == 7 and session.objects == {7: "seven"}


def test_a_new_object_whose_prompt_is_refused_leaves_what_can_be_done_again():
    session = new_session()
    click(session, session.add_object(), 0, 0)
    session.undo()
    with pytest.raises(ValueError):
        session.prompt_new(0, points=[[40, 5]], labels=[0])
    assert session.redo() and session.keyframes(1) == [0]
    number, mask = session.prompt_new(0, points=[centre(0, 1)])
    assert number == 2 and torch.equal(mask, SCENE.truth[0, 1])


def test_a_session_is_found_by_the_name_it_was_saved_by(tmp_path):
    session = new_session()
    click(session, session.add_object(), 0, 0)
    assert session.save(tmp_path / "work") == tmp_path / "work.npz"
    other = new_session()
    other.load(tmp_path / "work")
    assert other.keyframes(1) == [0]
