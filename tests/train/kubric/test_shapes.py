from collections import Counter

import numpy as np
import pytest

from train.kubric.bodies import make_body
from train.kubric.shapes import occluder, rod, round_ends, sheet, sweep, tube_triangles

BODIES = ("cloth", "tube", "blob", "creature")


def edges(triangles):
    """Directed edges of all triangles, counted."""
    return Counter(tuple(pair) for a, b in ((0, 1), (1, 2), (2, 0)) for pair in triangles[:, [a, b]].tolist())


def volume(vertices, triangles):
    a, b, c = vertices[triangles].transpose(1, 0, 2)
    return np.einsum("nc,nc->n", a, np.cross(b, c)).sum() / 6


def closed(triangles):
    """Every edge is used once in either direction."""
    counted = edges(triangles)
    return all(count == 1 and counted[b, a] == 1 for (a, b), count in counted.items())


def test_straight_tube_has_a_cylinders_size():
    curve = np.linspace((0, 0, 0), (0, 0, 2), 5)
    vertices = sweep(curve, np.full(5, 0.5), np.array((1.0, 0, 0)), 64)
    triangles = tube_triangles(5, 64)
    assert closed(triangles)
    assert volume(vertices, triangles) == pytest.approx(np.pi * 0.25 * 2, rel=0.01)
    np.testing.assert_allclose(vertices[0], (0.5, 0, 0))


def test_twist_turns_the_rings():
    curve = np.linspace((0, 0, 0), (0, 0, 2), 3)
    vertices = sweep(curve, np.ones(3), np.array((1.0, 0, 0)), 4, twist=np.array((0, np.pi / 4, np.pi / 2)))
    np.testing.assert_allclose(vertices[8], (0, 1, 2), atol=1e-12)


def test_rod_ends_are_round():
    vertices, triangles = rod(np.zeros(3), np.array((0, 0, 1.0)), 0.05)
    assert closed(triangles)
    assert np.abs(vertices[:, :2]).max() == pytest.approx(0.05, rel=0.01)
    np.testing.assert_allclose((vertices[:, 2].min(), vertices[:, 2].max()), (0, 1), atol=0.01)
    assert round_ends(np.array((0, 0.5, 1)), 1.0, 0.1).round(3).tolist() == [0.001, 0.1, 0.001]


def test_sheet_faces_forward():
    vertices, triangles = sheet(2, 1, (3, 2))
    a, b, c = vertices[triangles].transpose(1, 0, 2)
    normals = np.cross(b - a, c - a)
    assert len(vertices) == 12 and len(triangles) == 12
    assert (normals[:, 1] < 0).all() and normals[:, 1].sum() == pytest.approx(-2 * 2)


@pytest.mark.parametrize("kind", ["rods", "grid", "branches"])
def test_occluders_are_thin_closed_and_as_large_as_asked(kind):
    vertices, triangles = occluder(kind, 1.0, np.random.default_rng(3))
    assert closed(triangles)
    width, depth, height = np.ptp(vertices, axis=0)
    assert 0 < volume(vertices, triangles) < 0.02
    assert 0.5 < height < 3 and depth < 1


@pytest.mark.parametrize("kind", BODIES)
def test_bodies_bend_smoothly_and_keep_their_triangles(kind):
    body = make_body(kind, 2.0, np.random.default_rng(1))
    now, soon, later = body.at(0.3), body.at(0.301), body.at(0.8)
    assert body.triangles.max() == len(now) - 1
    assert np.isfinite(later).all()
    edge = lambda v: np.linalg.norm(v[body.triangles[:, 0]] - v[body.triangles[:, 1]], axis=1)  # noqa: E731
    # It deforms, which no rigid motion does: edges change their lengths.
    assert np.abs(edge(later) - edge(now)).max() > 1e-3
    # And no corner jumps: a limb of 2 m does not move by more than 3 cm in a thousandth of a second.
    assert np.linalg.norm(soon - now, axis=1).max() < 0.03
    np.testing.assert_array_equal(body.at(0.3), now)
    assert np.ptp(now, axis=0).max() == pytest.approx(2.0, rel=0.35)
    if kind != "cloth":
        assert closed(body.triangles) and volume(now, body.triangles) > 0


def test_creature_stands_on_its_feet():
    for seed in range(5):
        body = make_body("creature", 2.0, np.random.default_rng(seed))
        lowest = min(body.at(t)[:, 2].min() for t in np.linspace(0, 2, 12)) + body.height
        assert -0.1 < lowest < 0.35


def test_unknown_kinds_are_named():
    with pytest.raises(ValueError, match="got 'bush'"):
        occluder("bush", 1.0, np.random.default_rng(0))
    with pytest.raises(ValueError, match="got 'snail'"):
        make_body("snail", 1.0, np.random.default_rng(0))
