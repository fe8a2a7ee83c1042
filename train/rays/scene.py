"""A plan's things as triangles in space, posed at any moment, and rays through them (Embree)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene

from pointtrack.io.pictures import read_picture
from train.kubric.bodies import make_body
from train.kubric.cameras import camera_at
from train.kubric.follow import DEPTH_TOLERANCE
from train.kubric.geometry import Pinhole
from train.kubric.plan import ClipPlan, RenderSettings, ThingPlan
from train.kubric.shapes import Mesh, occluder
from train.kubric.solids import centred, load_mesh, primitive
from train.rays.motion import Flight, turn
from train.rays.surface import Surface, make_surface

SENSOR_MM = 36.0
ANGULAR = ("box", "cylinder", "cone")  # shapes whose edges are not rounded by shading
NO_MONKEY = "torus"  # instead of the monkey, which only Blender has
PATTERN_METRES = 2.0  # on floors and walls


@dataclass
class Thing:
    """An object of a scene.

    Attributes:
        plan: what it was built from.
        rest: (v, 3) corners at rest, in its own axes, on which its surface is painted.
        triangles: (f, 3) int64.
        at: seconds -> (v, 3) corners in world metres.
        surface: its appearance.
    """

    plan: ThingPlan
    rest: np.ndarray
    triangles: np.ndarray
    at: Callable[[float], np.ndarray]
    surface: Surface

    @cached_property
    def face_normals(self) -> np.ndarray:
        """(f, 3) unit normals at rest."""
        return unit(_crosses(self.rest, self.triangles))


class Hits:
    """Hits of rays: `thing` (n,), -1 for the sky, `face` (n,), weights (n, 3) of its corners, `distance` (n,)."""

    def __init__(self, found: dict[str, np.ndarray]) -> None:
        self.thing, self.face, self.distance = found["geomID"], found["primID"], found["tfar"]
        u, v = found["u"], found["v"]
        self.weights = np.stack([1 - u - v, u, v], axis=1)


class PosedRays:
    """A scene at one moment, for rays."""

    def __init__(self, things: Sequence[Thing], seconds: float, lens: Pinhole) -> None:
        self.things, self.lens = things, lens
        self.posed = [thing.at(seconds) for thing in things]
        self.known_normals: dict[int, np.ndarray] = {}
        self.tree = EmbreeScene()
        for thing, corners in zip(things, self.posed, strict=True):
            # Numbered in order.
            TriangleMesh(self.tree, corners.astype(np.float32), thing.triangles.astype(np.int32))

    def corners(self, thing: int) -> np.ndarray:
        return self.posed[thing]

    def normals(self, thing: int) -> np.ndarray:
        """(v, 3) unit normals of the posed corners, means of the faces around them."""
        if thing in self.known_normals:
            return self.known_normals[thing]
        triangles, total = self.things[thing].triangles, np.zeros_like(self.posed[thing])
        crosses = _crosses(self.posed[thing], triangles)
        for corner in range(3):
            for axis in range(3):
                total[:, axis] += np.bincount(triangles[:, corner], crosses[:, axis], len(total))
        self.known_normals[thing] = unit(total)
        return self.known_normals[thing]

    def meet(self, origins: np.ndarray, directions: np.ndarray) -> Hits:
        """The first hits of rays (n, 3) from positions (n, 3)."""
        return Hits(
            self.tree.run(
                np.ascontiguousarray(origins, np.float32),
                np.ascontiguousarray(directions, np.float32),
                query="INTERSECT",
                output=True,
            )
        )

    def cast(self, xy: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What each pixel (n, 2) shows, in the form that train/kubric/follow.py needs."""
        hits = self.meet(np.broadcast_to(self.lens.place, (len(xy), 3)), self.lens.directions(xy))
        points = np.zeros((len(xy), 3))
        for thing in np.unique(hits.thing[hits.thing >= 0]):
            own = hits.thing == thing
            corners = self.posed[thing][self.things[thing].triangles[hits.face[own]]]
            points[own] = np.einsum("nk,nkc->nc", hits.weights[own], corners)
        return hits.thing.astype(np.int64), np.maximum(hits.face, 0).astype(np.int64), points

    def reached(self, points: np.ndarray) -> np.ndarray:
        """(n,) bool: nothing stands between the camera and each world point (n, 3)."""
        way = points - self.lens.place
        distance = np.linalg.norm(way, axis=1)
        hits = self.meet(np.broadcast_to(self.lens.place, points.shape), way / distance[:, None])
        return (hits.thing < 0) | (hits.distance >= distance * (1 - DEPTH_TOLERANCE))


