"""Position, target and hand-held shake of a clip's camera."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

CAMERAS = ("still", "slide", "arc", "dolly", "follow")


@dataclass
class CameraPlan:
    """A camera that moves straight from a first to a last position, always aimed at a moving target.

    Attributes:
        kind: one of CAMERAS, for the record.
        start, end: positions in metres.
        target_start, target_end: positions that it looks at, in metres.
        lens_mm: focal length at the start and the end, on a sensor 36 mm wide.
        shake_m: how far the shake moves position and target.
        shake_hz: frequencies of the shake.
        shake_phase: (5, frequencies) radians; three for the position, two for the target.
        roll: radians, at the start and the end.
    """

    kind: str
    start: tuple[float, float, float]
    end: tuple[float, float, float]
    target_start: tuple[float, float, float]
    target_end: tuple[float, float, float]
    lens_mm: tuple[float, float]
    shake_m: float
    shake_hz: tuple[float, ...]
    shake_phase: list[list[float]]
    roll: tuple[float, float]


def draw_camera(moving: list[tuple[np.ndarray, np.ndarray]], generator: np.random.Generator) -> CameraPlan:
    """Draws a camera path about 5 m from the middle.

    Args:
        moving: position and velocity (3,) of each thing that a camera might follow; at least one.
        generator: source of all random choices.
    """
    kind = str(generator.choice(CAMERAS, p=(0.15, 0.25, 0.25, 0.15, 0.2)))
    heading, height = generator.uniform(-0.8, 0.8), generator.uniform(0.5, 3.2)
    distance = generator.uniform(3.8, 6.8)

    def at(angle: float, away: float, up: float) -> np.ndarray:
        return np.array((away * math.sin(angle), -away * math.cos(angle), up))

    start = end = at(heading, distance, height)
    target = np.array((0, 0.2, generator.uniform(0.5, 1.2))) + generator.normal(0, 0.25, 3)
    target_end = target + generator.normal(0, 0.3, 3) * (kind != "still")
    if kind == "slide":
        end = start + generator.normal(0, 1.0, 3) * (1, 0.5, 0.4)
    elif kind == "arc":
        end = at(heading + generator.uniform(-0.9, 0.9), distance, height + generator.normal(0, 0.4))
    elif kind == "dolly":
        end = at(heading, distance * generator.uniform(0.6, 1.4), height)
    elif kind == "follow":
        # Turns to follow one of the things, as a person filming it would.
        place, velocity = moving[int(generator.integers(len(moving)))]
        target = 0.4 * target + 0.6 * np.array(place)
        target_end = target + np.array(velocity) * (0.4, 0.4, 0)
    end[2] = max(end[2], 0.3)
    lens = generator.uniform(28, 50)
    hz = (0.9, 2.1, 3.7, 6.1)
    return CameraPlan(
        kind,
        triple(start),
        triple(end),
        triple(target),
        triple(target_end),
        (
            float(lens),
            float(lens * generator.uniform(0.85, 1.2)) if generator.random() < 0.3 else float(lens),
        ),
        0.0
        if generator.random() < 0.35
        else float(np.exp(generator.uniform(math.log(0.004), math.log(0.05)))),
        hz,
        generator.uniform(0, 2 * math.pi, (5, len(hz))).tolist(),
        (float(generator.normal(0, 0.05)), float(generator.normal(0, 0.05))),
    )


def camera_at(
    plan: CameraPlan, progress: float, seconds: float
) -> tuple[np.ndarray, np.ndarray, float, float]:
    """The camera at a moment: position (3,), target (3,) in metres, roll in radians, lens in mm.

    `progress` runs from 0 at the first frame to 1 at the last and may lie a little outside that range.
    """
    eased = progress * progress * (3 - 2 * progress) if 0 <= progress <= 1 else progress
    hz = np.array(plan.shake_hz)
    wobble = (np.sin(2 * math.pi * hz * seconds + np.array(plan.shake_phase)) / np.sqrt(hz)).sum(1)
    mix = lambda a, b: np.array(a) + eased * (np.array(b) - np.array(a))  # noqa: E731
    place = mix(plan.start, plan.end) + plan.shake_m * wobble[:3]
    target = mix(plan.target_start, plan.target_end) + plan.shake_m * np.array((wobble[3], 0, wobble[4]))
    return place, target, float(mix(*plan.roll)), float(mix(*plan.lens_mm))


def triple(values: np.ndarray) -> tuple[float, float, float]:
    """Converts to plain floats, for JSON."""
    x, y, z = (float(v) for v in values)
    return x, y, z
