"""The stage of objects: the same masks as a session's, in pieces of any size, with prompts that come on the way."""

import numpy as np
import pytest
import torch

import pointtrack as pt
from pointtrack.objects.answer import ObjectOptions
from pointtrack.objects.engine import ObjectResult
from pointtrack.objects.point_engine import PointEngine
from pointtrack.objects.stream import ObjectStream
from pointtrack.types import Masks
from tests.support.masks import assert_same
from tests.support.scenes import WH
from tests.support.two_squares import SCENE, VIDEO, segmenter

# Whether a tracker of random weights believes its points is its own matter; here every one counts.
BELIEVING = ObjectOptions(visible=-1.0, confident=-1.0, reseed_below=40, reseed_every=1)


def stream_of(tracker, **options) -> ObjectStream:
    return ObjectStream(tracker, segmenter(), WH, VIDEO.fps, BELIEVING, **options)


def pushed(stream: ObjectStream, chunk: int = 1, stop: int | None = None) -> list[Masks]:
    frames = VIDEO.frames[stream.frames_pushed : stop]
    return [stream.push(frames[at : at + chunk]) for at in range(0, len(frames), chunk)]


def told(stream: ObjectStream) -> ObjectStream:
    stream.prompt(1, 0, points=[[14, 16]])
    stream.prompt(2, 0, mask=SCENE.truth[0, 1])
    return stream


ANSWERS: list[Masks] = []  # of the session, once it was asked


@pytest.fixture
def session_masks(tiny_tracker) -> Masks:
    if ANSWERS:
        return ANSWERS[0]
    session = pt.ObjectSession(
        VIDEO, engine=PointEngine(tiny_tracker, segmenter(), BELIEVING), exclusive=False
    )
    for number in (1, 2):
        session.add_object(object_id=number)
    session.prompt(1, 0, points=[[14, 16]])
    session.prompt(2, 0, mask=SCENE.truth[0, 1])
    ANSWERS.append(session.propagate())
    return ANSWERS[0]


@pytest.mark.parametrize("chunk", [1, *(pytest.param(chunk, marks=pytest.mark.long) for chunk in (3, 8))])
def test_the_masks_are_those_of_a_session(tiny_tracker, session_masks, chunk):
    stream = told(stream_of(tiny_tracker))
    parts = pushed(stream, chunk)
    assert sum(map(len, parts)) == len(VIDEO) - stream.lag and 1 <= stream.lag <= 12
    masks = Masks.concat([*parts, stream.finish()])
    assert_same(masks, session_masks)
    assert masks.masks[1:].any((2, 3)).any(0).all()


def test_first_answers_change_nothing(tiny_tracker, session_masks):
    """With them frames are encoded in other batches, whose sums differ in the last bits."""
    stream, parts, previews = told(stream_of(tiny_tracker)), [], []
    for frame in VIDEO.frames:
        parts.append(stream.push(frame))
        previews.append(stream.preview())
        assert previews[-1].first_frame == stream.frames_pushed - 1 and len(previews[-1]) == 1
    masks = Masks.concat([*parts, stream.finish()])
    torch.testing.assert_close(masks.scores, session_masks.scores, atol=0.05, rtol=0)
    assert (masks.masks ^ session_masks.masks).float().mean() < 0.005
    assert previews[0].masks[0, 1].equal(SCENE.truth[0, 1]), "what was said"
    assert Masks.concat(previews).masks[1:].any((2, 3)).any(0).all()


def test_what_is_said_later_holds_from_there_on(tiny_tracker):
    """The same whether it is said when the frame comes, or before; the others do not notice."""
    early, late = (stream_of(tiny_tracker) for _ in range(2))
    early.prompt(2, 0, mask=SCENE.truth[0, 1])
    assert early.prompt(1, 6, points=[[26, 22]]) is None and early.objects == [1, 2]
    early.mark_absent(2, 12)
    one = Masks.concat([*pushed(early, 3), early.finish()])
    parts = pushed(late, 1, 1)
    late.prompt(2, 0, mask=SCENE.truth[0, 1])
    parts += pushed(late, 1, 7)
    assert late.prompt(1, 6, points=[[26, 22]]).any()
    parts += pushed(late, 1, 13)
    late.mark_absent(2, 12)
    assert_same(one, Masks.concat([*parts, *pushed(late), late.finish()]))
    assert one.object_ids.tolist() == [2, 1] and not one.masks[12, 0].any()
    assert not one.masks[:6, 1].any() and one.masks[6, 1].any()


