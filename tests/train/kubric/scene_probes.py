"""Runs in the Kubric environment: builds a small scene and prints what test_scene.py asks for, one JSON line.

Usage: python -m tests.train.kubric.scene_probes FOLDER, with thing.obj and GSO.json in the folder.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np

from train.kubric.bodies import make_body
from train.kubric.cameras import CameraPlan
from train.kubric.check import problems, self_check
from train.kubric.geometry import bilinear, in_image
from train.kubric.layers import render_layers
from train.kubric.patches import import_kubric
from train.kubric.plan import ClipPlan, RenderSettings, ThingPlan
from train.kubric.scene import SceneBuilder
from train.kubric.tracks import PosedScene, Tracks, make_tracks

FRAMES, SIZE = 3, 96


def small_plan(folder: Path) -> ClipPlan:
    """A floor, a falling mesh of a user, one of Kubric's own, a tube that bends while it turns, and rods."""
    camera = CameraPlan(
        "arc",
        (0, -5, 1.5),
        (1, -5, 1.5),
        (0, 0, 0.8),
        (0.1, 0, 0.8),
        (35, 42),
        0.01,
        (1.0,),
        [[0.5]] * 5,
        (0, 0.1),
    )
    things = [
        ThingPlan("background", "floor", 15, (0, 0, -15), (0, 0, 0), "cells", 1),
        ThingPlan(
            "rigid",
            f"mesh:{folder / 'thing.obj'}",
            1.0,
            (-1, 0, 1.2),
            (0.3, 0, 0),
            "bands",
            2,
            spin=(0, 3, 1),
        ),
        ThingPlan("rigid", f"kubric:{folder / 'GSO.json'}:cup", 0.8, (1.2, 0, 1.5), (0, 0, 0), "plain", 3),
        ThingPlan(
            "deforming",
            "tube",
            1.8,
            (0, 0.5, 0.7),
            (0, 0.3, 0.2),
            "dots",
            4,
            velocity=(0.5, 0, 0),
            spin=(0, 0, 1),
        ),
        ThingPlan("occluder", "rods", 1.0, (0, -2.5, 1), (0, 0, 0), "veins", 5),
    ]
    return ClipPlan(0, 0, 12, 0.5, "", 0.0, 0.8, 1.0, (1, -1, 2), -9.81, camera, things)


def main(folder: Path) -> dict:
    settings = RenderSettings(FRAMES, (SIZE, SIZE), 1, 200)
    plan = small_plan(folder)
    with tempfile.TemporaryDirectory() as scratch:
        builder = SceneBuilder(import_kubric(), plan, settings, Path(scratch))
        tracks, again = make_tracks(builder), make_tracks(builder)
        layers = render_layers(builder)
        tube = [thing.plan.kind for thing in builder.things].index("tube")
        heights = [
            [float(PosedScene(builder, t).corners(i)[:, 2].mean()) for t in range(FRAMES)]
            for i, thing in enumerate(builder.things)
            if thing.plan.role == "rigid"
        ]
        posed = [PosedScene(builder, t).corners(tube) for t in range(FRAMES)]
        worst = max(np.abs(posed[t] - by_hand(plan.things[3], t / plan.fps)).max() for t in range(FRAMES))
    parts = (tracks.xy, tracks.visible, tracks.thing, tracks.distance)
    passes = (layers.segmentation, layers.depth, layers.flow)
    report = self_check(parts, *passes)
    return {
        "problems": problems(report, len(tracks.thing), settings.tracks),
        "report": report.record(),
        "seen": sorted(int(i) for i in np.unique(layers.segmentation)),
        "tracked": sorted({builder.things[i].plan.kind for i in tracks.thing}),
        "same_again": bool((again.xy == tracks.xy).all() and (again.visible == tracks.visible).all()),
        "tube_worst_m": float(worst),
        "rigid_heights": heights,
        "asked_in_view": bool(tracks.visible[tracks.query_frame, np.arange(len(tracks.thing))].all()),
        "hidden": int((~tracks.visible & in_image(tracks.xy, settings.wh)).sum()),
        "last_flow_px": last_flow(tracks, layers.flow),
    }


def by_hand(thing: ThingPlan, seconds: float) -> np.ndarray:
    """(v, 3) corners of a deforming thing in the world, without Blender's keys."""
    corners = make_body(thing.kind, thing.size, np.random.default_rng(thing.seed)).at(seconds)
    turn = np.eye(3)
    for axis, angle in enumerate(np.array(thing.euler) + np.array(thing.spin) * seconds):
        one, a, b = np.eye(3), (axis + 1) % 3, (axis + 2) % 3
        one[[a, a, b, b], [a, b, a, b]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
        turn = one @ turn
    return corners @ turn.T + np.array(thing.position) + np.array(thing.velocity) * seconds


def last_flow(tracks: Tracks, flow: np.ndarray) -> float:
    """Median motion that the last frame's flow shows: keys reach beyond the clip, so it is not 0."""
    seen = tracks.visible[-1]
    return float(np.median(np.linalg.norm(bilinear(flow[-1], tracks.xy[-1][seen]), axis=1)))


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
