"""The models of a server are loaded as it was started."""

import pytest

from pointtrack.ui.models import Models


@pytest.mark.usefixtures("bfloat16_anywhere")
def test_precision_and_looks_reach_what_is_loaded(tiny_tracker_file):
    models = Models(str(tiny_tracker_file), device="cpu", precision="bfloat16", looks=2)
    inference = models.load_tracker().inference
    assert (inference.precision, inference.looks) == ("bfloat16", 2)
    assert models.new_engine().segmenter.narrow
    assert not Models(str(tiny_tracker_file), device="cpu").new_engine().segmenter.narrow
