"""The comparison of probabilities: what rounding does passes, a wrong logit does not."""

from __future__ import annotations

import pytest
import torch

from tests.support.probabilities import assert_same_probability

LOGITS = torch.linspace(-16, 16, 321, dtype=torch.float64)


def test_one_step_of_float32_passes_everywhere():
    golden = LOGITS.sigmoid().float()
    up = torch.nextafter(golden, torch.tensor(2.0)).clamp(max=1)
    assert_same_probability(up, golden.numpy())
    assert_same_probability(golden, up.numpy())


@pytest.mark.parametrize("logit", [0.0, 2.0, -5.0, 6.9])
def test_a_wrong_logit_is_seen(logit):
    golden = torch.tensor([logit], dtype=torch.float64).sigmoid().float()
    wrong = torch.tensor([logit + 1e-3], dtype=torch.float64).sigmoid().float()
    with pytest.raises(AssertionError):
        assert_same_probability(wrong, golden.numpy())


def test_certainty_is_not_taken_for_doubt():
    with pytest.raises(AssertionError):
        assert_same_probability(torch.tensor([1.0]), torch.tensor([0.5]).numpy())
