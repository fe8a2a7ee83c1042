"""Exact tracks for sessions on squares."""

import pytest

from tests.support.exact import use_exact_tracks
from tests.support.square_session import SCENE


@pytest.fixture
def exact_square_tracks(monkeypatch):
    """The tracker answers with the truth of `square_session.SCENE`."""
    use_exact_tracks(monkeypatch, SCENE)
