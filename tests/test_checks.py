"""Shape checks."""

import doctest
import re

import numpy as np
import pytest
import torch

import pointtrack.checks
from pointtrack.checks import check_shape, checked_wh, tensor_of


@pytest.mark.parametrize(
    ("shape", "pattern", "expected"),
    [
        ((5, 3, 2), "t n 2", {"t": 5, "n": 3}),
        ((5, 3, 2), "t n _", {"t": 5, "n": 3}),
        ((4, 4), "n n", {"n": 4}),
        ((), "", {}),
        ((0, 2), "n 2", {"n": 0}),
    ],
)
def test_shapes_that_fit(shape, pattern, expected):
    assert check_shape(torch.zeros(shape), pattern, "x") == expected
    assert check_shape(np.zeros(shape), pattern, "x") == expected


@pytest.mark.parametrize(
    ("shape", "pattern", "message"),
    [
        ((5, 3), "t n 2", r"x: expected shape \(t, n, 2\), got \(5, 3\)"),
        ((5, 3, 3), "t n 2", r"got \(5, 3, 3\)"),
        ((5, 3, 2, 1), "t n 2", r"got \(5, 3, 2, 1\)"),
        ((4, 5), "n n", r"expected shape \(n, n\), got \(4, 5\)"),
        ((), "n", r"expected shape \(n\), got \(\)"),
    ],
)
def test_shapes_that_do_not_fit(shape, pattern, message):
    with pytest.raises(ValueError, match=message):
        check_shape(torch.zeros(shape), pattern, "x")


@pytest.mark.parametrize(
    "wh", [64, "64x48", None, (64,), (64, 48, 3), (64.5, 48), ("64", "48"), (1, 8), (-4, 10)]
)
def test_what_is_no_size_of_frames(wh):
    message = r"wh: expected frames of \(width, height\), each a whole number of at least 2 pixels, got "
    with pytest.raises(ValueError, match=message + re.escape(repr(wh))):
        checked_wh(wh)


def test_doctests():
    assert doctest.testmod(pointtrack.checks).failed == 0


@pytest.mark.filterwarnings("error")
def test_what_cannot_be_written_to_becomes_a_tensor_that_can():
    locked = np.arange(3)
    locked.flags.writeable = False  # as the columns of pandas are
    tensor_of(locked).zero_()
    assert locked.tolist() == [0, 1, 2]
