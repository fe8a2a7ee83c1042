"""Points, sizes and maps: what happens to pixels also happens to the points on them."""

import doctest

import pytest
import torch

import pointtrack.geometry
from pointtrack.geometry import (
    grid_points,
    inside_image,
    published_grid,
    rescale_points,
    resize_frames,
    sample_features,
)

NAN = float("nan")


@pytest.mark.parametrize(
    ("xy", "from_wh", "to_wh", "rule", "expected"),
    [
        ((0.0, 0.0), (100, 50), (200, 100), "corners", (0.0, 0.0)),
        ((99.0, 49.0), (100, 50), (200, 100), "corners", (199.0, 99.0)),
        ((49.5, 24.5), (100, 50), (31, 77), "corners", (15.0, 38.0)),
        ((-0.5, -0.5), (100, 50), (200, 25), "edges", (-0.5, -0.5)),
        ((99.5, 49.5), (100, 50), (200, 25), "edges", (199.5, 24.5)),
        ((0.0, 0.0), (100, 50), (200, 25), "edges", (0.5, -0.25)),
    ],
)
def test_rescaled_points(xy, from_wh, to_wh, rule, expected):
    xy = torch.tensor(xy)
    torch.testing.assert_close(rescale_points(xy, from_wh, to_wh, rule), torch.tensor(expected))
    back = rescale_points(rescale_points(xy, from_wh, to_wh, rule), to_wh, from_wh, rule)
    torch.testing.assert_close(back, xy, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("rule", ["corners", "edges"])
@pytest.mark.parametrize("to_wh", [(97, 31), (50, 80), (130, 95)])
def test_points_move_with_the_pixels_of_a_resized_image(rule, to_wh):
    wh = (64, 48)
    x, y = torch.meshgrid(torch.arange(64.0), torch.arange(48.0), indexing="xy")
    small = resize_frames(torch.stack([x, y])[None], to_wh, rule)  # every pixel knows where it was
    there = torch.tensor([[20.0, 30.0], [40.0, 12.0], [31.5, 23.5]])
    here = rescale_points(there, wh, to_wh, rule)
    torch.testing.assert_close(sample_features(small, here[None])[0], there, atol=0.05, rtol=0)


def test_resizing_keeps_types_and_leaves_a_fitting_size_alone():
    frames = torch.randint(0, 255, (2, 3, 20, 30), dtype=torch.uint8)
    assert resize_frames(frames, (30, 20)) is frames
    assert resize_frames(frames, (15, 10), "edges").dtype == torch.uint8
    assert resize_frames(frames, (15, 10), "corners").dtype == torch.float32
    assert resize_frames(frames, (15, 10)).shape == (2, 3, 10, 15)


@pytest.mark.parametrize(
    ("xy", "wh", "rule", "message"),
    [
        (torch.zeros(4, 3), (9, 9), "corners", r"last axis of 2 \(x, y\), got shape \(4, 3\)"),
        (torch.zeros(4, 2), (1, 9), "corners", "at least 2 pixels"),
        (torch.zeros(4, 2), (9, 9), "middle", "expected 'corners', 'edges' or 'plain', got 'middle'"),
    ],
)
def test_rescaling_mistakes(xy, wh, rule, message):
    with pytest.raises(ValueError, match=message):
        rescale_points(xy, wh, (20, 10), rule)


@pytest.mark.parametrize(
    ("size", "wh", "margin", "count", "first", "last"),
    [
        (3, (64, 48), None, 9, (1.0, 1.0), (62.0, 46.0)),
        ((4, 2), (101, 51), 0.0, 8, (0.0, 0.0), (100.0, 50.0)),
        (1, (101, 51), None, 1, (50.0, 25.0), (50.0, 25.0)),
        ((1, 3), (101, 51), 5.0, 3, (50.0, 5.0), (50.0, 45.0)),
        (2, (5, 4), 100.0, 4, (2.0, 1.5), (2.0, 1.5)),
    ],
)
def test_grid(size, wh, margin, count, first, last):
    points = grid_points(size, wh, margin)
    assert points.shape == (count, 2)
    torch.testing.assert_close(points[0], torch.tensor(first))
    torch.testing.assert_close(points[-1], torch.tensor(last))
    assert inside_image(points, wh).all()


def test_grid_runs_along_x_first_and_refuses_nothing_per_side():
    points = grid_points((3, 2), (60, 40))
    assert points[0, 1] == points[1, 1] == points[2, 1] < points[3, 1]
    with pytest.raises(ValueError, match="at least 1 point per side, got 0 x 3"):
        grid_points((0, 3), (60, 40))


def test_sampling_is_bilinear_inside_and_repeats_the_border_outside():
    x, y = torch.meshgrid(torch.arange(7.0), torch.arange(5.0), indexing="xy")
    maps = torch.stack([x, 10 * y])[None]
    xy = torch.tensor([[[[2.25, 3.5], [6.0, 4.0]], [[-3.0, 2.0], [99.0, 99.0]]]])
    expected = torch.tensor([[[[2.25, 35.0], [6.0, 40.0]], [[0.0, 20.0], [6.0, 40.0]]]])
    torch.testing.assert_close(sample_features(maps, xy), expected)
    one_cell = torch.full((1, 3, 1, 1), 4.0)
    torch.testing.assert_close(
        sample_features(one_cell, torch.tensor([[[0.0, 0.0], [5.0, -2.0]]])), torch.full((1, 2, 3), 4.0)
    )


@pytest.mark.parametrize(
    ("xy", "expected"),
    [
        ((0.0, 0.0), True),
        ((-0.5, -0.5), True),
        ((63.5, 47.5), True),
        ((63.6, 20.0), False),
        ((20.0, 47.6), False),
        ((-0.6, 20.0), False),
        ((50.0, 60.0), False),  # inside only if width and height were mixed up
        ((NAN, 20.0), False),
    ],
)
def test_inside_image(xy, expected):
    assert bool(inside_image(torch.tensor(xy), (64, 48))) is expected


def test_doctests():
    assert doctest.testmod(pointtrack.geometry).failed == 0


def test_the_grid_is_the_published_one():
    grid = published_grid(3, (512, 384))
    assert grid[:4].tolist() == [[8, 8], [256, 8], [504, 8], [8, 192]] and grid[-1].tolist() == [504, 376]
    assert published_grid(1, (512, 384), centre=(3, 4)).tolist() == [[256, 192]]
    local = published_grid(8, (50, 50), centre=(10, 20))
    assert torch.allclose(local[0], torch.tensor([10 - 25 + 50 / 64, 20 - 25 + 50 / 64]))
