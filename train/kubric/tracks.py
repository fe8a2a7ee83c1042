"""Exact tracks of a scene (follow.py) with Blender, which poses the scene and casts the rays."""

from __future__ import annotations

import bpy
import numpy as np
from mathutils import Vector

from train.kubric.follow import DEPTH_TOLERANCE, Tracks, follow_points
from train.kubric.geometry import Pinhole
from train.kubric.scene import SceneBuilder


class PosedScene:
    """A scene at one frame, for rays."""

    def __init__(self, builder: SceneBuilder, frame: int) -> None:
        """`frame` counts from 0, as everywhere outside of Blender."""
        scene = bpy.context.scene
        scene.frame_set(scene.frame_start + frame)
        self.builder = builder
        self.graph = bpy.context.evaluated_depsgraph_get()
        camera = scene.camera.evaluated_get(self.graph)
        focal_px = camera.data.lens / camera.data.sensor_width * builder.settings.wh[0]
        self.lens = Pinhole(np.array(camera.matrix_world), focal_px, builder.settings.wh)
        self.number = {thing.mesh_object.name: i for i, thing in enumerate(builder.things)}

    def corners(self, thing: int) -> np.ndarray:
        """(v, 3) float64 corners of a thing in world metres."""
        posed = self.builder.things[thing].mesh_object.evaluated_get(self.graph)
        flat = np.empty(3 * len(posed.data.vertices), np.float32)
        posed.data.vertices.foreach_get("co", flat)
        pose = np.array(posed.matrix_world)
        return flat.reshape(-1, 3).astype(np.float64) @ pose[:3, :3].T + pose[:3, 3]

    def cast(self, xy: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What each pixel (n, 2) shows: thing (n,), -1 for the sky; triangle (n,); world point (n, 3)."""
        place = Vector(self.lens.place)
        things, faces, points = np.full(len(xy), -1), np.zeros(len(xy), np.int64), np.zeros((len(xy), 3))
        for i, direction in enumerate(self.lens.directions(xy)):
            hit, point, _, face, found, _ = bpy.context.scene.ray_cast(self.graph, place, Vector(direction))
            if hit:
                things[i], faces[i], points[i] = self.number[found.name], face, point
        return things, faces, points

    def reached(self, points: np.ndarray) -> np.ndarray:
        """(n,) bool: nothing stands between the camera and each world point (n, 3)."""
        place, free = Vector(self.lens.place), np.zeros(len(points), bool)
        for i, way in enumerate(points - self.lens.place):
            distance = np.linalg.norm(way)
            reach = float(distance * (1 - DEPTH_TOLERANCE))
            direction = Vector(way / distance)
            free[i] = not bpy.context.scene.ray_cast(self.graph, place, direction, distance=reach)[0]
        return free


class BlenderStage:
    """A built scene in the form that follow.py takes."""

    def __init__(self, builder: SceneBuilder) -> None:
        self.builder = builder
        self.triangles = [_triangles(thing.mesh_object.data) for thing in builder.things]
        self.frames, self.wh = builder.settings.frames, builder.settings.wh
        self.name = f"clip {builder.plan.index}"

    def posed(self, frame: int) -> PosedScene:
        return PosedScene(self.builder, frame)


def make_tracks(builder: SceneBuilder) -> Tracks:
    """Finds queries over the clip, and the positions of their surface points in every frame."""
    settings, plan = builder.settings, builder.plan
    generator = np.random.default_rng([settings.seed, plan.index, plan.attempt, 1])
    return follow_points(BlenderStage(builder), settings.tracks, generator)


def _triangles(mesh: bpy.types.Mesh) -> np.ndarray:
    """(f, 3) vertex indices; the builder has cut every mesh into triangles."""
    flat = np.empty(3 * len(mesh.polygons), np.int32)
    mesh.polygons.foreach_get("vertices", flat)
    return flat.reshape(-1, 3)
