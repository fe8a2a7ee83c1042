"""First guesses spoilt on purpose."""

import pytest
import torch

from train.data.batch import ClipBatch
from train.tasks.spoiling import AS_GUESSED, SpoilConfig, spoilt
from train.tasks.tracking import track_windows

FRAMES, POINTS, STEP = 16, 40, 4


@pytest.fixture
def batch() -> ClipBatch:
    generator = torch.Generator().manual_seed(0)
    frames = torch.randint(256, (1, FRAMES, 3, 48, 64), dtype=torch.uint8, generator=generator)
    start = torch.rand(1, 1, POINTS, 2, generator=generator) * torch.tensor([60.0, 44.0])
    xy = start + 0.2 * torch.arange(FRAMES)[:, None, None]
    return ClipBatch(
        frames, xy, torch.ones(1, FRAMES, POINTS, dtype=torch.bool), torch.zeros(1, POINTS).long()
    )


def first_guesses(tracker, batch: ClipBatch, spoil: SpoilConfig) -> list[torch.Tensor]:
    """Of every window, without its answer for frames of the one before."""
    with torch.no_grad():
        windows = track_windows(tracker, batch, 8, STEP, spoil=spoil)
    return [estimates[0].xy[:, (STEP if start else 0) :] for start, estimates in windows]


def test_right_ones_lie_on_the_truth(tiny_tracker, batch):
    found = torch.cat(first_guesses(tiny_tracker, batch, SpoilConfig(thrown=0, right=1, noise_px=0.5)), dim=1)
    error = (found - batch.xy).norm(dim=-1)
    assert error[:, 0].max() == 0  # the query's own frame
    assert 0.3 < error[:, 1:].mean() < 1.0 and error.max() < 3


def test_thrown_ones_are_wrong_for_a_time(tiny_tracker, batch):
    """As wrong as asked for, never on the frame of the query, and the same again for the same batch."""
    spoil = SpoilConfig(thrown=1, right=0, frames=(3, 3))
    plain, found = (torch.cat(first_guesses(tiny_tracker, batch, how), dim=1) for how in (AS_GUESSED, spoil))
    moved = (plain - found).norm(dim=-1)[0] > 1e-6
    assert not moved[0].any()
    share = moved[1:].any(0).float().mean()
    assert share > 0.5 and moved[:8].sum(0).max() <= 3
    again = torch.cat(first_guesses(tiny_tracker, batch, spoil), dim=1)
    assert torch.equal(again, found)


def test_what_is_not_known_is_left_alone(tiny_tracker, batch):
    batch.visible[:, 1:] = False
    batch.xy[:, 1:] = 0
    for how in (SpoilConfig(thrown=1, right=0), SpoilConfig(thrown=0, right=1)):
        plain, found = (first_guesses(tiny_tracker, batch, one)[0] for one in (AS_GUESSED, how))
        assert torch.equal(plain, found)


def test_the_tracker_is_as_before_afterwards(tiny_tracker, batch):
    with spoilt(tiny_tracker, batch, SpoilConfig(), STEP):
        assert "first_guess" in vars(tiny_tracker)
    assert "first_guess" not in vars(tiny_tracker)


@pytest.mark.parametrize("wrong", [{"thrown": 0.7, "right": 0.5}, {"frames": (5, 3)}, {"noise_px": -1.0}])
def test_wrong_settings(wrong):
    with pytest.raises(ValueError, match="spoil: expected"):
        SpoilConfig(**wrong)
