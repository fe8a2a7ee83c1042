"""Cells that are compared a few at a time, with the rows they need, give what all cells with the whole map give."""

import pytest
import torch

from pointtrack.models.alltracker import correlation
from pointtrack.models.alltracker.correlation import correlate, pyramid


@pytest.mark.parametrize("spread", [0.0, 3.0, 100.0])
def test_a_few_at_a_time(spread, monkeypatch):
    generator = torch.Generator().manual_seed(0)
    h, w = 40, 48
    features, anchor = (torch.randn(h, w, 16, generator=generator) for _ in range(2))
    own = torch.stack(torch.meshgrid(torch.arange(w), torch.arange(h), indexing="xy"), dim=-1).float()
    cells = (own + spread * torch.randn(h, w, 2, generator=generator)).flatten(0, 1)
    arguments = anchor.flatten(0, 1), pyramid(features), cells
    whole = correlate(*arguments)  # gradients are on here
    with torch.inference_mode():
        few = correlate(*arguments)
        monkeypatch.setattr(correlation, "CELLS", 7)
        fewer = correlate(*arguments)
    assert whole.shape == (h * w, correlation.WIDTH)
    assert torch.allclose(few, whole, atol=1e-5) and torch.allclose(fewer, whole, atol=1e-5)
