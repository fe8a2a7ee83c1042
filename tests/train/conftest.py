"""Fixtures of several tests of training."""

import cv2
import numpy as np
import pytest

from train.data import textures
from train.data.textures import _pattern

MADE = {}  # drawn patterns, and the states of the generators afterwards


@pytest.fixture
def pictures(tmp_path):
    """A folder with three small photographs, smooth noise."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(3):
        coarse = np.random.default_rng(i).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{i}.jpg"), cv2.resize(coarse, (128, 96), interpolation=cv2.INTER_CUBIC))
    return folder


def drawn_once(kind, generator):
    """`_pattern`, which takes a tenth of a second: the same pattern is drawn once."""
    key = kind, generator.get_state().numpy().tobytes()
    if key not in MADE:
        MADE[key] = _pattern(kind, generator), generator.get_state()
    picture, after = MADE[key]
    generator.set_state(after)
    return picture


@pytest.fixture(scope="session", autouse=True)
def few_patterns():
    """Banks of three drawn pictures, one of each kind: to draw as many as a training wants takes seconds for each command."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(textures, "_pattern", drawn_once)
        for place in ("train.data.textures.PROCEDURAL", "train.data.export_clips.PROCEDURAL"):
            patch.setattr(place, 3)
        yield
