"""The scene of the bundled clip: the layout of the objects and their motion.

The motion is a plain function of the frame number (no keyframes, no modifiers): `pose_scene` sets the
matrices, writes the bent vertices and aims the camera. So you can render any single frame, in any order, and the
number and order of the triangles never change. Lengths are metres; x points to the right, y away from the
camera, z up.
"""

import math
import os
from collections.abc import Callable

import bmesh
import bpy
import numpy as np
from mathutils import Matrix, Vector

from train.blender.clip_materials import SURFACES

FPS = 24
# The rope and the rod are too thin for a useful query; everything else carries tracks, in this order.
TRACKED = ("floor", "wall", "monkey", "pedestal", "tube", "banner", "ball", "box", "ring", "post")
FIXTURES = ("rope", "rod")

TUBE_HEIGHT = 2.5
BANNER_WH = (2.3, 1.75)
BALL_RADIUS = 0.52
BOX_HALF = (0.46, 0.40, 0.42)
RING_PIVOT = Vector((1.75, -0.55, 4.9))
ROPE_LENGTH = 2.75


def add_object(name: str, build: Callable[[bmesh.types.BMesh], object], smooth: bool) -> bpy.types.Object:
    """A triangulated mesh object that keeps its rest position (metres) in the vertex attribute "rest"."""
    shape = bmesh.new()
    build(shape)
    bmesh.ops.triangulate(shape, faces=shape.faces)
    mesh = bpy.data.meshes.new(name)
    shape.to_mesh(mesh)
    shape.free()
    rest = mesh.attributes.new("rest", "FLOAT_VECTOR", "POINT")
    rest.data.foreach_set("vector", vertices_of(mesh).ravel())
    mesh.polygons.foreach_set("use_smooth", np.full(len(mesh.polygons), smooth))
    mesh.materials.append(SURFACES[name]())
    if name == "monkey":
        mesh.materials.append(SURFACES["eyes"]())
    thing = bpy.data.objects.new(name, mesh)
    # The object-index pass gives 0 where there is no object.
    thing.pass_index = 1 + (*TRACKED, *FIXTURES).index(name)
    bpy.context.scene.collection.objects.link(thing)
    return thing


def vertices_of(mesh: bpy.types.Mesh) -> np.ndarray:
    """(v, 3) float32 vertex positions in the object's own axes, metres."""
    flat = np.empty(3 * len(mesh.vertices), np.float32)
    mesh.vertices.foreach_get("co", flat)
    return flat.reshape(-1, 3)


def sheet(width: float, height: float, cells: tuple[int, int]) -> Callable[[bmesh.types.BMesh], object]:
    """A flat grid in the local xy plane, centred on the origin."""

    def build(shape: bmesh.types.BMesh) -> None:
        scale = Matrix.Diagonal((width / 2, height / 2, 1, 1))
        bmesh.ops.create_grid(shape, x_segments=cells[0], y_segments=cells[1], size=1, matrix=scale)

    return build


def cylinder(radius: float, height: float, rings: int, sides: int) -> Callable[[bmesh.types.BMesh], object]:
    """A closed upright cylinder on z = 0, divided into `rings` along its height so that it can bend."""

    def build(shape: bmesh.types.BMesh) -> None:
        angles = np.arange(sides) * 2 * math.pi / sides
        outline = [(radius * math.cos(a), radius * math.sin(a)) for a in angles]
        levels = [[shape.verts.new((x, y, height * k / rings)) for x, y in outline] for k in range(rings + 1)]
        for low, high in zip(levels[:-1], levels[1:], strict=True):
            for i in range(sides):
                j = (i + 1) % sides
                shape.faces.new((low[i], low[j], high[j], high[i]))
        for level, order in ((levels[0], -1), (levels[-1], 1)):
            shape.faces.new(level[::order])

    return build


