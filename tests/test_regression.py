"""The published models still give the answers that were stored after they agreed with the published code."""

import numpy as np
import pytest

from tests.support.golden import FOLDER
from tests.support.regression import MODELS, PATH, answer, points

# Where the golden outputs are, `models/test_parity.py` compares with the published code itself. The others are built of
# the same parts as these two, with other windows.
QUICK = ("cotracker2.1", "cotracker3-online")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.long if FOLDER.is_dir() or name not in QUICK else [])
        for name in MODELS
    ],
)
def test_answers_are_as_they_were(name):
    ours = answer(name)
    with np.load(PATH) as stored:
        assert np.abs(ours["tracks"] - stored[f"{name}/tracks"]).max() < 1e-4
        for key in ("visibility", "confidence"):
            assert np.abs(ours[key] - stored[f"{name}/{key}"]).max() < 1e-4
    _, requested = points()
    assert np.abs(ours["tracks"] - requested[0].numpy()).max() > 0.5, (
        "points that stand still would test nothing"
    )
