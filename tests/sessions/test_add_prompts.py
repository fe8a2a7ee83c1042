"""Sessions that get their prompts at once, with an oracle in the place of the tracker."""

from dataclasses import replace

import pytest
import torch

from pointtrack.objects.point_engine import PointEngine
from pointtrack.objects.prompt_texts import ParsedPrompt
from pointtrack.sessions.add_prompts import add_prompts
from pointtrack.sessions.object_session import ObjectSession
from tests.support.exact import TRACKER, use_exact_tracks
from tests.support.scenes import ColourSegmenter, squares

SCENE = squares([[(5 + 3 * t, 10 + t) for t in range(8)], [(30 + 3 * t, 34 + t) for t in range(8)]])


@pytest.fixture(autouse=True)
def exact_tracks(monkeypatch):
    """Every point on a square moves with it; the ground stands still."""
    use_exact_tracks(monkeypatch, SCENE)


def followed(prompts, segmenter=None):
    """The masks of a session with one prompt, (frame, arguments), for each object."""
    engine = PointEngine(TRACKER, segmenter or ColourSegmenter())
    session = ObjectSession(SCENE.video, engine=engine, exclusive=False)
    for number, (frame, prompt) in prompts.items():
        session.add_object(object_id=number)
        session.prompt(number, frame, **prompt)
    return session.propagate()


@pytest.mark.parametrize("frame", [0, 4])
def test_a_drawn_and_a_clicked_object_are_followed_both_ways(frame):
    centre = SCENE.truth[frame, 1].nonzero().float().mean(0).flip(0)
    prompts = {
        3: (frame, {"mask": SCENE.truth[frame, 0]}),
        7: (frame, {"points": [centre.tolist()]}),
    }
    segmenter = ColourSegmenter()
    segmenter.answers = (1,)  # a click's best candidate is the square
    masks = followed(prompts, segmenter)
    assert masks.object_ids.tolist() == [3, 7]
    assert torch.equal(masks.masks, SCENE.truth)
    assert masks.scores[frame].tolist() == pytest.approx([1, 0.8])  # drawn, and as the segmenter expects


def test_the_mask_given_is_kept_as_it_is():
    drawn = SCENE.truth[2, 0].clone()
    drawn[:14] = False
    masks = followed({1: (2, {"mask": drawn})})
    assert torch.equal(masks.masks[2, 0], drawn)
    assert torch.equal(masks.masks[5, 0], SCENE.truth[5, 0])


@pytest.mark.parametrize(
    "prompts, message",
    [
        ({}, "expected an object with a prompt"),
        ({0: (0, {"mask": SCENE.truth[0, 0]})}, "expected a new one from 1 on"),
        ({1: (8, {"mask": SCENE.truth[0, 0]})}, r"number in 0\.\.7, got 8"),
        ({1: (0, {"mask": SCENE.truth[0, 0, :5]})}, r"\(h, w\) = \(60, 80\)"),
        ({1: (0, {"mask": SCENE.truth[0, 0] & False})}, "got an empty mask"),
    ],
)
def test_mistakes_are_refused(prompts, message):
    with pytest.raises(ValueError, match=message):
        followed(prompts)


def test_clicks_beside_an_object_come_last_and_correct_what_is_followed_to_them():
    session = ObjectSession(SCENE.video, engine=PointEngine(TRACKER, ColourSegmenter()), cuts=())
    x, y = SCENE.truth[2, 1].nonzero().float().mean(0).flip(0).tolist()
    beside = ParsedPrompt(1, 2, points=[(x, y)], labels=[False])
    add_prompts(session, [beside, ParsedPrompt(1, 4, mask=SCENE.truth[4].any(0))])
    assert session.keyframes(1) == [2, 4] and not session.mask(1, 2)[round(y), round(x)]
    nothing = ObjectSession(SCENE.video, engine=session.engine, cuts=())
    with pytest.raises(ValueError, match="nothing is known of it"):
        add_prompts(nothing, [beside])


@pytest.mark.parametrize(
    "told",
    [
        ParsedPrompt(1, 2, points=[(60, 40), (3, 3)], labels=[True, False]),
        ParsedPrompt(1, 2, points=[(60, 40)], labels=[True], box=[50, 30, 72, 50]),
        ParsedPrompt(1, 2, mask=SCENE.truth[2].any(0)),
        ParsedPrompt(1, 2, absent=True),
    ],
)
def test_what_was_said_before_is_not_said_again(told):
    session = ObjectSession(SCENE.video, engine=PointEngine(TRACKER, ColourSegmenter()), cuts=())
    x, y = SCENE.truth[2, 1].nonzero().float().mean(0).flip(0).tolist()
    told = replace(told, points=[(x, y), *told.points[1:]]) if told.points else told
    first = ParsedPrompt(1, 0, mask=SCENE.truth[0, 1])
    add_prompts(session, [first, told])
    before = session.keyframe(1, 2)
    add_prompts(session, [first, told])
    assert session.keyframe(1, 2) is before
    other = ParsedPrompt(1, 2, points=[(x, y), (x + 1, y)], labels=[True, True], box=told.box)
    add_prompts(session, [other])
    after = session.keyframe(1, 2)
    assert after is not before and len(after.points) <= len(before.points) + 2
    add_prompts(session, [first, told] if told.mask is None and not told.absent else [other])
    assert session.keyframe(1, 2) is after