def torus(radius: float, thickness: float) -> Callable[[bmesh.types.BMesh], object]:
    """A ring about the local z axis."""

    def build(shape: bmesh.types.BMesh) -> None:
        around, across = 96, 32
        points = []
        for a in np.arange(around) * 2 * math.pi / around:
            points.append([])
            for b in np.arange(across) * 2 * math.pi / across:
                reach = radius + thickness * math.cos(b)
                place = (reach * math.cos(a), reach * math.sin(a), thickness * math.sin(b))
                points[-1].append(shape.verts.new(place))
        for i in range(around):
            for j in range(across):
                k, m = (i + 1) % around, (j + 1) % across
                shape.faces.new((points[i][j], points[k][j], points[k][m], points[i][m]))

    return build


def monkey(shape: bmesh.types.BMesh) -> None:
    """Blender's own Suzanne, smoothed twice, about 1.7 m wide, upright and looking along -y."""
    bpy.ops.mesh.primitive_monkey_add(size=1.8)
    thing = bpy.context.object
    smoother = thing.modifiers.new("smooth", "SUBSURF")
    smoother.levels = 2
    graph = bpy.context.evaluated_depsgraph_get()
    shape.from_mesh(thing.evaluated_get(graph).to_mesh())
    bpy.data.objects.remove(thing)
    # The two eyes are separate pieces from the head: they get the second material.
    for face in set(shape.faces) - largest_piece(shape):
        face.material_index = 1


def largest_piece(shape: bmesh.types.BMesh) -> set[bmesh.types.BMFace]:
    """The faces of the connected piece with the most faces."""
    left, largest = set(shape.faces), set()
    while left:
        border = [next(iter(left))]
        piece = set(border)
        while border:
            touching = {face for edge in border.pop().edges for face in edge.link_faces} - piece
            piece |= touching
            border += touching
        left -= piece
        largest = max(largest, piece, key=len)
    return largest


def bevelled_box(shape: bmesh.types.BMesh) -> None:
    bmesh.ops.create_cube(shape, size=2, matrix=Matrix.Diagonal((*BOX_HALF, 1)))
    bmesh.ops.bevel(shape, geom=shape.edges[:], offset=0.035, segments=3, affect="EDGES", profile=0.5)


def sphere(shape: bmesh.types.BMesh) -> None:
    bmesh.ops.create_uvsphere(shape, u_segments=96, v_segments=48, radius=BALL_RADIUS)


def post(shape: bmesh.types.BMesh) -> None:
    """A thin pole with a knob."""
    cylinder(0.075, 2.1, rings=1, sides=48)(shape)
    knob = Matrix.Translation((0, 0, 2.2))
    bmesh.ops.create_uvsphere(shape, u_segments=48, v_segments=24, radius=0.15, matrix=knob)


def build_scene() -> dict[str, bpy.types.Object]:
    """Empties Blender's scene and builds ours; returns the objects by name."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    tube = cylinder(0.30, TUBE_HEIGHT, rings=90, sides=64)
    shapes = {
        "floor": (sheet(30, 16, (30, 16)), False),
        "wall": (sheet(30, 9, (30, 9)), False),
        "monkey": (monkey, True),
        "pedestal": (cylinder(0.58, 0.75, rings=1, sides=8), False),
        "tube": (tube, True),
        "banner": (sheet(*BANNER_WH, (92, 70)), True),
        "ball": (sphere, True),
        "box": (bevelled_box, False),
        "ring": (torus(0.40, 0.14), True),
        "post": (post, True),
        "rope": (cylinder(0.018, ROPE_LENGTH, rings=1, sides=12), True),
        "rod": (cylinder(0.03, BANNER_WH[0] + 0.3, rings=1, sides=16), True),
    }
    things = {name: add_object(name, build, smooth) for name, (build, smooth) in shapes.items()}
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    bpy.context.scene.collection.objects.link(camera)
    bpy.context.scene.camera = camera
    add_light()
    place_still_objects(things)
    return things | {"camera": camera}


def add_light() -> None:
    """A warm sun from the upper left, and one of Blender's own CC0 skies for the shadows."""
    sun = bpy.data.objects.new("sun", bpy.data.lights.new("sun", "SUN"))
    sun.data.energy, sun.data.angle, sun.data.color = 3.8, math.radians(1.5), (1.0, 0.94, 0.85)
    sun.rotation_euler = (math.radians(48), math.radians(-6), math.radians(-32))
    bpy.context.scene.collection.objects.link(sun)
    world = bpy.data.worlds.new("sky")
    bpy.context.scene.world = world
    world.use_nodes = True
    folder = os.path.join(bpy.utils.system_resource("DATAFILES"), "studiolights", "world")
    sky = world.node_tree.nodes.new("ShaderNodeTexEnvironment")
    sky.image = bpy.data.images.load(os.path.join(folder, "courtyard.exr"))
    background = world.node_tree.nodes["Background"]
    background.inputs["Strength"].default_value = 0.95
    world.node_tree.links.new(sky.outputs["Color"], background.inputs["Color"])


