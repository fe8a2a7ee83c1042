"""Points that are found nowhere move as the points around them do, and points that were hidden return together."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from pointtrack.config import InitializationConfig
from pointtrack.models.initialization import Search, match_through
from pointtrack.models.neighbours import WITNESSES, Neighbours
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
    riding = replace(tiny_tracker.own_config.initialization, ride=0.5, agree=0.4)
    tiny_tracker.config = replace(tiny_tracker.own_config, initialization=riding)
    twin = tiny_tracker.unled()
    assert twin.config.initialization == replace(riding, ride=-1.0, agree=1.0)
    assert tiny_tracker.config.initialization == riding  # as it was
    assert twin.encoder is tiny_tracker.encoder


def circle(points: int, radius: float):
    angle = torch.arange(points) * (2 * torch.pi / points)
    return radius * torch.stack([angle.cos(), angle.sin()], dim=-1)


def asked_of(places, believed, sure=None, frame=None, leads=None):
    """Shares of the first point of a circle's middle, whose neighbours lie on the circle."""
    n = len(believed)
    xy = torch.cat([torch.zeros(1, 2), circle(n - 1, 10.0)])[None]
    frame = torch.zeros(1, n, dtype=torch.int64) if frame is None else frame[None]
    sure = torch.ones(1, n, dtype=torch.bool) if sure is None else sure[None]
    every = torch.zeros(1, n, places.shape[0], 2)
    every[0, 0] = places
    asked = torch.zeros(1, n, dtype=torch.bool)
    asked[0, 0] = True
    leads = None if leads is None else leads[None]
    return Neighbours(xy, frame, leads).agreement(every, believed[None], sure, asked, reach=22.0)[0, 0]


def test_neighbours_agree_with_the_place_that_they_surround():
    places = torch.tensor([[0.0, 0.0], [50.0, 30.0], [80.0, 0.0]])
    believed = torch.cat([torch.zeros(1, 2), circle(8, 10.0) + places[1]])
    torch.testing.assert_close(asked_of(places, believed), torch.tensor([0.0, 1, 0]))
    believed[1:3] = circle(8, 10.0)[:2]  # two of the eight stay: too few to count
    torch.testing.assert_close(asked_of(places, believed), torch.tensor([1.0, 3, 0]) / 4)
    believed[1:] = circle(8, 13.0) + places[1]  # it grew by less than the tolerance
    assert asked_of(places, believed)[1] == pytest.approx(1)
    believed[1:] = circle(8, 18.0) + places[1]  # by more
    assert asked_of(places, believed)[1] == 0


def test_who_does_not_count_as_a_neighbour():
    places = torch.tensor([[0.0, 0.0], [50.0, 30.0]])
    believed = torch.cat([torch.zeros(1, 2), circle(8, 10.0) + places[1]])
    others = torch.tensor([0, 0, 0, 0, 0, 5, 5, 5, 5])
    believed[5:] += 100  # of another frame, so they have no say
    assert asked_of(places, believed, frame=others).tolist() == pytest.approx([0, 1])
    unsure = torch.tensor([True] * 7 + [False] * 2)
    believed = torch.cat([torch.zeros(1, 2), circle(8, 10.0) + places[1]])
    assert asked_of(places, believed, sure=unsure).tolist() == pytest.approx([0, 0.75])
    assert asked_of(places, believed, sure=unsure, leads=unsure).tolist() == pytest.approx([0, 1])
    assert asked_of(places, believed[:2]).tolist() == [0, 0], "one neighbour is too few"
    crowd = torch.cat([torch.zeros(1, 2), circle(3 * WITNESSES, 10.0) + places[1]])
    assert asked_of(places, crowd).tolist() == pytest.approx([0, 1])


@pytest.fixture
def jump():
    """A pattern of cells that something hides on one frame, and that is then far from where it was, and looks less alike.

    The last point looks like a cell elsewhere, too, better than like its own.
    """
    generator = torch.Generator().manual_seed(0)
    grain = F.normalize(torch.randn(4, 40, 60, 32, generator=generator), dim=-1)
    pattern, other = grain[0, :12, :12], grain[1, :12, :12]
    frames = grain[2, None].repeat(3, 1, 1, 1)
    frames[0, 4:16, 4:16] = pattern
    frames[2, 20:32, 40:52] = F.normalize(pattern + other, dim=-1)
    xy = torch.tensor([[x, y] for y in (5.0, 9, 13) for x in (5.0, 9, 13)])
    last = frames[0, 13, 13]
    frames[2, 36, 5] = F.normalize(last + 0.8 * grain[3, 0, 0], dim=-1)
    templates = Templates([], frames[0][xy[:, 1].long(), xy[:, 0].long()][None])
    return frames[None], templates, xy


@pytest.mark.parametrize("agree", [0.4, 1.0])
def test_points_return_together(jump, agree):
    level, templates, xy = jump
    rules = InitializationConfig(lost=0.8, seen=0.75, regained=0.9, far=0.0, agree=agree)
    known = torch.full((1, 3, 9, 2), torch.nan)
    known[0, 0] = xy
    zero = torch.zeros(1, 9, dtype=torch.int64)
    search = Search(rules, 3, torch.tensor(50.0), Neighbours(xy[None], zero))
    found = match_through(level, templates, templates.feature, zero, known, search)[0][0]
    off = (found[2] - xy - torch.tensor([36.0, 16.0])).norm(dim=-1)
    if agree == 1:  # alone, all are too little alike to be believed
        assert off.min() > 10
    else:
        assert off.max() < 1.0, "also the one that looks more like another cell"
