"""Sessions that Ctrl-C stops between two steps: they stay whole, and what is asked for again is what it would have been."""

from __future__ import annotations

import pytest
import torch

from pointtrack.sessions import point_walks
from pointtrack.sessions.mask_store import Results
from pointtrack.sessions.track_session import TrackSession
from tests.support.drifting_tracker import VIDEO, drift
from tests.support.square_session import click, new_session


def breaking_once(monkeypatch, owner: object, name: str, call: int) -> None:
    """Have Ctrl-C come before the given call of a function, once."""
    real, left = getattr(owner, name), [call]

    def stopping(*arguments, **options):
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        return real(*arguments, **options)

    monkeypatch.setattr(owner, name, stopping)


@pytest.mark.usefixtures("exact_square_tracks")
@pytest.mark.parametrize("call", [*(pytest.param(call, marks=pytest.mark.long) for call in (1, 6)), 2, 5])
def test_masks_are_not_shifted_by_a_frame(call, monkeypatch, tmp_path):
    """Two objects share a walk: Ctrl-C came before the mask of the first or the second was kept."""
    sessions = new_session(), new_session(), new_session()
    for one in sessions:
        for square in (0, 1):
            click(one, one.add_object(), 0, square)
    session, whole, other = sessions
    wanted = whole.propagate().masks
    with monkeypatch.context() as broken:
        breaking_once(broken, Results, "put", call)
        with pytest.raises(KeyboardInterrupt):
            session.propagate()
    other.load(session.save(tmp_path / "s.npz"))
    assert torch.equal(session.propagate().masks, wanted) and torch.equal(other.propagate().masks, wanted)


def prepared() -> TrackSession:
    session = TrackSession(VIDEO, None)
    session.add([(0, 20, 20), (10, 50, 40)], follow=False)
    session.correct(0, 12, (40, 38))
    return session


@pytest.mark.parametrize("call", [1, 2, 3, 4])
@pytest.mark.parametrize(("owner", "name"), [(TrackSession, "_settle"), (point_walks, "min")])
def test_tracks_are_neither_shifted_nor_left_unjoined(owner, name, call, monkeypatch, tmp_path):
    """Ctrl-C came before a walk's result was kept, or before one of its pieces was."""
    drift(monkeypatch)
    wanted = prepared().tracks().xy
    session, other = prepared(), prepared()
    with monkeypatch.context() as broken:
        broken.setattr(point_walks, "min", min, raising=False)
        breaking_once(broken, owner, name, call)
        with pytest.raises(KeyboardInterrupt):
            session.propagate()
    other.load(session.save(tmp_path / "s.npz"))
    assert torch.equal(session.tracks().xy, wanted) and torch.equal(other.tracks().xy, wanted)
