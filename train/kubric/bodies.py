"""Things that bend: meshes whose corners are a plain function of time, so that frames are independent.

All kinds are sheets or swept tubes (shapes.py), and the triangles never change. A creature is a spine with
walking legs, which gives a tracker thin limbs, self-occlusion and skin.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from train.kubric.shapes import join, round_ends, sheet, sweep, tube_triangles

Motion = Callable[[float], np.ndarray]


@dataclass
class Body:
    """A deforming mesh.

    Attributes:
        triangles: (f, 3) int64.
        at: seconds -> (v, 3) corners in the body's own axes, metres.
        height: height of its origin above the floor; None if the plan sets it.
    """

    triangles: np.ndarray
    at: Motion
    height: float | None = None


def make_body(kind: str, size: float, generator: np.random.Generator) -> Body:
    """A "cloth", "tube", "blob" or "creature" about `size` metres long, with its own rhythm."""
    makers = {"cloth": _cloth, "tube": _tube, "blob": _blob, "creature": _creature}
    if kind not in makers:
        raise ValueError(f"body: expected one of {', '.join(makers)}, got {kind!r}")
    return makers[kind](size, generator)


def _cloth(size: float, generator: np.random.Generator) -> Body:
    """Hangs from its upper edge; waves run through it and grow towards the lower edge."""
    height = size * generator.uniform(0.6, 1.0)
    rest, triangles = sheet(size, height, (64, 48))
    drop = (height / 2 - rest[:, 2]) / height
    # Two waves: waves per metre, radians per second, metres.
    waves = generator.normal(0, 4.0 / size, (2, 2))
    speeds = generator.uniform(2, 7, 2) * generator.choice((-1, 1), 2)
    phases = generator.uniform(0, 2 * math.pi, 2)
    depth = size * generator.uniform(0.04, 0.13) * np.array((1, 0.4))
    sway, sway_speed = size * generator.uniform(0, 0.12), generator.uniform(1.5, 4)

    def at(seconds: float) -> np.ndarray:
        bent = rest.copy()
        for wave, speed, phase, amount in zip(waves, speeds, phases, depth, strict=True):
            bent[:, 1] += amount * drop**0.7 * np.sin(rest[:, [0, 2]] @ wave + phase - speed * seconds)
        bent[:, 0] += sway * drop**1.5 * math.sin(sway_speed * seconds + phases[0])
        return bent

    return Body(triangles, at)


def _tube(size: float, generator: np.random.Generator) -> Body:
    """Bends from side to side, like a snake or a hose, and twists about itself."""
    rings, sides = 90, 40
    share = np.linspace(0, 1, rings)
    radius = round_ends(share, size, size * generator.uniform(0.06, 0.14))
    bend, wave, twist = generator.uniform(0.4, 1.1), generator.uniform(0.2, 0.7), generator.uniform(0, 1.6)
    speeds, phases = generator.uniform(1.5, 5, 3), generator.uniform(0, 2 * math.pi, 3)

    def at(seconds: float) -> np.ndarray:
        turn = bend * math.sin(speeds[0] * seconds + phases[0]) * (2 * share - 1)
        turn = turn + wave * np.sin(2 * math.pi * share - speeds[1] * seconds + phases[1])
        return sweep(
            _walk(turn, size),
            radius,
            np.array((0, 0, 1.0)),
            sides,
            twist * math.sin(speeds[2] * seconds + phases[2]) * (share - 0.5),
        )

    return Body(tube_triangles(rings, sides), at)


def _walk(turn: np.ndarray, length: float) -> np.ndarray:
    """(m,) headings in the xy plane -> (m, 3) curve of a given length, centred."""
    step = length / (len(turn) - 1) * np.stack([np.cos(turn), np.sin(turn), np.zeros(len(turn))], 1)
    curve = np.concatenate([np.zeros((1, 3)), np.cumsum(step[:-1] / 2 + step[1:] / 2, axis=0)])
    return curve - curve.mean(0)


def _blob(size: float, generator: np.random.Generator) -> Body:
    """A ball that breathes, leans and bulges."""
    rings, sides = 60, 72
    polar = np.linspace(0.01, math.pi - 0.01, rings)
    curve = np.stack([0 * polar, 0 * polar, -np.cos(polar)], 1)
    ball = sweep(curve, np.sin(polar), np.array((1.0, 0, 0)), sides) * size / 2
    ball *= generator.uniform(0.7, 1.0, 3)
    waves = generator.normal(0, 3.0 / size, (4, 3))
    amounts, speeds = generator.uniform(0.03, 0.11, 4), generator.uniform(2, 6, 4)
    phases = generator.uniform(0, 2 * math.pi, 4)
    lean, lean_speed = generator.uniform(0, 0.3), generator.uniform(1.5, 4)

    def at(seconds: float) -> np.ndarray:
        swell = 1 + np.sin(ball @ waves.T + phases + speeds * seconds) @ amounts
        bent = ball * swell[:, None]
        bent[:, 0] += lean * bent[:, 2] * math.sin(lean_speed * seconds + phases[0])
        return bent

    return Body(tube_triangles(rings, sides), at)


def _creature(size: float, generator: np.random.Generator) -> Body:
    """Walks along +x: a spine with neck and tail that sways, and legs that swing from hip and knee."""
    legs = int(generator.choice((2, 4, 4, 4, 6)))
    girth = size * generator.uniform(0.09, 0.16)
    leg_length, leg_radius = size * generator.uniform(0.35, 0.6), size * generator.uniform(0.022, 0.05)
    rhythm = generator.uniform(4, 9)
    stride, knee = generator.uniform(0.25, 0.6), generator.uniform(0.3, 0.9)
    sway, bob = generator.uniform(0.05, 0.3), size * generator.uniform(0.01, 0.04)
    neck_up, tail_up = generator.uniform(0.1, 1.0), generator.uniform(-0.5, 0.7)
    rings, sides = 70, 32
    share = np.linspace(0, 1, rings)
    # Tail, trunk, neck, head: thickness as a share of the girth.
    profile = np.interp(
        share,
        (0, 0.04, 0.25, 0.35, 0.6, 0.72, 0.86, 0.93, 1),
        (0.02, 0.15, 0.3, 1.0, 1.05, 0.55, 0.45, 0.6, 0.05),
    )
    # The corners are left out, since shoulders are round.
    profile = np.convolve(np.pad(profile, 4, mode="edge"), np.ones(9) / 9, mode="valid")
    rise = size * (
        neck_up * 0.35 * np.clip((share - 0.65) / 0.25, 0, 1) ** 1.5
        + tail_up * 0.3 * np.clip((0.3 - share) / 0.3, 0, 1) ** 1.5
    )
    pairs = max(legs // 2, 1)
    hips = np.linspace(0.36, 0.6, pairs) if pairs > 1 else np.array((0.48,))
    phases = generator.uniform(-0.3, 0.3, (pairs, 2)) + np.arange(pairs)[:, None] * math.pi + (0, math.pi)

    def spine(seconds: float) -> np.ndarray:
        side = (
            sway
            * size
            * 0.25
            * np.sin(2.2 * math.pi * share - rhythm * seconds)
            * (0.3 + np.abs(share - 0.45))
        )
        up = rise + bob * math.sin(2 * rhythm * seconds)
        nod = 0.05 * size * math.sin(0.7 * rhythm * seconds) * np.clip((share - 0.7) / 0.3, 0, 1)
        wag = 0.12 * size * math.sin(1.3 * rhythm * seconds) * np.clip((0.3 - share) / 0.3, 0, 1) ** 2
        return np.stack([size * (share - 0.5), side + wag, up + nod], 1)

    def at(seconds: float) -> np.ndarray:
        back = spine(seconds)
        parts = [sweep(back, girth * profile, np.array((0, 1.0, 0)), sides)]
        for pair, hip in enumerate(hips):
            for side in (0, 1):
                swing = math.sin(rhythm * seconds + phases[pair, side])
                lift = max(math.cos(rhythm * seconds + phases[pair, side]), 0.0)
                top = back[round(hip * (rings - 1))] + (0, (side - 0.5) * 1.3 * girth, 0)
                parts.append(_leg(top, leg_length, leg_radius, stride * swing, knee * lift))
        return np.concatenate(parts)

    trunk = (np.empty((rings * sides + 2, 3)), tube_triangles(rings, sides))
    leg = (np.empty((LEG_RINGS * LEG_SIDES + 2, 3)), tube_triangles(LEG_RINGS, LEG_SIDES))
    return Body(join([trunk] + [leg] * (2 * pairs))[1], at, height=leg_length + bob)


LEG_RINGS, LEG_SIDES = 36, 16


def _leg(top: np.ndarray, length: float, radius: float, swing: float, bend: float) -> np.ndarray:
    """Corners of a leg that hangs from `top`: `swing` radians forward at the hip, `bend` back at the knee."""
    share = np.linspace(0, 1, LEG_RINGS)
    # The knee is a short arc, so that the skin folds instead of breaking.
    angle = swing - bend * np.clip((share - 0.4) / 0.2, 0, 1)
    # The foot points forward.
    angle = angle + 1.2 * np.clip((share - 0.88) / 0.06, 0, 1)
    step = length / (LEG_RINGS - 1) * np.stack([np.sin(angle), 0 * angle, -np.cos(angle)], 1)
    curve = top + np.concatenate([np.zeros((1, 3)), np.cumsum(step[1:], axis=0)])
    return sweep(
        curve, round_ends(share, length, radius) * (1.5 - 0.7 * share), np.array((0, 1.0, 0)), LEG_SIDES
    )
