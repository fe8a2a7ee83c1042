"""How near two probabilities in float32 can be asked to be, as logits."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

LOGIT = 1e-4
ROUNDING = 4 * 6e-8  # four steps of float32 below 1


def assert_same_probability(
    ours: Tensor, golden: np.ndarray | Tensor, name: str = "probability", logit: float = LOGIT
) -> None:
    """Every probability is that of the golden output, up to `logit` in logits and what float32 leaves open.

    A step of float32 at p is about 6e-8, which is 6e-8 / (p (1 - p)) in logits: 6e-5 at 0.999. So the nearer p is to
    0 or 1, the more the logits may differ; where the golden value is 0 or 1 itself, probabilities are compared.
    """
    ours_, golden_ = ours.double(), torch.as_tensor(golden).double()
    assert ours_.shape == golden_.shape, name
    assert ((ours_ - golden_).abs() <= logit / 4 + ROUNDING).all(), (
        name
    )  # a logit is at least 4 probabilities
    inside = (golden_ > 0) & (golden_ < 1) & (ours_ > 0) & (ours_ < 1)
    p = golden_[inside]
    gap = (torch.logit(ours_[inside]) - torch.logit(p)).abs()
    excess = gap - (logit + ROUNDING / (p * (1 - p)))
    assert excess.numel() == 0 or excess.max() <= 0, (
        f"{name}: {gap[excess.argmax()]:.2e} at {p[excess.argmax()]}"
    )
