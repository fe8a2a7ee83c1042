"""Linear layers through oneDNN give what torch's own give."""

import pytest
import torch
import torch.nn.functional as F

from pointtrack.layers import linear as module
from pointtrack.layers.linear import linear, onednn_takes


@pytest.mark.parametrize("gelu", [None, "tanh", "none"])
@pytest.mark.parametrize("shape", [(5, 12), (2, 3, 7, 12), (0, 12)])
def test_answer_is_that_of_the_layer(gelu, shape):
    generator = torch.Generator().manual_seed(0)
    layer = torch.nn.Linear(12, 20)
    x = 3 * torch.randn(shape, generator=generator)
    wanted = layer(x) if gelu is None else F.gelu(layer(x), approximate=gelu)
    with torch.inference_mode():
        assert torch.allclose(linear(x, layer, gelu), wanted, atol=1e-6)
        strided = torch.randn(12, 6, generator=generator).T
        assert torch.allclose(linear(strided, layer), layer(strided), atol=1e-6)


def test_gradients_flow_where_they_are_wanted():
    layer = torch.nn.Linear(4, 4)
    assert not onednn_takes(torch.ones(2, 4))
    linear(torch.ones(2, 4), layer, "tanh").sum().backward()
    assert layer.weight.grad is not None


@pytest.mark.skipif(not module._ONEDNN, reason="this build of torch has no oneDNN")
def test_onednn_is_asked_for_plain_inference_only():
    x = torch.ones(2, 4)
    with torch.inference_mode():
        assert onednn_takes(x)
        assert not onednn_takes(x.double())
        with torch.autocast("cpu", torch.float16):
            assert not onednn_takes(x)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_an_autocast_computes_in_bfloat16(kind):
    generator = torch.Generator().manual_seed(0)
    layer = torch.nn.Linear(12, 20)
    x = torch.randn(5, 12, generator=generator).to(kind)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        answer = linear(x, layer, "tanh")
    wanted = F.gelu(layer(x.float()), approximate="tanh")
    assert answer.dtype == torch.bfloat16
    assert torch.allclose(answer.float(), wanted, atol=0.03) and not torch.equal(answer.float(), wanted)


def test_an_export_records_torchs_own_layers():
    class Head(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(4, 4)

        def forward(self, x):
            return linear(x, self.layer, "tanh")

    with torch.no_grad():
        graph = torch.export.export(Head(), (torch.ones(2, 4),)).graph
    assert not any("mkldnn" in str(node.target) for node in graph.nodes)
