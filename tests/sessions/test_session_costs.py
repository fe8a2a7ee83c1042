"""What an act and a save of a session cost, in things done and not in seconds."""

import pytest
import torch

from pointtrack.sessions import files, keyframes
from pointtrack.sessions.object_session import ObjectSession
from tests.support.exact import TRACKER, use_exact_tracks
from tests.support.scenes import ColourSegmenter, squares

FRAMES = 14
SCENE = squares([[(2 + 3 * t, 4) for t in range(FRAMES)], [(40 - 2 * t, 36) for t in range(FRAMES)]])


@pytest.fixture(autouse=True)
def exact_tracks(monkeypatch):
    use_exact_tracks(monkeypatch, SCENE)


def new_session() -> ObjectSession:
    return ObjectSession(SCENE.video, tracker=TRACKER, segmenter=ColourSegmenter(), cuts=())


def test_an_act_costs_the_same_after_many_others(monkeypatch):
    """What follows from what is found once for each object as it stands, not for the whole history at every act."""
    session = new_session()
    red = session.add_object()
    found = []
    sides = keyframes._sides
    monkeypatch.setattr(keyframes, "_sides", lambda one, *rest: found.append(one) or sides(one, *rest))
    for number in range(12):
        session.prompt(red, number, mask=SCENE.truth[number, 0])
        session.undo()
        session.prompt(red, number, mask=SCENE.truth[number, 1])
    assert len(found) <= 3 * 12
    assert len({id(one) for one in found}) == len(found)


def test_masks_are_packed_once_however_often_they_are_saved(monkeypatch, tmp_path):
    session = new_session()
    red = session.add_object()
    packed = []
    pack = files.Packed.of
    monkeypatch.setattr(files.Packed, "of", lambda result: packed.append(1) or pack(result))
    for number in range(4):
        session.prompt(red, number, mask=SCENE.truth[number, 0])
        session.save(tmp_path / "a.npz")
    assert len(packed) == 4
    again = new_session()
    again.load(tmp_path / "a.npz")
    assert torch.equal(again.mask(red, 3), SCENE.truth[3, 0])
