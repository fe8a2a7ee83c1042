"""The convolution of fewer products gives what the definition gives."""

import pytest
import torch

from pointtrack.layers import winograd
from pointtrack.layers.winograd import convolve


@pytest.mark.parametrize("wh", [(12, 40), (7, 9), (1, 1), (33, 2)])
def test_answer_is_that_of_the_convolution(wh, monkeypatch):
    generator = torch.Generator().manual_seed(0)
    monkeypatch.setattr(winograd, "WIDE", 4)
    monkeypatch.setattr(winograd, "NARROW", 1)
    called = []
    kernels = winograd.transformed
    monkeypatch.setattr(winograd, "transformed", lambda weight: called.append(1) or kernels(weight))
    layer = torch.nn.Conv2d(5, 6, 3, padding=1).requires_grad_(False)
    x = torch.randn(2, 5, wh[1], wh[0], generator=generator)
    with torch.inference_mode():
        answer = convolve(x, layer)
        fast = winograd.onednn_takes(x)
    assert answer.shape == (2, 6, wh[1], wh[0])
    assert torch.allclose(answer, layer(x), atol=1e-5)
    assert bool(called) == fast


def test_few_channels_and_gradients_take_the_layer_itself():
    layer = torch.nn.Conv2d(3, 4, 3, padding=1)
    x = torch.ones(1, 3, 6, 6)
    with torch.inference_mode():
        assert torch.equal(convolve(x, layer), layer(x))
    convolve(x, layer).sum().backward()
    assert layer.weight.grad is not None


def test_low_precision_takes_the_layer_itself(monkeypatch):
    monkeypatch.setattr(winograd, "WIDE", 2)
    monkeypatch.setattr(winograd, "NARROW", 1)
    layer = torch.nn.Conv2d(3, 4, 3, padding=1).requires_grad_(False)
    x = torch.ones(1, 3, 6, 6)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(convolve(x, layer), layer(x))


def test_other_weights_are_seen(monkeypatch):
    monkeypatch.setattr(winograd, "WIDE", 4)
    monkeypatch.setattr(winograd, "NARROW", 1)
    layer = torch.nn.Conv2d(3, 4, 3, padding=1).requires_grad_(False)
    other = torch.nn.Conv2d(3, 4, 3, padding=1).requires_grad_(False)
    x = torch.randn(1, 3, 6, 6)

    def right() -> bool:
        with torch.inference_mode():
            return torch.allclose(convolve(x, layer), layer(x), atol=1e-5)

    assert right()
    layer.load_state_dict(other.state_dict())
    assert right()
    layer.weight = torch.nn.Parameter(torch.randn(4, 3, 3, 3), requires_grad=False)
    assert right()
    layer.requires_grad_(True)
    layer.weight.data.mul_(2)  # which nothing counts: weights that learn are not kept
    assert right()
