"""Comparing a few points at a time gives what comparing all at once gives."""

import pytest
import torch

from pointtrack.config import CorrelationConfig
from pointtrack.layers import correlation as module
from pointtrack.layers.correlation import CORRELATIONS


@pytest.mark.parametrize("kind", CORRELATIONS)
@pytest.mark.parametrize("points", [0, 5])
@pytest.mark.parametrize("positions", [1, 8, 1000])
def test_groups_of_points_do_not_matter(kind, points, positions, monkeypatch):
    monkeypatch.setitem(module.POSITIONS, "cpu", positions)
    generator = torch.Generator().manual_seed(0)
    config = CorrelationConfig(kind, levels=2, radius=2, support_radius=1, hidden=8, channels=4)
    correlation = CORRELATIONS[kind](config)
    pyramid = [torch.randn(1, 3, 12 >> i, 16 >> i, 6, generator=generator) for i in range(2)]
    cells = torch.rand(1, 3, points, 2, generator=generator) * torch.tensor([15.0, 11.0])
    appearance = correlation.remember(pyramid, torch.zeros(1, points, dtype=torch.int64), cells[:, 0])
    support = correlation.begin(appearance, 3)
    products = correlation.products(pyramid, support, cells)
    wanted = correlation(products)
    with torch.inference_mode():
        answer, middles = correlation.compare(pyramid, support, cells)
    assert answer.shape == (1, 3, points, correlation.width)
    assert torch.allclose(answer, wanted, atol=1e-5)
    for middle, product in zip(middles, products, strict=True):
        centre = product[..., 4] if kind == "patch" else product
        assert torch.allclose(middle[..., 0], centre, atol=1e-5)


def test_products_of_a_group_are_gone_before_the_next(monkeypatch):
    """What is kept of a group is as large as it says: a view would keep all products of its group in memory."""
    monkeypatch.setitem(module.POSITIONS, "cpu", 2)
    correlation = CORRELATIONS["patch"](CorrelationConfig(levels=1, radius=1, hidden=8, channels=4))
    level = torch.randn(1, 2, 8, 9, 6, generator=torch.Generator().manual_seed(0))
    cells = torch.full((1, 2, 3, 2), 3.25)
    kept, cat = [], torch.cat
    monkeypatch.setattr(
        module.torch, "cat", lambda parts, dim: kept.append(list(parts)) or cat(parts, dim=dim)
    )
    with torch.inference_mode():
        support = correlation.remember([level], torch.zeros(1, 3, dtype=torch.int64), cells[:, 0])
        correlation.compare([level], support, cells)
    together = [parts for parts in kept if len(parts) == 3]
    assert len(together) == 2
    assert all(x.untyped_storage().nbytes() == x.nbytes for parts in together for x in parts)


def test_gradients_reach_the_maps():
    correlation = CORRELATIONS["patch"](CorrelationConfig(levels=1, radius=1, hidden=8, channels=4))
    level = torch.randn(1, 2, 8, 9, 6, generator=torch.Generator().manual_seed(0)).requires_grad_()
    cells = torch.full((1, 2, 3, 2), 3.25)
    support = correlation.remember([level], torch.zeros(1, 3, dtype=torch.int64), cells[:, 0])
    correlation.compare([level], support, cells)[0].sum().backward()
    assert level.grad is not None and bool((level.grad != 0).any())