def test_clicks_on_one_frame_belong_together_and_correct_what_is_shown(tiny_tracker):
    stream = stream_of(tiny_tracker)
    pushed(stream, 1, 1)
    stream.prompt(1, 0, points=[[14, 16]])
    both = stream.prompt(1, 0, points=[[66, 46]])
    assert both.equal(stream.preview().masks[0, 0]) and bool(both[16, 14] & both[46, 66])
    for frame in range(1, 8):
        pushed(stream, 1, frame + 1)
        shown = stream.preview().masks[0, 0]
        if shown.any():
            break
    kept, wrong = (place.flip(0) for place in shown.nonzero()[[0, -1]])
    corrected = stream.prompt(1, frame, points=torch.stack([kept, wrong]).float(), labels=[1, 0])
    assert bool(corrected[kept[1], kept[0]]) and not corrected[wrong[1], wrong[0]]


def test_every_click_on_a_frame_corrects_what_was_shown_there(tiny_tracker):
    """Also behind the first one: what no click points at stays, in a stream that goes on from a state as well."""
    stream = stream_of(tiny_tracker)
    stream.push(VIDEO.frames[0])
    corner = torch.zeros(WH[1], WH[0], dtype=torch.bool)
    corner[-6:, :6] = True
    shown = (
        SCENE.truth[0].any(0) | corner
    )  # of a preview; from clicks alone nobody would take the corner for a part of it
    stream._previewed = 0, {1: ObjectResult(shown, 1.0, 1.0)}
    blue, red = [66, 46], [14, 16]
    first = stream.prompt(1, 0, points=[red, blue], labels=[1, 0])
    assert bool(first[16, 14]) and not first[46, 66] and torch.equal(first & corner, corner)
    twin = stream_of(tiny_tracker)
    twin.load_state_dict(stream.state_dict())
    for one in (stream, twin):
        again = one.prompt(1, 0, points=[[16, 18]], labels=[0])
        assert not again[18, 16] and torch.equal(again & corner, corner) and not (again & ~first).any()


def test_an_object_that_is_removed_is_gone_and_the_others_do_not_notice(tiny_tracker, session_masks):
    stream = told(stream_of(tiny_tracker))
    parts = pushed(stream, 1, 14)
    last = stream.earliest_frame
    stream.remove(1)
    masks = Masks.concat([*parts, *pushed(stream), stream.finish()])
    assert_same(masks.select(torch.tensor([1])), session_masks.select(torch.tensor([1])))
    assert masks.masks[:last, 0].equal(session_masks.masks[:last, 0]) and not masks.masks[last:, 0].any()
    with pytest.raises(ValueError, match="expected one of \\[2\\], got 1"):
        stream.remove(1)


def test_cuts_are_found_or_told(tiny_tracker):
    frames = np.concatenate([VIDEO.frames[:8], 255 - VIDEO.frames[8:16]])
    found, told_of = (stream_of(tiny_tracker, finds_cuts=finds) for finds in (True, False))
    for stream in (found, told_of):
        stream.prompt(1, 0, points=[[14, 16]])
    parts: list[list[Masks]] = [[], []]
    for number, frame in enumerate(frames):
        if number == 8:
            told_of.cut()
        for part, stream in zip(parts, (found, told_of), strict=True):
            part.append(stream.push(frame))
    one, other = (
        Masks.concat([*part, stream.finish()]) for part, stream in zip(parts, (found, told_of), strict=True)
    )
    assert_same(one, other)
    assert one.masks[:8].any() and not one.masks[8].any(), "what is red is cyan there"


