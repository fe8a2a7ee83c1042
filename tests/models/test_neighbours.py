"""Points that are found nowhere move as the points around them do."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from pointtrack.config import InitializationConfig
from pointtrack.models.initialization import Neighbours, Search, match_through
from pointtrack.models.window import Templates

FRAMES, SIDE, STEP = 6, 40, torch.tensor([1.0, 0.5])


def test_the_mean_motion_of_sure_neighbours_of_the_same_frame():
    xy = torch.tensor([[[0.0, 0], [2, 0], [3, 0], [200, 0], [1, 0]]])
    frame = torch.tensor([[0, 0, 0, 0, 7]])
    moved = torch.tensor([[[9.0, 9], [1, 0], [3, 0], [5, 5], [8, 8]]])
    sure = torch.tensor([[False, True, True, True, True]])
    asked = torch.tensor([[True, False, False, False, False]])
    mean, enough = Neighbours(xy, frame).motion(moved, sure, asked, reach=1000.0)
    # Almost the same weight for all three of its frame, the far one a little less; not for the one of frame 7.
    torch.testing.assert_close(mean[0, 0], torch.tensor([3.0, 5 / 3]), atol=0.05, rtol=0)
    assert enough.tolist() == asked.tolist()
    mean, enough = Neighbours(xy, frame).motion(moved, sure, asked, reach=2.0)
    near = torch.tensor([4.0, 9.0]).div(-8).exp()
    torch.testing.assert_close(mean[0, 0, 0], (near @ torch.tensor([1.0, 3.0])) / near.sum())
    alone = Neighbours(xy, frame, leads=torch.zeros(1, 5, dtype=torch.bool))
    assert not alone.motion(moved, sure, asked, reach=2.0)[1].any()


@pytest.fixture
def scene():
    """Features of cells that move together, of which a band is covered on some frames; and points beside and in the band."""
    generator = torch.Generator().manual_seed(0)
    texture = F.normalize(torch.randn(SIDE + 20, SIDE + 20, 24, generator=generator), dim=-1)
    cover = F.normalize(torch.randn(24, generator=generator), dim=-1)
    frames = []
    for i in range(FRAMES):
        x, y = int(STEP[0] * i), int(STEP[1] * i)
        frame = texture[10 - y : 10 - y + SIDE, 10 - x : 10 - x + SIDE].clone()
        if 1 <= i < FRAMES:
            frame[:, 18:26] = cover
        frames.append(frame)
    level = torch.stack(frames)[None]
    xy = torch.tensor([[[20.0, 20.0], [11, 20], [12, 24], [29, 20], [28, 16]]])
    templates = Templates([], level[0, 0][xy[0, :, 1].long(), xy[0, :, 0].long()][None])
    known = torch.full((1, FRAMES, 5, 2), torch.nan)
    known[:, 0] = xy
    return level, templates, known


def found(scene, ride: float):
    level, templates, known = scene
    rules = replace(InitializationConfig(lost=0.7, regained=2.0, far=0.0), ride=ride, reach=8.0)
    points = known.shape[2]
    neighbours = Neighbours(known[:, 0], torch.zeros(1, points, dtype=torch.int64))
    search = Search(rules, 2, torch.tensor(50.0), neighbours)
    anchor = torch.zeros(1, points, dtype=torch.int64)
    return match_through(level, templates, templates.feature, anchor, known, search)[0][0]


def test_a_covered_point_rides(scene):
    truth = scene[2][0, :1] + torch.arange(FRAMES)[:, None, None] * STEP
    error = (found(scene, ride=0.5) - truth).norm(dim=-1)
    assert error[:, 1:].max() < 1.6  # what is seen is found anyway; motion by half a cell is one or none
    assert error[:, 0].max() < 2.5
    alone = (found(scene, ride=-1.0) - truth).norm(dim=-1)
    assert alone[-1, 0] > error[-1, 0] + 1
    assert torch.equal(alone[:, 1:], error[:, 1:])


def test_a_network_without_riding(tiny_tracker):
    riding = replace(tiny_tracker.own_config.initialization, ride=0.5)
    tiny_tracker.config = replace(tiny_tracker.own_config, initialization=riding)
    twin = tiny_tracker.unled()
    assert twin.config.initialization == replace(riding, ride=-1.0)
    assert tiny_tracker.config.initialization == riding  # as it was
    assert twin.encoder is tiny_tracker.encoder
