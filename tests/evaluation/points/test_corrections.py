"""Corrections by a person who sees the truth."""

import torch

from evaluation.points import corrections
from evaluation.points.corrections import correct_worst
from evaluation.points.example import sampled_example
from tests.support.drifting_tracker import VIDEO, drift


def test_every_round_makes_the_rest_better(monkeypatch):
    drift(monkeypatch)
    frames = len(VIDEO)
    truth = torch.tensor([[20.0, 20.0], [30.0, 10.0]]) + torch.arange(frames)[:, None, None] * torch.tensor(
        [2.0, 1.0]
    )
    example = sampled_example("made/up", VIDEO, truth, torch.ones(frames, 2, dtype=torch.bool))
    figures = correct_worst(example, None, 2)
    assert len(figures) == 3
    errors = [error for _, error in figures]
    assert errors[0] > 1.5 * errors[1] > 1.5 * errors[2]
    assert figures[0][0] < figures[2][0] <= 1


def test_points_beyond_the_border_are_corrected_on_it():
    assert corrections._inside(torch.tensor([-0.4, 79.6]), (100, 80)) == [0.0, 79.0]
