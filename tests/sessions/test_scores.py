"""What a mask that somebody pointed at says of itself: as much as the segmenter expects, and no more."""

import pytest
import torch

from pointtrack.objects.engine import ObjectResult
from pointtrack.objects.stream import ObjectStream
from pointtrack.sessions.object_session import ObjectSession
from tests.support.exact import TRACKER, use_exact_tracks
from tests.support.scenes import WH, ColourSegmenter, squares

SCENE = squares([[(2 + 3 * t, 4 + t) for t in range(14)]])
SAID = 0.8  # what the drawn segmenter says of its second candidate
CLICK = {"points": [[10, 12]]}


@pytest.fixture(autouse=True)
def exact_tracks(monkeypatch):
    use_exact_tracks(monkeypatch, SCENE)


def new_session() -> ObjectSession:
    segmenter = ColourSegmenter()
    segmenter.answers = (1,)
    return ObjectSession(SCENE.video, tracker=TRACKER, segmenter=segmenter, cuts=())


def first_signs(session: ObjectSession) -> set[float]:
    """`Signs.first` of all masks that are followed from now on."""
    told = set()
    walk = session.engine.walk

    def listening(*arguments):
        for found in walk(*arguments):
            told.update(one.signs.first for one in found.values())
            yield found

    session.engine.walk = listening
    session.propagate()
    session.engine.walk = walk
    return told


def test_an_answer_to_a_click_is_as_sure_as_the_segmenter(tmp_path):
    session = new_session()
    thing = session.add_object()
    session.prompt(thing, 2, **CLICK, box=[4, 4, 24, 24])
    assert session.quality(2, 3).item() == session.scores(2, 3).item() == pytest.approx(SAID)
    assert sorted(first_signs(session)) == pytest.approx([SAID])
    session.save(tmp_path / "session.npz")
    again = new_session()
    again.load(tmp_path / "session.npz")
    assert torch.equal(again.quality(), session.quality())
    assert again.keyframe(1, 2).score == session.keyframe(1, 2).score

    session.prompt(thing, 2, mask=SCENE.truth[2, 0])
    assert session.quality(2, 3).item() == session.scores(2, 3).item() == 1.0, "somebody drew it"
    assert first_signs(session) == {1.0}
    session.mark_absent(thing, 3)
    assert session.quality(3, 4).item() == 1.0 and session.scores(3, 4).item() == 0.0


def test_a_doubtful_click_is_named_itself():
    session = new_session()
    segmenter = session.engine.segmenter
    decode = segmenter.decode

    def doubting(*arguments, **options):
        found = decode(*arguments, **options)
        return type(found)(found.logits, found.scores * 0.5, found.low)

    segmenter.decode = doubting
    thing = session.add_object()
    session.prompt(thing, 0, **CLICK)
    (doubt,) = session.suggest_corrections()
    assert (doubt.frame, doubt.object_id) == (0, thing) and doubt.quality == pytest.approx(SAID / 2)


def test_a_stream_says_it_too(tiny_tracker):
    segmenter = ColourSegmenter()
    segmenter.answers = (1,)
    stream = ObjectStream(tiny_tracker, segmenter, WH, SCENE.video.fps, finds_cuts=False)
    stream.push(SCENE.video.frames[0])
    stream.prompt(1, 0, **CLICK)
    stream.prompt(2, 0, mask=SCENE.truth[0, 0])
    assert stream.preview().scores.tolist() == [[pytest.approx(SAID), 1.0]]
    twin = ObjectStream(tiny_tracker, segmenter, WH, SCENE.video.fps, finds_cuts=False)
    twin.load_state_dict(stream.state_dict())
    for one in (stream, twin):
        assert one.finish().scores.tolist() == [[pytest.approx(SAID), 1.0]]


def test_frames_worth_a_correction_are_the_worst_and_not_side_by_side():
    session = new_session()
    thing = session.add_object()
    session.prompt(thing, 0, **CLICK)
    session.propagate()
    assert session.suggest_corrections() == [], "the squares are perfect"
    quality = [1, 0.9, 0.3, 0.2, 0.4, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.35, 0.9, 1]

    def walk(video, known, span, cuts=()):
        for frame in span:
            yield {thing: ObjectResult(SCENE.truth[frame, 0], quality[frame], quality[frame])}

    session.engine.walk = walk
    session.prompt(thing, 0, mask=SCENE.truth[0, 0])
    session.propagate()
    assert session.quality()[:, 0].tolist() == pytest.approx(quality)
    assert [(doubt.frame, doubt.object_id) for doubt in session.suggest_corrections(3)] == [
        (3, thing),
        (11, thing),
    ]
    assert session.suggest_corrections(1)[0].quality == pytest.approx(0.2)
