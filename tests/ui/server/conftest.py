"""A server in this process, with two videos and a tiny tracker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import pointtrack as pt
from pointtrack.io.video import write_video
from pointtrack.objects.point_engine import PointEngine
from pointtrack.ui.desk import Desk
from pointtrack.ui.folders import Folders
from pointtrack.ui.models import Models
from tests.support.scenes import ColourSegmenter
from tests.support.ui_client import SCENE, Client


@pytest.fixture
def models(tiny_tracker) -> Models:
    models = Models("tiny")
    models._tracker = tiny_tracker

    models._make_engine = lambda: PointEngine(tiny_tracker, ColourSegmenter())
    return models


@pytest.fixture
def videos(tmp_path) -> Path:
    folder = tmp_path / "videos"
    write_video(folder / "squares.mp4", SCENE.video, crf=1)
    write_video(folder / "other.mp4", pt.Video(SCENE.video.frames[::-1]), crf=1)
    return folder


@pytest.fixture
def new_client(models, videos, tmp_path):
    desks: list[Desk] = []

    def make(**options: Any) -> Client:
        desk = Desk(tmp_path / "home", Folders([videos]), models, **options)
        desks.append(desk)
        return Client(desk, videos / "squares.mp4")

    yield make
    for desk in desks:
        desk.close()


@pytest.fixture
def client(new_client) -> Client:
    return new_client()
