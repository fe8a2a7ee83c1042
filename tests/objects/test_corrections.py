"""Corrections change what they point at: as a rule on drawn masks, and in a session on a real video."""

from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pointtrack as pt
from pointtrack.objects.corrections import corrected, not_larger
from pointtrack.objects.prompted import answer_prompt
from pointtrack.segment.base import Prompt
from pointtrack.zoo import load_tracker
from tests.support.scenes import ColourSegmenter

H, W = 20, 30


def boxes(*corners):
    mask = torch.zeros(H, W, dtype=torch.bool)
    for x0, y0, x1, y1 in corners:
        mask[y0:y1, x0:x1] = True
    return mask


def clicked(*clicks):
    return torch.tensor([[x, y] for x, y, _ in clicks]).float(), torch.tensor([on for *_, on in clicks])


BODY, LEAK, LEG, FAR = (2, 2, 12, 12), (12, 4, 18, 8), (4, 12, 6, 18), (22, 2, 26, 6)


@pytest.mark.parametrize(
    ("before", "answer", "clicks", "expected"),
    [
        ([BODY, LEAK], [BODY], [(15, 5, False)], [BODY]),
        ([BODY, LEAK], [BODY, LEG], [(15, 5, False)], [BODY]),  # what else the answer has more is not added
        ([BODY], [BODY, LEG, FAR], [(5, 15, True)], [BODY, LEG]),  # nor is what no click points at
        ([BODY, LEAK], [BODY, LEG], [(15, 5, False), (5, 15, True)], [BODY, LEG]),
        ([BODY, LEAK, FAR], [BODY], [(15, 5, False)], [BODY, FAR]),
        ([BODY], [BODY, LEG], [(15, 15, False)], [BODY]),  # nothing there to take away
        ([BODY], [FAR], [(23, 3, True)], [FAR]),  # the mask was on something else
        ([BODY], [FAR], [(23, 3, True), (4, 4, True)], [BODY, FAR]),
    ],
)
def test_what_a_click_points_at_changes(before, answer, clicks, expected):
    assert torch.equal(corrected(boxes(*before), boxes(*answer), *clicked(*clicks)), boxes(*expected))


masks = st.lists(
    st.tuples(st.integers(0, W - 2), st.integers(0, H - 2), st.integers(1, W), st.integers(1, H)), max_size=4
).map(lambda rows: boxes(*rows))
points = st.lists(st.tuples(st.integers(0, W - 1), st.integers(0, H - 1)), min_size=1, max_size=4)


@settings(deadline=None)
@given(masks, masks, points)
def test_clicks_beside_an_object_never_add_and_others_never_take_away(before, answer, clicks):
    less = corrected(before, answer, *clicked(*((x, y, False) for x, y in clicks)))
    assert not (less & ~before).any()
    more = corrected(before, answer, *clicked(*((x, y, True) for x, y in clicks)))
    assert not (before & ~more).any() or torch.equal(more, answer)
    assert not (more & ~(before | answer)).any()


@pytest.mark.parametrize(
    ("click", "positive", "spoken_for"),
    [
        ((30, 20), True, True),  # a part that is missing: with the body, or it would be answered alone
        ((30, 12), False, True),  # beside it: nothing else says what the object is
        ((12, 12), True, False),  # on it
        ((75, 55), True, False),  # far away: the object is there
    ],
)
def test_a_correction_is_asked_with_a_click_for_what_is_right(click, positive, spoken_for):
    frame, before = torch.zeros(60, 80, 3, dtype=torch.uint8).numpy(), torch.zeros(60, 80, dtype=torch.bool)
    before[4:24, 4:24] = True
    segmenter = ColourSegmenter()
    answer_prompt(segmenter, segmenter.encode(frame), Prompt([click], [positive]), before)
    (asked,) = segmenter.prompts
    assert asked.points[-1].tolist() == list(click) and bool(asked.labels[-1]) is positive
    assert len(asked.points) == 1 + spoken_for
    assert (asked.mask_logits is None) == (click == (75, 55)), "a mask of something else would only mislead"
    if spoken_for:
        x, y = asked.points[0].long().tolist()
        assert before[y, x] and bool(asked.labels[0])


def test_a_part_that_hangs_by_nothing_is_added_to_the_object():
    """The answer has the object in two pieces, and the click is in the smaller one: that does not take the place of both."""
    frame = torch.zeros(60, 80, 3, dtype=torch.uint8).numpy()
    frame[4:24, 4:24] = frame[4:10, 28:34] = 200
    before = torch.zeros(60, 80, dtype=torch.bool)
    before[4:24, 4:24] = True
    segmenter = ColourSegmenter()
    segmenter.answers = (1,)
    both = answer_prompt(segmenter, segmenter.encode(frame), Prompt([(30, 6)]), before).mask
    assert torch.equal(both, torch.from_numpy(frame[..., 0] > 0))


def test_not_larger():
    body, all_of_it = boxes(BODY), boxes(BODY, LEAK)
    assert torch.equal(not_larger(all_of_it, body, torch.tensor([False])), body)
    assert torch.equal(not_larger(all_of_it, body, torch.tensor([False, True])), all_of_it)
    assert torch.equal(not_larger(all_of_it, None, torch.tensor([False])), all_of_it)


FRAMES = 4  # as many as an engine keeps embeddings of


@pytest.fixture(scope="module")
def propagated():
    """A session on a few frames of the bundled clip, with one object followed from a box on the first."""
    clip = pt.read_video(Path(pt.__file__).parent / "assets" / "clip.mp4", wh=(214, 120), max_frames=FRAMES)
    session = pt.ObjectSession(clip, tracker=load_tracker(), segmenter=pt.load_segmenter(), cuts=())
    session.add_object()
    session.prompt(1, 0, box=[60, 30, 140, 100])
    session.propagate()
    return session


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, FRAMES - 1), st.floats(0, 1), st.floats(0, 1), st.booleans())
def test_a_click_on_a_real_frame_never_makes_it_worse(propagated, frame, across, down, positive):
    """Anywhere on any frame: a click beside the object never enlarges the mask, and each is honoured at once."""
    session = propagated
    before = session.mask(1, frame)
    x, y = round(across * 213), round(down * 119)
    try:
        after = session.prompt(1, frame, points=[[x, y]], labels=[positive])
    except ValueError as error:  # everything was taken away, and the session says so
        assert "sees nothing" in str(error) and not positive
        return
    assert after[y, x] == positive
    if not positive:
        assert not (after & ~before).any()
    assert torch.equal(session.mask(1, frame), after)
    others = [t for t in range(FRAMES) if t != frame]
    session.undo()
    assert torch.equal(session.mask(1, frame), before)
    assert all(session.mask(1, t) is not None for t in others)
