"""Builds the scene of a plan with Kubric: its simulator moves rigid things, this module sets the keys of others.

Blender's frames run from 1. Keys extend from one frame before the clip to one after it, so that flow and motion
blur of the first and last frame are right.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import bmesh
import bpy
import numpy as np
import trimesh
from mathutils import Euler, Quaternion

from train.kubric.assets import archive_folder
from train.kubric.bodies import Body, make_body
from train.kubric.cameras import camera_at
from train.kubric.materials import make_material
from train.kubric.plan import ClipPlan, RenderSettings, ThingPlan
from train.kubric.shapes import Mesh, occluder
from train.kubric.solids import centred, load_mesh, primitive

FIRST = 1  # Blender's number of the clip's first frame


@dataclass
class Thing:
    """An object in the built scene.

    Attributes:
        plan: what it was built from.
        asset: Kubric's object.
        mesh_object: Blender's object; all its faces are triangles and no modifier changes their number.
    """

    plan: ThingPlan
    asset: object
    mesh_object: bpy.types.Object


class SceneBuilder:
    """One clip's scene; `things` holds every object: those the simulator moves, then the others.

    Args:
        kubric: the patched package, from patches.import_kubric.
        plan: what happens.
        settings: size, samples and number of frames.
        scratch: a folder for meshes and rendered passes.
    """

    def __init__(self, kubric: ModuleType, plan: ClipPlan, settings: RenderSettings, scratch: Path) -> None:
        self.kubric, self.plan, self.settings, self.scratch = kubric, plan, settings, scratch
        self.frames = range(FIRST - 1, FIRST + settings.frames + 1)
        self.scene = kubric.Scene(
            resolution=settings.wh,
            frame_start=FIRST,
            frame_end=FIRST + settings.frames - 1,
            frame_rate=plan.fps,
            step_rate=240,
            gravity=(0, 0, plan.gravity),
        )
        self.renderer = kubric.renderer.blender.Blender(
            self.scene, scratch_dir=str(scratch / "render"), samples_per_pixel=settings.samples
        )
        self.simulator = kubric.simulator.pybullet.PyBullet(self.scene, scratch_dir=str(scratch))
        self.sources: dict[str, object] = {}
        self.things: list[Thing] = []
        makers = {
            "background": self._background,
            "rigid": self._rigid,
            "deforming": self._deforming,
            "occluder": self._occluder,
        }
        ghosts = self._ghosts()
        for number, thing in enumerate(plan.things):
            if thing.role in ("background", "rigid"):
                makers[thing.role](number, thing)
        self.simulator.run(frame_start=self.frames[0], frame_end=self.frames[-1])
        for ghost in ghosts:
            self.scene.remove(ghost)
        for number, thing in enumerate(plan.things):
            if thing.role in ("deforming", "occluder"):
                makers[thing.role](number, thing)
        self._camera()
        self._light()

    # Things.

    def _background(self, number: int, thing: ThingPlan) -> None:
        half = thing.size
        asset = self.kubric.Cube(
            name=f"{thing.kind}{number}",
            scale=(half, half, half),
            position=thing.position,
            static=True,
            background=True,
            friction=thing.friction,
            restitution=thing.bounce,
        )
        self.scene.add(asset)
        # A pattern of about two metres: the whole surface is 30 m wide.
        self._finish(thing, asset, unit=2.0, smooth=False)

    def _ghosts(self) -> list[object]:
        """Adds boxes to the simulator alone, in place of blobs, tubes and cloths, so that others can hit them."""
        ghosts = []
        for number, thing in enumerate(self.plan.things):
            if thing.role == "deforming" and thing.kind != "creature":
                half = thing.size * np.array({"cloth": (0.45, 0.08, 0.4)}.get(thing.kind, (0.4, 0.25, 0.25)))
                asset = self.kubric.Cube(
                    name=f"ghost{number}",
                    scale=tuple(half),
                    position=thing.position,
                    quaternion=_quaternion(thing.euler),
                    static=True,
                )
                self.scene.add(asset)
                ghosts.append(asset)
        return ghosts

    def _rigid(self, number: int, thing: ThingPlan) -> None:
        source, _, rest = thing.kind.partition(":")
        motion = {
            "position": thing.position,
            "quaternion": _quaternion(thing.euler),
            "velocity": thing.velocity,
            "angular_velocity": thing.spin,
            "friction": thing.friction,
            "restitution": thing.bounce,
        }
        if source == "kubric":
            manifest, _, name = rest.rpartition(":")
            if manifest not in self.sources:
                self.sources[manifest] = self._source(Path(manifest))
            asset = self.sources[manifest].create(name, **motion)
            low, high = np.array(asset.bounds)
            asset.scale = thing.size / max(float((high - low).max()), 1e-3)
            self.scene.add(asset)
            self._finish(thing, asset, unit=thing.size / 2, keep_material=True)
            return
        mesh = (
            load_mesh(rest) if source == "mesh" else shape_of(thing.kind, np.random.default_rng(thing.seed))
        )
        asset = self._file_object(number, centred(mesh, thing.size), thing.kind, solid=True, **motion)
        # Mass by size, so that small things bounce off large ones.
        asset.mass = 200 * thing.size**3
        self._finish(thing, asset, unit=thing.size / 2)

    def _source(self, manifest: Path) -> object:
        return self.kubric.AssetSource(
            name=manifest.stem,
            data_dir=archive_folder(manifest),
            assets=json.loads(manifest.read_text())["assets"],
            scratch_dir=str(self.scratch),
        )

    def _deforming(self, number: int, thing: ThingPlan) -> None:
        body = make_body(thing.kind, thing.size, np.random.default_rng(thing.seed))
        asset = self._file_object(number, (body.at(0.0), body.triangles), thing.kind)
        made = self._finish(thing, asset, unit=thing.size / 2)
        self._bend(made.mesh_object, body)
        start = np.array(thing.position)
        if body.height is not None:
            start[2] = body.height
        self._drift(asset, thing, start)

    def _occluder(self, number: int, thing: ThingPlan) -> None:
        mesh = occluder(thing.kind, thing.size, np.random.default_rng(thing.seed))
        asset = self._file_object(number, mesh, thing.kind)
        self._finish(thing, asset, unit=thing.size / 4)
        self._drift(asset, thing, np.array(thing.position))

    def _file_object(
        self, number: int, mesh: Mesh, kind: str, solid: bool = False, **motion: object
    ) -> object:
        """Writes a mesh as Kubric needs it (.obj, and for the simulator .urdf with its hull), and adds it."""
        name = f"thing{number}"
        shape = trimesh.Trimesh(*mesh, process=False)
        shape.export(self.scratch / f"{name}.obj", include_normals=False, include_texture=False)
        if solid:
            shape.convex_hull.export(self.scratch / f"{name}_hull.obj", include_normals=False)
            (self.scratch / f"{name}.urdf").write_text(URDF.format(hull=f"{name}_hull.obj"))
        asset = self.kubric.FileBasedObject(
            name=name,
            asset_id=kind.replace(":", "_"),
            render_filename=str(self.scratch / f"{name}.obj"),
            simulation_filename=str(self.scratch / f"{name}.urdf") if solid else None,
            bounds=(tuple(mesh[0].min(0)), tuple(mesh[0].max(0))),
            **motion,
        )
        self.scene.add(asset)
        return asset

    def _finish(
        self, thing: ThingPlan, asset: object, unit: float, smooth: bool = True, keep_material: bool = False
    ) -> Thing:
        """Sets triangles, the attribute "rest", shading and surface of an object that Kubric has just added."""
        mesh_object = asset.linked_objects[self.renderer]
        mesh = mesh_object.data
        triangulate(mesh)
        corners = np.empty(3 * len(mesh.vertices), np.float32)
        mesh.vertices.foreach_get("co", corners)
        rest = corners.reshape(-1, 3) * np.array(asset.scale, np.float32)
        mesh.attributes.new("rest", "FLOAT_VECTOR", "POINT").data.foreach_set("vector", rest.ravel())
        if smooth:
            mesh.polygons.foreach_set("use_smooth", np.ones(len(mesh.polygons), bool))
            mesh.set_sharp_from_angle(angle=math.radians(35))
        if not keep_material or not mesh.materials:
            mesh.materials.clear()
            mesh.materials.append(make_material(thing.appearance, unit, np.random.default_rng(thing.seed)))
        self.things.append(Thing(thing, asset, mesh_object))
        return self.things[-1]

    # Motion.

    def _seconds(self, frame: int) -> float:
        return (frame - FIRST) / self.plan.fps

    def _bend(self, mesh_object: bpy.types.Object, body: Body) -> None:
        """One shape key per frame, faded from one to the next, so that there is motion between frames too."""
        mesh_object.shape_key_add(name="rest", from_mix=False)
        for frame in self.frames:
            key = mesh_object.shape_key_add(name=f"frame{frame}", from_mix=False)
            key.data.foreach_set("co", body.at(self._seconds(frame)).astype(np.float32).ravel())
            for other, value in ((frame - 1, 0.0), (frame, 1.0), (frame + 1, 0.0)):
                key.value = value
                key.keyframe_insert("value", frame=other)
        action = mesh_object.data.shape_keys.animation_data.action
        for curve in action.fcurves:
            for point in curve.keyframe_points:
                point.interpolation = "LINEAR"

    def _drift(self, asset: object, thing: ThingPlan, start: np.ndarray) -> None:
        for frame in self.frames:
            seconds = self._seconds(frame)
            asset.position = tuple(start + np.array(thing.velocity) * seconds)
            asset.quaternion = _quaternion(np.array(thing.euler) + np.array(thing.spin) * seconds)
            asset.keyframe_insert("position", frame)
            asset.keyframe_insert("quaternion", frame)

    # Camera and light.

    def _camera(self) -> None:
        camera = self.kubric.PerspectiveCamera(sensor_width=36.0)
        self.scene.camera = camera
        for frame in self.frames:
            progress = (frame - FIRST) / (self.settings.frames - 1)
            place, target, roll, lens = camera_at(self.plan.camera, progress, self._seconds(frame))
            camera.position = tuple(place)
            camera.look_at(tuple(target))
            turned = Quaternion(camera.quaternion) @ Quaternion((0, 0, 1), roll)
            camera.quaternion = tuple(turned)
            camera.focal_length = lens
            for trait in ("position", "quaternion", "focal_length"):
                camera.keyframe_insert(trait, frame)

    def _light(self) -> None:
        plan = self.plan
        if plan.hdri:
            turn, strength = (0.0, 0.0, plan.sky_turn), plan.sky_strength / brightness(plan.hdri)
            self.renderer._set_ambient_light_hdri(plan.hdri, turn, strength)
            self.renderer._set_background_hdri(plan.hdri, turn)
            self.renderer.bg_node.inputs["Strength"].default_value = strength
        else:
            self.scene.ambient_illumination = self.kubric.Color(*(0.6 * plan.sky_strength,) * 3, 1)
            self.scene.background = self.kubric.Color(0.5, 0.6, 0.8, 1)
        if plan.sun_strength:
            self.scene.add(
                self.kubric.DirectionalLight(
                    name="sun", position=plan.sun, look_at=(0, 0, 0), intensity=plan.sun_strength
                )
            )


URDF = """<robot name="thing"><link name="base">
<inertial><mass value="1"/><inertia ixx="1" ixy="0" ixz="0" iyy="1" iyz="0" izz="1"/></inertial>
<collision><geometry><mesh filename="{hull}"/></geometry></collision>
</link></robot>
"""


def brightness(path: str) -> float:
    """Mean radiance of a sky with its sun or lamps; skies differ by a factor of ten."""
    image = bpy.data.images.load(path, check_existing=True)
    w, h = image.size
    pixels = np.empty(w * h * image.channels, np.float32)
    image.pixels.foreach_get(pixels)
    # A picture of all directions has too many pixels near the poles.
    weight = np.sin((np.arange(h) + 0.5) / h * math.pi)[:, None]
    light = pixels.reshape(h, w, -1)[..., :3].mean(-1)
    return max(float((light * weight).mean() / weight.mean()), 1e-3)


def triangulate(mesh: bpy.types.Mesh) -> None:
    """Cuts every face into triangles, in place."""
    shape = bmesh.new()
    shape.from_mesh(mesh)
    bmesh.ops.triangulate(shape, faces=shape.faces)
    shape.to_mesh(mesh)
    shape.free()


def shape_of(kind: str, generator: np.random.Generator) -> Mesh:
    """A shape of solids.py, or Blender's own "monkey"."""
    if kind != "monkey":
        return primitive(kind, generator)
    bpy.ops.mesh.primitive_monkey_add()
    monkey = bpy.context.object
    mesh = monkey.modifiers.new("smooth", "SUBSURF")
    mesh.levels = 2
    made = monkey.evaluated_get(bpy.context.evaluated_depsgraph_get()).to_mesh()
    triangulate(made)
    vertices = np.array([vertex.co for vertex in made.vertices])
    triangles = np.array([face.vertices[:] for face in made.polygons])
    bpy.data.objects.remove(monkey)
    return vertices, triangles


def _quaternion(euler: np.ndarray | tuple[float, ...]) -> tuple[float, ...]:
    """(w, x, y, z) of a turn about x, then y, then z."""
    return tuple(Euler(tuple(map(float, euler)), "XYZ").to_quaternion())
