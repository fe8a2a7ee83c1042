"""The choice between kernels and PyTorch."""

import logging
import re

import pytest
import torch

from pointtrack.layers.backends import is_right, triton_products
from pointtrack.layers.correlation import every_frame, read_patch

CPU = torch.device("cpu")


def in_pytorch(level, support, xy, radius):
    patch = read_patch(level, every_frame(xy), xy, radius)
    return torch.einsum("btnpc,bnqc->btnpq", patch, support)


def without_compiler(*_):
    raise RuntimeError("no C compiler")


def test_no_kernel_on_a_cpu():
    assert triton_products(CPU) is None


def test_a_right_function_passes(caplog):
    with caplog.at_level(logging.WARNING):
        assert is_right(in_pytorch, CPU)
    assert not caplog.text


@pytest.mark.parametrize(
    ("products", "message"),
    [
        (without_compiler, "fails here .no C compiler"),
        (lambda level, support, xy, radius: in_pytorch(level, support, xy.round(), radius), "wrong on cpu"),
        (lambda level, support, xy, radius: in_pytorch(level, support, xy.flip(-1), radius), "wrong on cpu"),
    ],
)
def test_one_that_fails_or_is_wrong_is_not_used(products, message, caplog):
    with caplog.at_level(logging.WARNING):
        assert not is_right(products, CPU)
    assert re.search(message, caplog.text)


@pytest.mark.gpu
def test_the_kernel_runs_on_a_gpu():
    assert triton_products(torch.device("cuda")) is not None
