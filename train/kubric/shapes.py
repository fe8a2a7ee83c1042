"""Meshes from numpy alone: sheets, swept tubes, and thin occluders made of tubes. Metres; z is up.

A mesh is (vertices (v, 3) float64, triangles (f, 3) int64); triangles turn anticlockwise seen from outside.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

Mesh = tuple[np.ndarray, np.ndarray]


def join(meshes: Iterable[Mesh]) -> Mesh:
    """Joins several pieces into one mesh, in their order."""
    vertices, triangles, count = [], [], 0
    for points, faces in meshes:
        vertices.append(points)
        triangles.append(faces + count)
        count += len(points)
    return np.concatenate(vertices), np.concatenate(triangles)


def sheet(width: float, height: float, cells: tuple[int, int]) -> Mesh:
    """A flat grid in the xz plane, centred, with cells[0] columns and cells[1] rows."""
    columns, rows = cells[0] + 1, cells[1] + 1
    x, z = np.meshgrid(
        np.linspace(-width / 2, width / 2, columns), np.linspace(-height / 2, height / 2, rows)
    )
    vertices = np.stack([x.ravel(), np.zeros(x.size), z.ravel()], axis=1)
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    right, up, across = corner + 1, corner + columns, corner + columns + 1
    return vertices, np.concatenate(
        [np.stack([corner, right, across], 1), np.stack([corner, across, up], 1)]
    ).astype(np.int64)


def tube_triangles(rings: int, sides: int) -> np.ndarray:
    """(f, 3) triangles of a swept tube: `rings` closed rings of `sides` corners and a pole at either end."""
    ring, side = np.meshgrid(np.arange(rings - 1), np.arange(sides), indexing="ij")
    a = ring * sides + side
    b = ring * sides + (side + 1) % sides
    c, d = a + sides, b + sides
    walls = np.concatenate([np.stack([a, b, d], -1).reshape(-1, 3), np.stack([a, d, c], -1).reshape(-1, 3)])
    rim = np.arange(sides)
    first, last, end = rings * sides, rings * sides + 1, (rings - 1) * sides
    start_cap = np.stack([np.full(sides, first), (rim + 1) % sides, rim], 1)
    end_cap = np.stack([np.full(sides, last), end + rim, end + (rim + 1) % sides], 1)
    return np.concatenate([walls, start_cap, end_cap]).astype(np.int64)


def sweep(
    curve: np.ndarray, radius: np.ndarray, across: np.ndarray, sides: int, twist: np.ndarray | float = 0.0
) -> np.ndarray:
    """Corners of a tube along a curve, in the order that tube_triangles expects.

    Args:
        curve: (m, 3) centres of the rings.
        radius: (m,) radius of each ring.
        across: (3,) a direction that is nowhere parallel to the curve. The ring's first corner lies in it, so that a
            moving curve does not make the surface spin.
        sides: corners per ring.
        twist: turn of each ring about the curve, radians, (m,) or one number.

    Returns:
        (m * sides + 2, 3).
    """
    along = np.gradient(curve, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    first = across - (along @ across)[:, None] * along
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(along, first)
    angle = np.arange(sides) * 2 * math.pi / sides + np.broadcast_to(twist, (len(curve),))[:, None]
    outward = np.cos(angle)[..., None] * first[:, None] + np.sin(angle)[..., None] * second[:, None]
    rings = curve[:, None] + radius[:, None, None] * outward
    return np.concatenate([rings.reshape(-1, 3), curve[:1], curve[-1:]])


def round_ends(share: np.ndarray, length: float, radius: float) -> np.ndarray:
    """Radius (m,) at each share of a tube's length in [0, 1]: `radius`, with half-spheres at the ends."""
    inside = np.clip(np.minimum(share, 1 - share) * length / radius, 0, 1)
    return radius * np.sqrt(np.maximum(1 - (1 - inside) ** 2, 1e-4))


def rod(start: np.ndarray, end: np.ndarray, radius: float, sides: int = 10) -> Mesh:
    """A straight tube with round ends."""
    way = end - start
    across = np.eye(3)[np.argmin(np.abs(way))]
    length = float(np.linalg.norm(way))
    share = np.array((0, 0.3, 1)) * radius / length
    share = np.concatenate([share, 1 - share[::-1]])
    curve = start + share[:, None] * way
    return sweep(curve, round_ends(share, length, radius), across, sides), tube_triangles(len(share), sides)


def occluder(kind: str, length: float, generator: np.random.Generator) -> Mesh:
    """A thin occluder in the xz plane, about `length` wide and high.

    Args:
        kind: "rods", "grid" or "branches".
        length: metres.
        generator: draws the number, thickness and position of the pieces.
    """
    radius = length * generator.uniform(0.006, 0.022)
    if kind == "rods":
        places = np.sort(generator.uniform(-0.5, 0.5, int(generator.integers(2, 7)))) * length
        leans = generator.normal(0, 0.12, len(places)) * length
        return join(
            rod(np.array((x - lean, 0, -0.7 * length)), np.array((x + lean, 0, 0.7 * length)), radius)
            for x, lean in zip(places, leans, strict=True)
        )
    if kind == "grid":
        half, gaps = length / 2, int(generator.integers(3, 8))
        lines = np.linspace(-half, half, gaps)
        upright = [rod(np.array((x, 0, -half)), np.array((x, 0, half)), 0.6 * radius) for x in lines]
        flat = [rod(np.array((-half, radius, z)), np.array((half, radius, z)), 0.6 * radius) for z in lines]
        return join(upright + flat)
    if kind == "branches":
        pieces: list[Mesh] = []
        radius = max(radius, 0.014 * length)
        for _ in range(int(generator.integers(2, 5))):
            start = np.array((generator.uniform(-0.5, 0.5) * length, 0, -0.7 * length))
            _grow(pieces, start, np.array((generator.normal(0, 0.3), 0, 1.0)), length, radius, generator)
        return join(pieces)
    raise ValueError(f"occluder: expected rods, grid or branches, got {kind!r}")


def _grow(
    pieces: list[Mesh],
    start: np.ndarray,
    heading: np.ndarray,
    length: float,
    radius: float,
    generator: np.random.Generator,
) -> None:
    """Adds a crooked branch and, while it is thick enough, smaller branches that grow from it."""
    heading = heading / np.linalg.norm(heading)
    share = np.linspace(0, 1, 14)
    bend = generator.normal(0, 0.25, 3) * (1, 0.3, 1)
    curve = start + length * (share[:, None] * heading + share[:, None] ** 2 * bend)
    # The branch stays near the xz plane, so y is never along it.
    thickness = radius * (1 - 0.7 * share)
    pieces.append((sweep(curve, thickness, np.array((0, 1.0, 0)), 8), tube_triangles(len(share), 8)))
    # A shorter branch is thicker for its length: two generations, none thinner than a pixel or so.
    if radius > 0.024 * length:
        return
    for at in generator.integers(4, 12, 2):
        side = heading + generator.normal(0, 0.8, 3) * (1, 0.2, 1)
        _grow(pieces, curve[at], side, 0.5 * length, 0.55 * radius, generator)