def place_still_objects(things: dict[str, bpy.types.Object]) -> None:
    upright = Matrix.Rotation(math.pi / 2, 4, "X")
    things["floor"].matrix_world = Matrix.Translation((0, -1, 0))
    things["wall"].matrix_world = Matrix.Translation((0, 3.4, 4.5)) @ upright
    # Hung at an angle, so that its waves show in its outline.
    hung = Matrix.Translation((0.15, 2.3, 2.1)) @ Matrix.Rotation(math.radians(32), 4, "Z")
    things["banner"].matrix_world = hung @ upright
    rod_start = Matrix.Translation((-BANNER_WH[0] / 2 - 0.15, 0, BANNER_WH[1] / 2))
    things["rod"].matrix_world = hung @ rod_start @ Matrix.Rotation(math.pi / 2, 4, "Y")
    things["pedestal"].matrix_world = Matrix.Translation((-2.05, 0.75, 0))
    things["tube"].matrix_world = Matrix.Translation((2.15, 1.35, 0))
    things["post"].matrix_world = Matrix.Translation((0.35, -2.75, 0))


def smoothstep(x: float) -> float:
    x = min(max(x, 0.0), 1.0)
    return x * x * (3 - 2 * x)


def bend_tube(rest: np.ndarray, seconds: float) -> np.ndarray:
    """Twists the tube about its axis and bends it into an arc that sways; (v, 3) -> (v, 3), metres."""
    along = rest[:, 2] / TUBE_HEIGHT
    twist = 1.9 * math.sin(2.1 * seconds) * along
    x = rest[:, 0] * np.cos(twist) - rest[:, 1] * np.sin(twist)
    y = rest[:, 0] * np.sin(twist) + rest[:, 1] * np.cos(twist)
    # Never straight, since the arc's formula divides by the angle.
    angle = 0.95 * math.sin(2.4 * seconds - 0.7) or 1e-6
    radius, tilt = TUBE_HEIGHT / angle, angle * along
    bent_x = radius * (1 - np.cos(tilt)) + x * np.cos(tilt)
    bent_z = radius * np.sin(tilt) - x * np.sin(tilt)
    return np.stack([bent_x, y, bent_z], axis=1)


def wave_banner(rest: np.ndarray, seconds: float) -> np.ndarray:
    """Waves that run through the cloth and grow with the distance from the rod; (v, 3) -> (v, 3), metres."""
    drop = (BANNER_WH[1] / 2 - rest[:, 1]) / BANNER_WH[1]
    phase = 3.6 * rest[:, 0] + 1.6 * rest[:, 1] - 5.2 * seconds
    push = 0.27 * drop**0.7 * np.sin(phase) + 0.05 * drop * np.sin(2.3 * phase + 1.0)
    sway = 0.10 * drop**1.5 * math.sin(3.0 * seconds)
    return np.stack([rest[:, 0] + sway, rest[:, 1], push + 0.12 * drop], axis=1)


def ball_pose(progress: float) -> Matrix:
    """Rolls from the left to the right without slipping."""
    start, end = Vector((-2.75, -1.3, BALL_RADIUS)), Vector((2.6, -1.05, BALL_RADIUS))
    eased = 0.75 * progress + 0.25 * smoothstep(progress)
    way = (end - start) * eased
    axis = Vector((0, 0, 1)).cross((end - start).normalized())
    roll = Matrix.Rotation(way.length / BALL_RADIUS, 4, axis)
    tilt = Matrix.Rotation(0.9, 4, "X")
    return Matrix.Translation(start + way) @ roll @ tilt


