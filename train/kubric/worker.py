"""Renders one clip in the Kubric environment; farm.py starts it, with all settings in one JSON argument."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import bpy
import numpy as np
import pybullet_data

from train.kubric.assets import TERMS, find_assets, terms_of
from train.kubric.check import problems, self_check
from train.kubric.layers import render_layers, render_pictures, set_threads
from train.kubric.patches import import_kubric
from train.kubric.plan import ClipPlan, RenderSettings, make_plan
from train.kubric.scene import SceneBuilder
from train.kubric.tracks import PosedScene, make_tracks
from train.kubric.writing import write_clip

REJECTED = 3  # exit status of a clip that failed its self-check


def render_clip(settings: RenderSettings, index: int, attempt: int, target: Path, threads: int) -> list[str]:
    """Renders a clip into a scratch folder beside `target`, and renames that to `target` when it is complete.

    Returns:
        Reasons why the clip was rejected; empty if `target` exists.
    """
    clock = Clock()
    datafiles = Path(bpy.utils.system_resource("DATAFILES"))
    meshes = Path(pybullet_data.getDataPath())
    plan = make_plan(settings, find_assets(settings, datafiles, meshes), index, attempt)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".making_") as scratch:
        builder = SceneBuilder(import_kubric(), plan, settings, Path(scratch))
        set_threads(threads)
        clock.lap("scene")
        # Rays first: they are cheap, and a scene with nothing in view needs no rendering.
        tracks = make_tracks(builder)
        clock.lap("tracks")
        layers = render_layers(builder)
        clock.lap("layers")
        report = self_check(
            (tracks.xy, tracks.visible, tracks.thing, tracks.distance),
            layers.segmentation,
            layers.depth,
            layers.flow,
        )
        wrong = problems(report, len(tracks.thing), settings.tracks)
        if wrong:
            return wrong
        pictures = render_pictures(builder, Path(scratch))
        clock.lap("pictures")
        whole = Path(scratch, "clip")
        whole.mkdir()
        camera = _camera(builder)
        meta = _meta(plan, settings, builder, str(meshes))
        meta |= {"check": report.record(), "cpu_seconds": clock.laps}
        write_clip(
            whole,
            pictures,
            {
                "xy": tracks.xy,
                "visible": tracks.visible,
                "query_frame": tracks.query_frame,
                "object": tracks.thing + 1,
            },
            {
                "segmentation": layers.segmentation,
                "depth": layers.depth,
                "flow": layers.flow.astype(np.float16),
                **camera,
            },
            meta,
        )
        os.rename(whole, target)
    return []


class Clock:
    """CPU seconds of this process, step by step, in `laps`."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self.last = time.process_time()

    def lap(self, step: str) -> None:
        now = time.process_time()
        self.laps[step], self.last = round(now - self.last, 1), now


def _camera(builder: SceneBuilder) -> dict[str, np.ndarray]:
    """camera_pose (t, 4, 4) camera to world, the camera looking along its -z, and camera_focal_px (t,)."""
    lenses = [PosedScene(builder, frame).lens for frame in range(builder.settings.frames)]
    return {
        "camera_pose": np.stack([lens.pose for lens in lenses]),
        "camera_focal_px": np.array([lens.focal_px for lens in lenses]),
    }


def _meta(plan: ClipPlan, settings: RenderSettings, builder: SceneBuilder, pybullet_folder: str) -> dict:
    objects = []
    for number, thing in enumerate(builder.things, start=1):
        appearance = thing.plan.appearance
        objects.append(
            {
                "id": number,
                "role": thing.plan.role,
                "mesh": thing.plan.kind,
                "mesh_licence": terms_of(thing.plan.kind, pybullet_folder),
                "surface": appearance,
                "surface_licence": terms_of("mesh:" + appearance[8:], "-")
                if appearance.startswith("picture:")
                else terms_of("", ""),
            }
        )
    return {
        "source": "pointtrack train.kubric",
        "seed": settings.seed,
        "index": plan.index,
        "attempt": plan.attempt,
        "fps": plan.fps,
        "frames": settings.frames,
        "wh": list(settings.wh),
        "samples": settings.samples,
        "objects": objects,
        "sky": {"file": plan.hdri, "licence": TERMS["hdri"]},
        "plan": plan.record(),
        "versions": {name: version(name) for name in ("kubric-nightly", "bpy", "pybullet", "numpy")},
    }


def main() -> int:
    order = json.loads(sys.argv[1])
    settings = order["settings"]
    for name in ("textures", "meshes"):
        settings[name] = Path(settings[name]) if settings[name] else None
    settings["manifests"] = tuple(map(Path, settings["manifests"]))
    settings["wh"] = tuple(settings["wh"])
    target = Path(order["target"])
    wrong = render_clip(
        RenderSettings(**settings), order["index"], order["attempt"], target, order["threads"]
    )
    if wrong:
        print("REJECTED " + json.dumps(wrong), flush=True)
        return REJECTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
