"""Fixtures of several tests of training."""

import cv2
import numpy as np
import pytest


@pytest.fixture
def pictures(tmp_path):
    """A folder with three small photographs, smooth noise."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(3):
        coarse = np.random.default_rng(i).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{i}.jpg"), cv2.resize(coarse, (128, 96), interpolation=cv2.INTER_CUBIC))
    return folder


@pytest.fixture(autouse=True)
def few_patterns(monkeypatch):
    """Banks of three drawn pictures, one of each kind: to draw as many as a training wants takes seconds for each command."""
    monkeypatch.setattr("train.data.textures.PROCEDURAL", 3)
    monkeypatch.setattr("train.data.export_clips.PROCEDURAL", 3)