class RayStage:
    """A scene built from a plan, which can be posed.

    Args:
        plan: what happens.
        settings: size and number of frames.
        patterns: (h, w, 3) uint8 pictures for surfaces without a photograph.
    """

    def __init__(self, plan: ClipPlan, settings: RenderSettings, patterns: Sequence[np.ndarray]) -> None:
        self.plan, self.frames, self.wh = plan, settings.frames, settings.wh
        self.name = f"clip {plan.index}"
        self.patterns = patterns
        self.things = [self._thing(thing) for thing in plan.things]
        self.triangles = [thing.triangles for thing in self.things]

    def posed(self, frame: float) -> PosedRays:
        """The scene at a frame, counted from 0; fractions are allowed."""
        seconds = frame / self.plan.fps
        return PosedRays(self.things, seconds, self._lens(frame / max(self.frames - 1, 1), seconds))

    def _lens(self, progress: float, seconds: float) -> Pinhole:
        place, target, roll, lens_mm = camera_at(self.plan.camera, progress, seconds)
        backward = unit(place - target)
        right = unit(np.cross((0, 0, 1.0), backward))
        up = np.cross(backward, right)
        pose = np.eye(4)
        pose[:3, 0] = math.cos(roll) * right + math.sin(roll) * up
        pose[:3, 1] = math.cos(roll) * up - math.sin(roll) * right
        pose[:3, 2], pose[:3, 3] = backward, place
        return Pinhole(pose, lens_mm / SENSOR_MM * self.wh[0], self.wh)

    def _thing(self, plan: ThingPlan) -> Thing:
        generator = np.random.default_rng(plan.seed)
        makers = {
            "background": self._background,
            "rigid": self._rigid,
            "deforming": self._deforming,
            "occluder": self._occluder,
        }
        (rest, triangles), at, metres = makers[plan.role](plan, generator)
        smooth = plan.role in ("rigid", "deforming") and plan.kind not in ANGULAR
        background = plan.role == "background"
        picture = self._picture(plan.appearance, generator)
        return Thing(plan, rest, triangles, at, make_surface(picture, metres, smooth, background, generator))

    def _picture(self, appearance: str, generator: np.random.Generator) -> np.ndarray:
        kind, _, path = appearance.partition(":")
        if kind != "picture":
            return self.patterns[int(generator.integers(len(self.patterns)))]
        return read_picture(Path(path))

    def _background(self, plan: ThingPlan, generator: np.random.Generator) -> tuple:
        vertices, triangles = primitive("box", generator)
        corners = np.sign(vertices) * plan.size
        world = corners + np.array(plan.position)
        return (corners, triangles), lambda seconds: world, PATTERN_METRES

    def _rigid(self, plan: ThingPlan, generator: np.random.Generator) -> tuple:
        source, _, path = plan.kind.partition(":")
        kind = NO_MONKEY if plan.kind == "monkey" else plan.kind
        mesh = centred(load_mesh(path) if source == "mesh" else primitive(kind, generator), plan.size)
        seconds, before = self.frames / self.plan.fps, 1 / self.plan.fps
        # Between the smallest and the largest radius of the mesh, so it may sink in a little, or hover.
        radius = 0.8 * float(np.linalg.norm(mesh[0], axis=1).mean())
        flight = Flight(plan, radius, self.plan.gravity, seconds, before)

        def at(moment: float) -> np.ndarray:
            pose, place = flight.at(moment)
            return mesh[0] @ pose.T + place

        return mesh, at, plan.size / 2

    def _deforming(self, plan: ThingPlan, generator: np.random.Generator) -> tuple:
        body = make_body(plan.kind, plan.size, generator)
        start = np.array(plan.position)
        if body.height is not None:
            start[2] = body.height

        def at(moment: float) -> np.ndarray:
            return drifted(body.at(moment), plan, start, moment)

        return (body.at(0.0), body.triangles), at, plan.size / 2

    def _occluder(self, plan: ThingPlan, generator: np.random.Generator) -> tuple:
        mesh: Mesh = occluder(plan.kind, plan.size, generator)
        start = np.array(plan.position)
        return mesh, lambda moment: drifted(mesh[0], plan, start, moment), plan.size / 4


def drifted(corners: np.ndarray, plan: ThingPlan, start: np.ndarray, seconds: float) -> np.ndarray:
    """Corners (v, 3) of a thing that moves and turns evenly, in world metres."""
    pose = turn(np.array(plan.euler) + np.array(plan.spin) * seconds)
    return corners @ pose.T + start + np.array(plan.velocity) * seconds


def unit(vectors: np.ndarray) -> np.ndarray:
    """(..., 3) -> the same with length 1; a zero vector stays unchanged."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(length > 0, length, 1)


def _crosses(corners: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    a, b, c = (corners[triangles[:, i]] for i in range(3))
    return np.cross(b - a, c - a)
