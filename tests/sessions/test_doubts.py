"""Which frames are named as worth a look."""

import torch

from pointtrack.sessions.doubts import Doubt, doubts_in, doubts_of_masks, worst
from pointtrack.types.masks import Masks

NAN = torch.nan


def test_frames_of_low_quality():
    quality = torch.tensor([[0.9, 0.5], [NAN, 0.6], [0.1, NAN]])
    found = [(one.frame, one.object_id, round(one.quality, 3)) for one in doubts_in(quality, [7, 9], 10)]
    assert found == [(10, 9, 0.5), (12, 7, 0.1)]


def test_masks_say_nothing_of_what_is_not_there():
    masks = torch.zeros(3, 2, 4, 4, dtype=torch.bool)
    masks[0], masks[2, 1] = True, True
    scores = torch.tensor([[0.2, 0.9], [0.0, 0.0], [0.0, 0.3]])
    found = doubts_of_masks(Masks(masks, [4, 5], scores, first_frame=6))
    assert [(one.frame, one.object_id) for one in found] == [(6, 4), (8, 5)]


def test_the_worst_first_and_not_side_by_side():
    doubts = [Doubt(0, 1, 0.4), Doubt(5, 1, 0.3), Doubt(5, 2, 0.5), Doubt(13, 1, 0.2), Doubt(14, 1, 0.1)]
    named = worst(doubts, 9)
    assert [(one.frame, one.object_id) for one in named] == [(14, 1), (5, 1), (5, 2)]
    assert worst(doubts, 2) == named[:2] and worst([], 3) == []
