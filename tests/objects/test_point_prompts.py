"""Points chosen for prompts, and how masks agree with points."""

import pytest
import torch

from pointtrack.objects.point_prompts import agreement, nearest_others, overlap, read_mask, spread_points


def test_chosen_points_cover_their_set():
    xy = torch.cat(
        [torch.rand(50, 2, generator=torch.Generator().manual_seed(0)) + 10, torch.tensor([[0.0, 0.0]])]
    )
    xy = torch.cat([xy, torch.tensor([[20.0, 0.0], [0.0, 20.0], [20.0, 20.0]])])
    chosen = spread_points(xy, 5)
    assert set(chosen[1:].tolist()) == {50, 51, 52, 53}, "the four corners are farthest"
    assert chosen[0] < 50, "the first lies in the crowd"


@pytest.mark.parametrize("n, count, got", [(0, 3, 0), (2, 3, 2), (5, 3, 3), (5, 0, 0), (3, 1, 1)])
def test_as_many_as_there_are(n, count, got):
    chosen = spread_points(torch.arange(2.0 * n).reshape(n, 2), count)
    assert len(chosen) == got == len(set(chosen.tolist()))


def test_others_are_taken_from_around_the_object():
    own = torch.tensor([[50.0, 50.0]])
    ring = torch.tensor([[40.0, 50.0], [60.0, 50.0], [50.0, 40.0], [50.0, 60.0]])
    far = torch.rand(100, 2) * 5 + 500
    others = torch.cat([far, ring])
    assert nearest_others(own, others[:0], 4).tolist() == []
    chosen = nearest_others(own, others, 1)
    assert (others[chosen] - own).norm() == 10
    four = nearest_others(own, others, 4)
    assert int((four >= 100).sum()) >= 1 and len(set(four.tolist())) == 4


def test_masks_are_read_at_the_nearest_pixel():
    mask = torch.zeros(4, 6, dtype=torch.bool)
    mask[1, 5] = True
    xy = torch.tensor([[5.0, 1.0], [5.4, 1.4], [4.4, 1.0], [6.0, 1.0], [5.0, -1.0]])
    assert read_mask(mask, xy).tolist() == [True, True, False, False, False]


def test_agreement_rewards_own_points_and_punishes_others():
    mask = torch.zeros(10, 10, dtype=torch.bool)
    mask[:5] = True
    inside, outside = torch.tensor([[1.0, 1.0], [2.0, 2.0]]), torch.tensor([[1.0, 8.0], [8.0, 8.0]])
    assert agreement(mask, inside, outside) == 1
    assert agreement(mask, outside, inside) == -1
    assert agreement(mask, torch.cat([inside, outside]), outside[:0]) == 0.5
    assert overlap(mask, mask) == 1 and overlap(mask, ~mask) == 0
    assert overlap(mask & ~mask, mask & ~mask) == 1
