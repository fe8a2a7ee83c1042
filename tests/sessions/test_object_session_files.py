"""What a session does not forget: undo and redo, files, and copies in other processes."""

import pickle

import numpy as np
import pytest
import torch

from pointtrack.sessions import schedule
from pointtrack.sessions.files import TRACK_FORMAT, write_session_npz
from pointtrack.sessions.object_session import ObjectSession
from pointtrack.types import Video
from tests.support.square_session import SCENE, centre, click, counted, new_session

pytestmark = pytest.mark.usefixtures("exact_square_tracks")


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


def stepped():
    """A session of three steps with masks, at the second of them; the masks of the three."""
    session, steps = new_session(), []
    red = session.add_object()
    click(session, red, 0, 0)
    steps.append(session.propagate())
    for frame in (6, 9):
        session.prompt(red, frame, mask=SCENE.truth[frame, 1])
        steps.append(session.propagate())
    session.undo()
    return session, steps


def test_undo_and_redo_compute_nothing_in_a_session_from_a_file(tmp_path):
    session, (first, second, third) = stepped()
    other = new_session()
    other.load(session.save(tmp_path / "session.npz"))
    frames = counted(other)
    assert torch.equal(other.masks().masks, second.masks)
    assert other.undo() and torch.equal(other.propagate().masks, first.masks)
    assert other.redo() and other.redo() and torch.equal(other.propagate().masks, third.masks)
    assert frames == []


def test_a_file_holds_the_steps_nearest_to_the_present_one_as_far_as_it_stays_small(tmp_path, monkeypatch):
    session, (first, second, third) = stepped()
    monkeypatch.setattr(schedule, "MOST_EARLIER", 0)
    other = new_session()
    other.load(session.save(tmp_path / "session.npz"))
    frames = counted(other)
    assert torch.equal(other.propagate().masks, second.masks) and frames == []
    assert other.undo() and torch.equal(other.propagate().masks, first.masks) and frames != []


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
    points = write_session_npz(tmp_path / "points.npz", {"format": TRACK_FORMAT, "video": "any"}, {})
    with pytest.raises(ValueError, match="it is a session of points, for `pointtrack track --session`"):
        session.load(points)
    assert session.keyframes(1) == [0] and other.objects == {}


def test_sessions_go_to_other_processes():
    session = ObjectSession(SCENE.video)
    bear = session.add_object(name="bear")
    again = pickle.loads(pickle.dumps(session))
    assert again.objects == {bear: "bear"}
    assert again.undo()
    assert again.objects == {}


def test_a_session_is_found_by_the_name_it_was_saved_by(tmp_path):
    session = new_session()
    click(session, session.add_object(), 0, 0)
    assert session.save(tmp_path / "work") == tmp_path / "work.npz"
    other = new_session()
    other.load(tmp_path / "work")
    assert other.keyframes(1) == [0]
