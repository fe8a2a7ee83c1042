"""Convolutions in one pass: the same as the layer and what is behind it, with and without what fuses them."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

from pointtrack.layers import convolution
from pointtrack.layers.convolution import convolve, convolve_onto


@pytest.fixture(params=[True, False])
def fused(request, monkeypatch):
    if not request.param:
        monkeypatch.setattr(convolution, "_FUSED", False)
    elif not convolution._FUSED:
        pytest.skip("this build of torch has nothing that fuses convolutions")
    return request.param


def seen(channels=8, seed=0):
    x = torch.randn(2, channels, 12, 16, generator=torch.Generator().manual_seed(seed)) * 5
    return x.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("groups", [1, 8])
@pytest.mark.parametrize("relu6", [False, True])
def test_as_the_layer_and_the_clamp(fused, kernel, groups, relu6):
    torch.manual_seed(0)
    layer, x = nn.Conv2d(8, 8, kernel, padding=kernel // 2, groups=groups), seen()
    expected = layer(x).clamp(0, 6) if relu6 else layer(x)
    with torch.inference_mode():
        assert_close(convolve(x, layer, relu6=relu6), expected.detach(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("groups", [1, 8])
def test_padded_more_behind_than_in_front(fused, kernel, groups):
    torch.manual_seed(0)
    layer, x = nn.Conv2d(8, 8, kernel, stride=2, padding=kernel // 2, groups=groups), seen()
    more = kernel - 2
    padded = F.pad(x, (more // 2, more - more // 2) * 2)
    expected = F.conv2d(padded, layer.weight, layer.bias, 2, groups=groups).detach()
    with torch.inference_mode():
        assert_close(convolve(x, layer, behind=True), expected, atol=1e-5, rtol=0)
        assert not torch.allclose(convolve(x, layer), expected, atol=1e-2)


def test_added_onto_a_map_that_stays_as_it_was(fused):
    torch.manual_seed(0)
    layer, x, under = nn.Conv2d(8, 6, 1), seen(), seen(6, seed=1)
    before = under.clone()
    with torch.inference_mode():
        assert_close(convolve_onto(x, layer, under), (under + layer(x)).detach(), atol=1e-5, rtol=0)
    assert torch.equal(under, before)


def test_gradients_go_through():
    layer, x = nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=8), seen().requires_grad_()
    y = convolve(x, layer, relu6=True, behind=True)
    convolve_onto(y, nn.Conv2d(8, 8, 1), y).sum().backward()
    assert x.grad.abs().sum() > 0 and layer.weight.grad.abs().sum() > 0


def test_in_bfloat16_nearly_the_same():
    torch.manual_seed(0)
    layer, x, under = nn.Conv2d(8, 8, 3, padding=1), seen(), seen(seed=1)
    expected = (under + layer(x)).detach(), layer(x).detach().clamp(0, 6)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        found = convolve_onto(x, layer, under), convolve(x, layer, relu6=True)
    for one, other in zip(found, expected, strict=True):
        assert_close(one.float(), other, atol=0.2, rtol=0.02)
