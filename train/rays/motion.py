"""Motion of things in space: rotations as matrices, and the flight of thrown things."""

from __future__ import annotations

import math

import numpy as np

from train.kubric.plan import ThingPlan

STEPS_PER_SECOND = 240
SLOWED = 0.6  # share of its spin that a thing keeps when it hits the floor


def turn(euler: np.ndarray) -> np.ndarray:
    """(3,) radians about x, then y, then z -> (3, 3) matrix."""
    (a, b, c), (s, t, u) = np.cos(euler), np.sin(euler)
    about_x = np.array(((1, 0, 0), (0, a, -s), (0, s, a)))
    about_y = np.array(((b, 0, t), (0, 1, 0), (-t, 0, b)))
    about_z = np.array(((c, -u, 0), (u, c, 0), (0, 0, 1)))
    return about_z @ about_y @ about_x


def turn_about(vector: np.ndarray) -> np.ndarray:
    """(3, 3) matrix of a turn about a vector (3,), by its length in radians (Rodrigues' formula)."""
    angle = float(np.linalg.norm(vector))
    if angle == 0:
        return np.eye(3)
    x, y, z = vector / angle
    cross = np.array(((0, -z, y), (z, 0, -x), (-y, x, 0)))
    return np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross


class Flight:
    """A thing that is thrown, falls and bounces off the floor at height 0; it flies through other things.

    Args:
        plan: its start, speed, spin and bounce.
        radius: metres from its centre to the part that touches the floor.
        gravity: metres per second squared along z.
        seconds: duration, from one frame before the clip on.
        before: seconds before the clip from which the flight is known.
    """

    def __init__(self, plan: ThingPlan, radius: float, gravity: float, seconds: float, before: float) -> None:
        self.before = before
        step = 1 / STEPS_PER_SECOND
        place, velocity = np.array(plan.position, float), np.array(plan.velocity, float)
        spin, pose = np.array(plan.spin, float), turn(np.array(plan.euler, float))
        # It also falls before the clip begins.
        place = place - velocity * before + (0, 0, gravity * before**2 / 2)
        velocity[2] -= gravity * before
        self.places, self.poses = [place.copy()], [pose]
        for _ in range(math.ceil((before + seconds) * STEPS_PER_SECOND) + 1):
            velocity[2] += gravity * step
            place = place + velocity * step
            if place[2] < radius and velocity[2] < 0:
                place[2] = radius
                velocity *= (1 - 0.3 * plan.friction, 1 - 0.3 * plan.friction, -plan.bounce)
                spin = spin * SLOWED
            pose = turn_about(spin * step) @ pose
            self.places.append(place.copy())
            self.poses.append(pose)

    def at(self, seconds: float) -> tuple[np.ndarray, np.ndarray]:
        """Rotation (3, 3) and position (3,) at a moment, 0 for the first frame."""
        step = np.clip((seconds + self.before) * STEPS_PER_SECOND, 0, len(self.places) - 1.001)
        low, share = int(step), step - int(step)
        place = (1 - share) * self.places[low] + share * self.places[low + 1]
        return self.poses[low], place
