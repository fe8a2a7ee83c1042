import numpy as np
import pytest

from train.rays.surface import Surface, make_surface, mirrored_lookup


@pytest.fixture
def picture():
    return np.random.default_rng(0).uniform(0, 1, (20, 30, 3)).astype(np.float32)


def test_whole_places_are_pixels(picture):
    places = np.array(((0, 0), (29, 19), (7, 3)), float)
    np.testing.assert_allclose(mirrored_lookup(picture, places), picture[(0, 19, 3), (0, 29, 7)], atol=1e-5)


def test_beyond_its_edges_a_picture_is_mirrored_however_far(picture):
    inside = np.array(((5.5, 3.25),))
    mirrored = inside * (-1, 1)
    far = inside + np.array((2 * 29, 2 * 19)) * 1000
    for places in (mirrored, far):
        np.testing.assert_allclose(
            mirrored_lookup(picture, places), mirrored_lookup(picture, inside), atol=1e-3
        )


def test_more_places_than_opencv_takes_at_once(picture):
    places = np.random.default_rng(1).uniform(0, 19, (70_001, 2))
    found = mirrored_lookup(picture, places)
    assert found.shape == (70_001, 3)
    np.testing.assert_allclose(found[-3:], mirrored_lookup(picture, places[-3:]), atol=1e-6)
    assert mirrored_lookup(picture, places[:0]).shape == (0, 3)


def test_far_away_a_pattern_is_its_mean_and_does_not_flicker():
    checks = (np.indices((64, 64)).sum(0) % 2).astype(np.uint8)[..., None].repeat(3, 2) * 255
    surface = make_surface(checks, 1.0, False, True, np.random.default_rng(2))
    places = np.random.default_rng(3).uniform(0, 1, (500, 2))
    near = surface.look_up(places, np.full(500, surface.metres / 10_000))
    far = surface.look_up(places, np.full(500, surface.metres))
    assert far.std(0).mean() < 0.2 * near.std(0).mean()


def test_a_side_shows_the_plane_it_lies_in():
    ramp = np.linspace(0, 1, 101, dtype=np.float32)[None, :, None].repeat(51, 0).repeat(3, 2)
    surface = Surface([ramp], 1.0, 0.0, 1.0, False)
    places, footprint = np.array(((0.2, 0.5, 0.3),)), np.array((1e-4,))
    # Along the first axis of the plane: y where x is the normal, x for the others.
    for normal, expected in (((1, 0, 0), 0.5), ((0, 1, 0), 0.2), ((0, 0, -1), 0.2)):
        found = surface.colours(places, np.array((normal,), float), footprint)[0, 0]
        assert abs(abs(1 - found) - expected) < 0.02 or abs(found - expected) < 0.02
