"""Plans of clips rendered with rays: often creatures that walk before the camera, else a plan of train/kubric."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from train.kubric.cameras import draw_camera, triple
from train.kubric.plan import Assets, ClipPlan, RenderSettings, ThingPlan, make_plan

WALKS = 0.6  # share of the clips that feature creatures
PHOTOGRAPHS = 0.8  # share of the patterns that photographs replace, if there are any
NEARER = (0.45, 0.95)  # distance of a camera that films creatures, as a share of the usual one
STEPS = 0.9  # fastest walk, in lengths of the creature per second
MIDDLE = np.array((0, 0, 0.5))  # metres: centre of a creature, above the point where it stands
CLUTTER = 0.3  # share of a plan's usual things that stay beside creatures


def make_ray_plan(settings: RenderSettings, assets: Assets, index: int) -> ClipPlan:
    """Draws the plan of clip `index`; the same arguments give the same plan, and clips are independent."""
    plan = make_plan(settings, assets, index)
    generator = np.random.default_rng([settings.seed, index, 77])
    if generator.random() < WALKS:
        _walk(plan, settings, generator)
    if assets.textures:
        plan.things = [
            replace(thing, appearance=f"picture:{generator.choice(assets.textures)}")
            if not thing.appearance.startswith("picture:") and generator.random() < PHOTOGRAPHS
            else thing
            for thing in plan.things
        ]
    return plan


def _walk(plan: ClipPlan, settings: RenderSettings, generator: np.random.Generator) -> None:
    """Puts one to three creatures into the middle of a plan, takes most else away, and brings the camera nearer."""
    seconds = settings.frames / plan.fps
    creatures = [_creature(seconds, generator) for _ in range(int(generator.choice((1, 1, 2, 3))))]
    looks = [thing.appearance for thing in plan.things if thing.role != "background"]
    for creature in creatures:
        creature.appearance = str(generator.choice(looks)) if looks else "cells"
    kept = [thing for thing in plan.things if thing.role == "background" or generator.random() < CLUTTER]
    plan.things = kept[:1] + creatures + kept[1:]
    camera = draw_camera(
        [(np.array(c.position) + MIDDLE, np.array(c.velocity)) for c in creatures], generator
    )
    target, target_end = (np.array(place) for place in (camera.target_start, camera.target_end))
    share = generator.uniform(*NEARER)
    # Usually, it looks at the position of the first creature at the middle of the clip.
    if generator.random() < 0.7:
        way = np.array(creatures[0].velocity) * seconds
        target = np.array(creatures[0].position) + way * generator.uniform(0.2, 0.5) + MIDDLE
        target_end = target + way * generator.uniform(0, 0.8)
    camera.start = triple(target + share * (np.array(camera.start) - target))
    camera.end = triple(target_end + share * (np.array(camera.end) - target_end))
    camera.target_start, camera.target_end = triple(target), triple(target_end)
    plan.camera = camera


def _creature(seconds: float, generator: np.random.Generator) -> ThingPlan:
    size = float(generator.uniform(1.4, 2.8))
    heading = generator.uniform(-math.pi, math.pi)
    way = generator.uniform(0, STEPS) * size * np.array((math.cos(heading), math.sin(heading), 0))
    middle = np.array((generator.uniform(-1.2, 1.2), generator.uniform(-0.8, 1.5), 0))
    return ThingPlan(
        "deforming",
        "creature",
        size,
        triple(middle - way * seconds / 2),
        (0.0, 0.0, float(heading)),
        "",
        int(generator.integers(2**31)),
        velocity=triple(way),
        spin=(0.0, 0.0, float(generator.normal(0, 0.3))),
    )
