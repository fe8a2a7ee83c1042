import numpy as np
import pytest

from train.kubric.plan import ThingPlan
from train.rays.motion import Flight, turn, turn_about


def thrown(**changes):
    plan = {"velocity": (1.0, 0.0, 2.0), "spin": (0.0, 0.0, 3.0), "bounce": 0.5, "friction": 0.5} | changes
    return ThingPlan("rigid", "box", 0.5, (0.0, 0.0, 1.0), (0.0, 0.0, 0.0), "cells", 0, **plan)


def test_turns_are_about_x_then_y_then_z():
    quarter = np.pi / 2
    np.testing.assert_allclose(turn(np.array((quarter, 0, 0))) @ (0, 0, 1), (0, -1, 0), atol=1e-12)
    np.testing.assert_allclose(turn(np.array((0, 0, quarter))) @ (0, -1, 0), (1, 0, 0), atol=1e-12)
    # z goes to -y, stays there, and goes on to x.
    np.testing.assert_allclose(turn(np.array((quarter, 0.3, quarter))) @ (0, 0, 1), (1, 0, 0), atol=1e-12)


@pytest.mark.parametrize("axis", range(3))
def test_a_turn_about_an_axis_is_the_turn_of_its_name(axis):
    angles = np.zeros(3)
    angles[axis] = 0.7
    np.testing.assert_allclose(turn_about(angles), turn(angles), atol=1e-12)


def test_no_turn_is_none():
    np.testing.assert_array_equal(turn_about(np.zeros(3)), np.eye(3))


def test_what_is_thrown_starts_where_the_plan_says_and_falls():
    flight = Flight(thrown(), 0.2, -9.81, 1.0, 1 / 24)
    assert np.linalg.norm(flight.at(0)[1] - (0, 0, 1)) < 0.01
    # Before it hits the floor: x = v t, z = 1 + v t - g t² / 2.
    np.testing.assert_allclose(flight.at(0.4)[1], (0.4, 0, 1 + 0.8 - 9.81 * 0.08), atol=0.03)


def test_it_bounces_lower_every_time_and_never_sinks():
    flight = Flight(thrown(), 0.2, -9.81, 4.0, 0.0)
    heights = np.array([flight.at(t)[1][2] for t in np.linspace(0, 4, 400)])
    assert heights.min() >= 0.2
    peaks = heights[1:-1][(heights[1:-1] > heights[:-2]) & (heights[1:-1] >= heights[2:])]
    assert len(peaks) > 2 and (np.diff(peaks[:3]) < 0).all()


def test_poses_stay_turns():
    pose = Flight(thrown(spin=(5.0, -3.0, 2.0)), 0.2, -9.81, 2.0, 0.0).at(2.0)[0]
    np.testing.assert_allclose(pose @ pose.T, np.eye(3), atol=1e-9)
