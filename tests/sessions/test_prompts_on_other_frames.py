"""A click on another frame means what is known of the object: neither a part of it, nor a group."""

import pytest
import torch

from pointtrack.objects.point_prompts import overlap
from pointtrack.objects.stream import ObjectStream
from pointtrack.sessions.object_session import ObjectSession
from tests.support.exact import TRACKER
from tests.support.scenes import ColourSegmenter
from tests.support.square_session import SCENE, centre, click

pytestmark = pytest.mark.usefixtures("exact_square_tracks")
LATER = 9


def session_with(mask: torch.Tensor | None) -> ObjectSession:
    """A session whose segmenter prefers the whole frame to the square that is clicked."""
    session = ObjectSession(SCENE.video, tracker=TRACKER, segmenter=ColourSegmenter(), cuts=())
    number = session.add_object()
    if mask is not None:
        session.prompt(number, 0, mask=mask)
    return session


@pytest.mark.parametrize("absent", [False, True])
def test_a_click_means_what_is_known(absent):
    assert click(session_with(None), 1, LATER, 0).all()
    session = session_with(SCENE.truth[0, 0])
    if absent:
        session.mark_absent(1, LATER)
    assert torch.equal(click(session, 1, LATER, 0), SCENE.truth[LATER, 0])
    assert torch.equal(session.candidates(1, LATER)[0].mask, SCENE.truth[LATER, 0])


def test_what_is_known_of_something_else_does_not_count():
    assert click(session_with(SCENE.truth[0, 0]), 1, LATER, 1).all()


def test_the_first_answer_may_be_wrong():
    """A mask that is hardly on the object tells nothing."""
    session = session_with(None)
    answers = session.engine.segmenter.decode
    session.engine.segmenter.answers = (1,)
    session.engine.segmenter.decode = lambda *given, **options: doubtful(answers(*given, **options))
    click(session, 1, 0, 0)
    session.engine.segmenter.answers = (0, 1, 2)
    assert click(session, 1, LATER, 0).all()


def test_an_answer_as_expected_is_surer():
    session = session_with(SCENE.truth[0, 0])
    answers = session.engine.segmenter.decode
    session.engine.segmenter.decode = lambda *given, **options: doubtful(answers(*given, **options))
    click(session, 1, LATER, 0)
    assert 0.5 < session.keyframe(1, LATER).score < 0.6, (
        "the segmenter says 0.3, and 0.8 of it is as expected"
    )


def doubtful(candidates):
    object.__setattr__(candidates, "scores", candidates.scores - 0.5)
    return candidates


@pytest.mark.parametrize(("square", "known"), [(0, True), (1, False)])
def test_a_box_means_what_is_known_if_it_is_around_it(square, known):
    """The segmenter doubts whether all of the box is meant."""
    session = session_with(SCENE.truth[0, 0])
    answers = session.engine.segmenter.decode
    session.engine.segmenter.decode = lambda *given, **options: faint(answers(*given, **options))
    x, y = centre(LATER, square)
    mask = session.prompt(1, LATER, box=[x - 10, y - 10, x + 10, y + 10])
    alone = session_with(None).prompt(1, LATER, box=[x - 10, y - 10, x + 10, y + 10])
    assert torch.equal(mask, alone) is not known
    if known:
        assert overlap(alone, SCENE.truth[LATER, 0]) < 0.4 < 0.7 < overlap(mask, SCENE.truth[LATER, 0])


def faint(candidates):
    object.__setattr__(candidates, "logits", candidates.logits / 5)
    return candidates


def test_streams_know_it_too():
    stream = ObjectStream(TRACKER, ColourSegmenter(), SCENE.video.wh, finds_cuts=False)
    stream.push(SCENE.video.frames[:1])
    stream.prompt(1, 0, mask=SCENE.truth[0, 0])
    stream.push(SCENE.video.frames[1 : LATER + 1])
    assert stream.earliest_frame > 0
    assert torch.equal(stream.prompt(1, LATER, points=[centre(LATER, 0)]), SCENE.truth[LATER, 0])
    assert stream.prompt(2, LATER, points=[centre(LATER, 1)]).all()