def test_memory_does_not_grow(tiny_tracker):
    """Of two objects there are four groups of points each, with their helpers."""
    stream = told(stream_of(tiny_tracker))
    walker = stream._propagator
    for number in range(32):
        stream.push(VIDEO.frames[number % 10])
        assert len(stream._frames._frames) <= 14 and stream.lag <= 12 and len(walker.feed._rows) <= 12
        assert len(walker.feed._groups) <= 8 and len(walker.feed._ids) <= 8 * (16 + 16 + 25)
        assert len(walker._embeddings) <= 1
    assert walker.feed._next_id > 500, "many more were seeded on the way"


@pytest.mark.parametrize(
    "act, message",
    [
        (lambda s: s.prompt(0, 3, points=[[1, 1]]), "object id: expected a whole number from 1 on, got 0"),
        (lambda s: s.prompt(1, 0, points=[[1, 1]]), "frame: expected [0-9]+ or later, .* got 0"),
        (lambda s: s.prompt(1, 9, points=[[99, 1]]), "within the 80 x 60 frame"),
        (lambda s: s.prompt(1, 9), "expected points, a box or mask_logits"),
        (lambda s: s.prompt(1, 9, mask=torch.zeros(60, 80, dtype=torch.bool)), "got an empty mask"),
        (lambda s: s.prompt(1, 9, mask=SCENE.truth[0, 0], box=[1, 1, 5, 5]), "got both"),
        (
            lambda s: s.push(np.zeros((9, 9, 3), np.uint8)),
            r"of shape \(t, 60, 80, 3\), .* got \(1, 9, 9, 3\)",
        ),
        (lambda s: s.push([VIDEO.frames[0], VIDEO.frames[0][:9]]), r"got \(2, 9, 80, 3\)"),
        (lambda s: (s.finish(), s.finish()), "expected finish once"),
        (lambda s: (s.finish(), s.push(VIDEO.frames[0])), "expected push before finish"),
        (lambda s: (s.finish(), s.preview()), "expected preview after the first push"),
    ],
)
def test_what_cannot_be_done(tiny_tracker, act, message):
    stream = stream_of(tiny_tracker)
    pushed(stream, 1, 5)
    with pytest.raises(ValueError, match=message):
        act(stream)


def test_a_click_beside_an_object_that_nobody_knows_is_refused(tiny_tracker):
    stream = stream_of(tiny_tracker)
    stream.prompt(1, frame=0, points=[[1, 1]], labels=[0])
    with pytest.raises(ValueError, match="expected a click on the object, or a box"):
        stream.push(SCENE.video.frames[0])


@pytest.mark.parametrize("chunk", [*(pytest.param(chunk, marks=pytest.mark.long) for chunk in (1, 3)), 9])
def test_a_prompt_that_is_refused_costs_the_others_nothing(tiny_tracker, chunk):
    """Neither their prompts of the same frame, nor rows, nor frames, in a stream that goes on from a state as well."""
    asked, plain = (stream_of(tiny_tracker) for _ in range(2))
    asked.prompt(3, 7, points=[[1, 1]], labels=[0])
    for stream in (asked, plain):
        stream.prompt(1, 0, points=[[14, 16]])
        stream.prompt(2, 7, points=[[48, 34]])
    parts, refused = [], 0
    for at in range(0, len(VIDEO), chunk):
        try:
            parts.append(asked.push(VIDEO.frames[at : at + chunk]))
        except ValueError as error:
            assert "object 3: expected a click on the object" in str(error)
            assert asked.lag == asked.frames_pushed - sum(map(len, parts))
            refused, before = refused + 1, asked
            asked = stream_of(tiny_tracker)
            asked.load_state_dict(before.state_dict())
    masks, wanted = (
        Masks.concat([*parts, asked.finish()]),
        Masks.concat([*pushed(plain, chunk), plain.finish()]),
    )
    assert refused == 1
    assert_same(masks, wanted)
    assert masks.masks[7, 1].any()
