"""Comparison of masks."""

import numpy as np

from pointtrack.types.masks import Masks


def assert_same(masks: Masks, wanted: Masks) -> None:
    """Check that masks are equal to the last bit."""
    assert masks.object_ids.tolist() == wanted.object_ids.tolist() and masks.first_frame == wanted.first_frame
    np.testing.assert_array_equal(masks.masks.numpy(), wanted.masks.numpy())
    np.testing.assert_array_equal(masks.scores.numpy(), wanted.scores.numpy())
