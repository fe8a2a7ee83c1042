"""Rigid meshes without Blender, from files, and shapes of random proportions. Metres."""

from __future__ import annotations

import numpy as np
import trimesh

from train.kubric.shapes import Mesh


def load_mesh(path: str) -> Mesh:
    """Reads a mesh file and joins its pieces; raises ValueError if it holds no triangles."""
    shape = trimesh.load(path, force="mesh", process=False)
    if not isinstance(shape, trimesh.Trimesh) or len(shape.faces) == 0:
        raise ValueError(f"{path}: expected a mesh with triangles, got none")
    return np.asarray(shape.vertices, float), np.asarray(shape.faces, np.int64)


def centred(mesh: Mesh, size: float) -> Mesh:
    """The mesh with its hull's centre of mass at the origin and its longest side `size` metres."""
    vertices, triangles = mesh
    vertices = vertices - trimesh.Trimesh(vertices, triangles, process=False).convex_hull.center_mass
    return vertices * (size / np.ptp(vertices, axis=0).max()), triangles


def primitive(kind: str, generator: np.random.Generator) -> Mesh:
    """A "box", "sphere", "cylinder", "cone", "torus" or "capsule" of random proportions.

    Raises:
        ValueError: another kind.
    """
    create, a = trimesh.creation, generator.uniform(0.25, 1.0, 3)
    shapes = {
        "box": lambda: create.box(extents=a),
        "sphere": lambda: create.icosphere(subdivisions=4),
        "cylinder": lambda: create.cylinder(radius=a[0] / 2, height=a[1], sections=64),
        "cone": lambda: create.cone(radius=a[0] / 2, height=a[1] + 0.2, sections=64),
        "torus": lambda: create.torus(1.0, 0.15 + 0.4 * a[0], major_sections=64, minor_sections=32),
        "capsule": lambda: create.capsule(height=a[0] * 2, radius=a[1] / 2, count=(32, 32)),
    }
    if kind not in shapes:
        raise ValueError(f"shape: expected one of {', '.join(shapes)}, got {kind!r}")
    shape = shapes[kind]()
    return np.asarray(shape.vertices), np.asarray(shape.faces)
