import numpy as np
import pytest

from train.kubric.geometry import Pinhole, barycentric, bilinear, in_image, pick_spread, share_out


@pytest.fixture
def lens():
    """Stands at (0, 0, 5) and looks straight down; 100 px of focal length."""
    pose = np.eye(4)
    pose[2, 3] = 5
    return Pinhole(pose, 100.0, (64, 48))


def test_projection_by_hand(lens):
    xy, front = lens.project(np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 6]], float))
    # 1 m at 5 m is 20 px; y up in the world is up in the picture, which counts downwards.
    np.testing.assert_allclose(xy[:3], [[31.5, 23.5], [51.5, 23.5], [31.5, 3.5]])
    assert front.tolist() == [True, True, True, False]
    assert np.isfinite(xy).all()


def test_rays_lead_back_to_their_pixels(lens):
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    lens.pose[:3, :3] = turn * np.sign(np.linalg.det(turn))
    xy = np.random.default_rng(1).uniform(0, 48, (20, 2))
    rays = lens.directions(xy)
    np.testing.assert_allclose(np.linalg.norm(rays, axis=1), 1)
    back, front = lens.project(lens.place + 3.7 * rays)
    assert front.all()
    np.testing.assert_allclose(back, xy)


def test_picture_reaches_half_a_pixel_beyond_the_centres():
    xy = np.array([[-0.5, 0], [-0.51, 0], [63.49, 47.49], [63.5, 0], [0, 47.5]])
    assert in_image(xy, (64, 48)).tolist() == [True, False, True, False, False]


def test_weights_make_the_point():
    generator = np.random.default_rng(0)
    corners, weights = generator.normal(size=(30, 3, 3)), generator.dirichlet((1, 1, 1), 30)
    points = np.einsum("nk,nkc->nc", weights, corners)
    np.testing.assert_allclose(barycentric(corners, points), weights, atol=1e-9)


def test_point_beside_the_plane_and_empty_triangle():
    corners = np.array([[[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[2, 2, 2]] * 3], float)
    weights = barycentric(corners, np.array([[0.25, 0.5, 9.0], [5, 5, 5]]))
    np.testing.assert_allclose(weights, [[0.25, 0.25, 0.5], [1, 0, 0]])


def test_spread_points_are_distinct_and_far_apart():
    grid = np.stack(np.meshgrid(np.arange(20), np.arange(20)), -1).reshape(-1, 2).astype(float)
    chosen = pick_spread(grid, 16, np.random.default_rng(0))
    assert len(set(chosen.tolist())) == 16
    away = np.linalg.norm(grid[chosen][:, None] - grid[chosen], axis=-1) + 99 * np.eye(16)
    assert away.min() >= 2
    assert sorted(pick_spread(grid[:3], 9, np.random.default_rng(0)).tolist()) == [0, 1, 2]
    assert len(pick_spread(grid[:0], 9, np.random.default_rng(0))) == 0


@pytest.mark.parametrize("sizes", [(4000, 900, 100, 3, 0), (5000,), (20, 20), (0, 0), (1000, 999, 998, 997)])
def test_shares_add_up(sizes):
    sizes = np.array(sizes)
    given = share_out(100, sizes, 0.3)
    assert given.sum() == min(100, sizes.sum())
    assert (given <= sizes).all()


def test_large_objects_do_not_take_everything():
    given = share_out(100, np.array((90000, 400, 400, 400)), 0.3)
    assert given[0] <= 30 and given[1:].min() >= 20


def test_bilinear_is_exact_on_a_plane():
    y, x = np.mgrid[:6, :8]
    image = np.stack([2 * x + 3 * y, x - y], -1).astype(float)
    xy = np.array([[0, 0], [7, 5], [2.25, 3.5], [6.9, 0.1]])
    expected = np.stack([2 * xy[:, 0] + 3 * xy[:, 1], xy[:, 0] - xy[:, 1]], 1)
    np.testing.assert_allclose(bilinear(image, xy), expected)
    np.testing.assert_allclose(bilinear(image, np.array([[-3.0, 9.0]])), [[15, -5]])