def box_pose(progress: float) -> Matrix:
    """Tumbles and hops from the right to the left; its lowest corner never sinks into the floor."""
    turn = (
        Matrix.Rotation(-5.6 * progress, 3, Vector((0.25, 1, 0.1)).normalized())
        @ Matrix.Rotation(1.1 * progress, 3, "Z")
        @ Matrix.Rotation(0.5, 3, "Z")
    )
    lowest = sum(abs(turn[2][i]) * BOX_HALF[i] for i in range(3))
    hop = 0.55 * (1 - 0.6 * progress) * abs(math.sin(2.5 * math.pi * progress))
    place = Vector((2.7 - 3.3 * progress, 0.1 - 0.25 * progress, lowest + hop))
    return Matrix.Translation(place) @ turn.to_4x4()


def ring_pose(seconds: float) -> tuple[Matrix, Matrix]:
    """Ring and rope of a pendulum that swings out of the picture at the right and comes back."""
    swing = math.radians(8) - math.radians(64) * math.sin(2 * math.pi * (seconds / 2.75) - math.pi - 0.1)
    hang = Matrix.Translation(RING_PIVOT) @ Matrix.Rotation(-swing, 4, "Y")
    spin = Matrix.Rotation(0.5 + 1.5 * math.sin(1.7 * seconds), 4, "Z")
    ring = hang @ Matrix.Translation((0, 0, -ROPE_LENGTH - 0.5)) @ spin @ Matrix.Rotation(math.pi / 2, 4, "X")
    rope = hang @ Matrix.Rotation(math.pi, 4, "X")
    return ring, rope


def camera_pose(progress: float, seconds: float, shake_phase: np.ndarray) -> tuple[Matrix, float]:
    """Pose and focal length in mm: a slow arc to the right with a hand's shake and a slight zoom."""
    way = smoothstep(progress)
    wobble = [
        sum(
            math.sin(2 * math.pi * hz * seconds + phase) / hz
            for hz, phase in zip((0.9, 2.1, 3.7), phases, strict=True)
        )
        for phases in shake_phase
    ]
    place = Vector((-1.0 + 2.0 * way, -7.6 + 0.4 * math.sin(math.pi * way), 2.1 - 0.3 * way))
    place += 0.012 * Vector(wobble[:3])
    target = Vector((-0.2 + 0.4 * way, 0.4, 1.2)) + 0.014 * Vector((wobble[3], 0, wobble[4]))
    turn = (target - place).to_track_quat("-Z", "Y").to_matrix().to_4x4()
    return Matrix.Translation(place) @ turn, 38.0 + 3.0 * way


def pose_scene(things: dict[str, bpy.types.Object], frame: int, frames: int, seed: int) -> None:
    """Moves everything to its pose in `frame` (0-based) of `frames`."""
    progress, seconds = frame / max(frames - 1, 1), frame / FPS
    for name, bend in (("tube", bend_tube), ("banner", wave_banner)):
        mesh = things[name].data
        rest = np.empty(3 * len(mesh.vertices), np.float32)
        mesh.attributes["rest"].data.foreach_get("vector", rest)
        mesh.vertices.foreach_set("co", bend(rest.reshape(-1, 3), seconds).astype(np.float32).ravel())
        mesh.update()
    turn = Matrix.Rotation(math.radians(48 * math.sin(2.3 * seconds + 0.4)), 4, "Z")
    nod = Matrix.Rotation(math.radians(9 * math.sin(3.1 * seconds)), 4, "X")
    # It turns about its chin, which rests on the pedestal.
    chin = Matrix.Translation((0, 0.3, 0))
    things["monkey"].matrix_world = Matrix.Translation((-2.05, 0.75, 1.68)) @ turn @ nod @ chin
    things["ball"].matrix_world = ball_pose(progress)
    things["box"].matrix_world = box_pose(progress)
    things["ring"].matrix_world, things["rope"].matrix_world = ring_pose(seconds)
    phases = np.random.default_rng(seed).uniform(0, 2 * math.pi, (5, 3))
    camera = things["camera"]
    camera.matrix_world, camera.data.lens = camera_pose(progress, seconds, phases)
    bpy.context.view_layer.update()
