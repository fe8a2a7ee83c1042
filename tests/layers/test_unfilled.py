"""Networks without weights, for those whose weights are read from a file."""

import pytest
import torch
from torch import nn

from pointtrack.layers.unfilled import unfilled
from tests.support.programs import run_program


@pytest.mark.parametrize(
    "fill", [nn.init.normal_, nn.init.kaiming_normal_, nn.init.xavier_normal_, lambda x: x.normal_(0, 2)]
)
def test_nothing_is_drawn(fill):
    state = torch.get_rng_state()
    with unfilled():
        weight = torch.empty(4, 8)
        assert fill(weight) is weight and weight.is_meta
    assert torch.equal(torch.get_rng_state(), state)
    assert float(fill(torch.zeros(4, 8)).std()) > 0  # as ever behind it


def test_shapes_are_those_of_filled_modules():
    def build():
        return nn.ModuleList([nn.Embedding(4, 8), nn.Conv2d(3, 5, 3), nn.MultiheadAttention(8, 2)])

    with unfilled():
        bare = build()
    assert {k: v.shape for k, v in bare.state_dict().items()} == {
        k: v.shape for k, v in build().state_dict().items()
    }


def test_models_load_without_torchs_compiler():
    """It takes a second of every start, and tracking does not need it."""
    program = """
import sys
import pointtrack as pt
tracker, segmenter = pt.Tracker(device="cpu"), pt.load_segmenter(device="cpu")
print([name for name in ("torch._dynamo", "sympy") if name in sys.modules])
"""
    done = run_program(program)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[-2] == "[]"
