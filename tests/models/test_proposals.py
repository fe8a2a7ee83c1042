"""Suggested moves: a line through a point's own path, and the peaks of its products."""

import pytest
import torch

from pointtrack.models.proposals import REACH, path_moves, peak_moves


def straight(frames=9):
    return torch.arange(frames).float()[None, :, None, None] * torch.tensor([2.0, -1.0]) + 5


def test_a_straight_path_suggests_nothing():
    for move in path_moves(straight(), torch.ones(1, 9, 1)):
        assert move[:, 2:-2].abs().max() < 0.2  # the ridge on the slope leaves a little at the ends


@pytest.mark.parametrize("frame", [3, 4, 5])
def test_a_jump_is_led_back_to_the_line(frame):
    path = straight()
    path[0, frame] += torch.tensor([3.0, 2.0])
    for move in path_moves(path, torch.ones(1, 9, 1)):
        assert torch.allclose(move[0, frame, 0], torch.tensor([-3.0, -2.0]), atol=0.2)


def test_disbelieved_frames_do_not_pull():
    path, weight = straight(), torch.ones(1, 9, 1)
    path[0, 6] += 50
    weight[0, 6] = 0
    for move in path_moves(path, weight):
        assert move[0, 5].abs().max() < 0.2
        assert move[0, 6, 0].tolist() == pytest.approx([-16, -16])  # as far as one round may lead


def test_no_evidence_no_move():
    assert all(move.abs().max() < 1e-5 for move in path_moves(straight(), torch.zeros(1, 9, 1)))
    single = path_moves(straight(1), torch.ones(1, 1, 1))
    assert len(single) == len(REACH) and all(not move.any() for move in single)


@pytest.mark.parametrize("x, y", [(0, 0), (1, -2), (-2, 2)])
def test_peaks_point_to_the_largest_product(x, y):
    radius = 2
    products = torch.zeros(1, 1, 1, 25, 9)
    products[0, 0, 0, (x + radius) * 5 + (y + radius)] = 1.0  # x slow
    moves, heights = peak_moves([products, products], radius, torch.full((2,), 50.0))
    assert torch.allclose(moves[0][0, 0, 0], torch.tensor([float(x), float(y)]), atol=1e-3)
    assert torch.allclose(moves[1], 2 * moves[0])
    assert heights[0, 0, 0].tolist() == [1.0, float((x, y) == (0, 0))] * 2
