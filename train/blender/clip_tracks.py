"""Exact tracks of the bundled clip, from rays into the posed scene, and a check against the renderer itself.

Pixels are (x, y) with (0, 0) the centre of the top-left pixel: Blender's image coordinate minus 0.5.
"""

from pathlib import Path

import bpy
import numpy as np
from mathutils import Vector

from train.blender.clip_scene import TRACKED, pose_scene, vertices_of
from train.kubric.geometry import bilinear

Tracks = dict[str, np.ndarray]

# Number of queries on each object.
QUOTA = {
    "floor": 34, "wall": 34, "monkey": 34, "pedestal": 10, "tube": 32, "banner": 30, "ball": 28, "box": 28,
    "ring": 18, "post": 8,
}  # fmt: skip
# Share of the queries that starts at each moment, as a fraction of the clip.
QUERY_STARTS = ((0.0, 0.6), (0.2, 0.1), (0.4, 0.1), (0.6, 0.1), (0.8, 0.1))
# A ray that stops short of its point by at most this share of the distance counts as reaching it.
DEPTH_TOLERANCE = 5e-4
# Distance of a query from the outline of its object, so that rounding cannot put it on another object.
EDGE_PX = 2.0


class Pinhole:
    """The posed camera of the scene: pixels <-> rays."""

    def __init__(self, camera: bpy.types.Object, wh: tuple[int, int]) -> None:
        if wh[0] < wh[1]:
            raise ValueError(
                f"expected a landscape image, got {wh[0]}x{wh[1]}: the lens is set for the width"
            )
        pose = np.array(camera.matrix_world)
        self.place, self.turn = pose[:3, 3], pose[:3, :3]
        self.focal_px = camera.data.lens / camera.data.sensor_width * wh[0]
        self.centre = (np.array(wh) - 1) / 2

    def project(self, xyz: np.ndarray) -> np.ndarray:
        """(n, 3) world metres -> (n, 2) pixels."""
        seen = (xyz - self.place) @ self.turn
        assert (seen[:, 2] < 0).all(), "a point lies behind the camera"
        flat = seen[:, :2] / -seen[:, 2:]
        return self.centre + self.focal_px * flat * (1, -1)

    def directions(self, xy: np.ndarray) -> np.ndarray:
        """(n, 2) pixels -> (n, 3) unit directions in the world."""
        flat = (xy - self.centre) / self.focal_px * (1, -1)
        rays = np.concatenate([flat, -np.ones((len(xy), 1))], axis=1) @ self.turn.T
        return rays / np.linalg.norm(rays, axis=1, keepdims=True)


def world_vertices(thing: bpy.types.Object) -> np.ndarray:
    """(v, 3) float64 posed vertices in world metres."""
    pose = np.array(thing.matrix_world)
    return vertices_of(thing.data).astype(np.float64) @ pose[:3, :3].T + pose[:3, 3]


def triangles_of(thing: bpy.types.Object) -> np.ndarray:
    """(f, 3) vertex indices; every mesh of the scene is triangulated when it is made."""
    flat = np.empty(3 * len(thing.data.polygons), np.int64)
    thing.data.polygons.foreach_get("vertices", flat)
    return flat.reshape(-1, 3)


def barycentric(corners: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Weights (3,) of a point in the plane of a triangle with corners (3, 3)."""
    edges = (corners[1:] - corners[0]).T
    second, third = np.linalg.lstsq(edges, point - corners[0], rcond=None)[0]
    return np.array([1 - second - third, second, third])


def cast(lens: Pinhole, xy: np.ndarray) -> list[tuple[str, int, np.ndarray] | None]:
    """What each pixel (n, 2) shows: object name, triangle and world point, or None."""
    graph = bpy.context.evaluated_depsgraph_get()
    place, found = Vector(lens.place), []
    for direction in lens.directions(xy):
        hit, point, _, face, thing, _ = bpy.context.scene.ray_cast(graph, place, Vector(direction))
        found.append((thing.name, face, np.array(point)) if hit else None)
    return found


def pick_spread(xy: np.ndarray, count: int, generator: np.random.Generator) -> list[int]:
    """Indices of `count` points far from each other: farthest-point sampling from a random start."""
    chosen = [int(generator.integers(len(xy)))]
    distance = np.linalg.norm(xy - xy[chosen[0]], axis=1)
    while len(chosen) < min(count, len(xy)):
        # A random factor keeps the choice from running along the outline of the object.
        chosen.append(int(np.argmax(distance * generator.uniform(0.3, 1.0, len(xy)))))
        distance = np.minimum(distance, np.linalg.norm(xy - xy[chosen[-1]], axis=1))
    return chosen


def find_queries(
    lens: Pinhole, wh: tuple[int, int], share: float, generator: np.random.Generator
) -> list[tuple[str, int, np.ndarray]]:
    """(name, triangle, world point) of the queries of one posed frame, spread over each object in view."""
    step = 5.0
    columns, rows = np.arange(4, wh[0] - 5, step), np.arange(4, wh[1] - 5, step)
    grid = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2)
    grid = grid + generator.uniform(0, step, grid.shape).clip(0, step - 1e-3)
    grid = grid[(grid <= np.array(wh) - 4).all(axis=1)]
    centre = cast(lens, grid)
    around = [cast(lens, grid + np.array(o) * EDGE_PX) for o in ((1, 0), (-1, 0), (0, 1), (0, -1))]
    picked = []
    for name, quota in QUOTA.items():
        inside = [
            i for i, hit in enumerate(centre)
            if hit and hit[0] == name and all(side[i] and side[i][0] == name for side in around)
        ]  # fmt: skip
        if inside:
            count = max(1, round(share * quota))
            picked += [centre[inside[k]] for k in pick_spread(grid[inside], count, generator)]
    return picked


def make_tracks(things: dict[str, bpy.types.Object], frames: int, wh: tuple[int, int], seed: int) -> Tracks:
    """Finds queries, and the positions of their surface points in every frame.

    Returns:
        xy (t, n, 2) float32 pixels, not clamped to the image; visible (t, n) bool: inside the image (between
        the centres of the outermost pixels) and reached by the camera's ray; query_frame and object_id (n,)
        int64; object_names (o,).
    """
    generator = np.random.default_rng(seed)
    queries = []
    for start, share in QUERY_STARTS:
        frame = round(start * (frames - 1))
        pose_scene(things, frame, frames, seed)
        for name, face, point in find_queries(Pinhole(things["camera"], wh), wh, share, generator):
            corners = triangles_of(things[name])[face]
            weights = barycentric(world_vertices(things[name])[corners], point)
            assert weights.min() > -1e-3, f"a ray's point lies outside its triangle on {name}: {weights}"
            queries.append((frame, name, corners, weights))

    xy = np.empty((frames, len(queries), 2))
    visible = np.empty((frames, len(queries)), bool)
    for frame in range(frames):
        pose_scene(things, frame, frames, seed)
        lens = Pinhole(things["camera"], wh)
        posed = {name: world_vertices(things[name]) for name in TRACKED}
        points = np.stack([weights @ posed[name][corners] for _, name, corners, weights in queries])
        xy[frame] = lens.project(points)
        visible[frame] = reached(lens, points) & in_image(xy[frame], wh)
    tracks = {
        "xy": xy.astype(np.float32),
        "visible": visible,
        "query_frame": np.array([query[0] for query in queries], np.int64),
        "object_id": np.array([TRACKED.index(query[1]) for query in queries], np.int64),
        "object_names": np.array(TRACKED),
    }
    at_query = visible[tracks["query_frame"], np.arange(len(queries))]
    assert at_query.all(), f"{(~at_query).sum()} queries are hidden in their own frame"
    return tracks


def in_image(xy: np.ndarray, wh: tuple[int, int]) -> np.ndarray:
    """(..., 2) pixels -> (...) bool: between the centres of the outermost pixels."""
    return ((xy >= 0) & (xy <= np.array(wh) - 1)).all(-1)


def reached(lens: Pinhole, points: np.ndarray) -> np.ndarray:
    """(n,) bool: the camera has a free view of each world point (n, 3)."""
    graph = bpy.context.evaluated_depsgraph_get()
    free = []
    for point in points:
        way = point - lens.place
        distance = np.linalg.norm(way)
        reach = float(distance * (1 - DEPTH_TOLERANCE))
        hit = bpy.context.scene.ray_cast(graph, Vector(lens.place), Vector(way / distance), distance=reach)[0]
        free.append(not hit)
    return np.array(free)


def summary(tracks: Tracks, wh: tuple[int, int]) -> str:
    """Counts for the log: points by object, and how many reappear after being hidden or out of the picture."""
    visible, xy = tracks["visible"], tracks["xy"]
    frame = np.arange(len(visible))[:, None]
    between = (frame > visible.argmax(0)) & (frame < len(visible) - 1 - visible[::-1].argmax(0))
    outside = ~in_image(xy, wh)
    ids, counts = np.unique(tracks["object_id"], return_counts=True)
    by_object = ", ".join(f"{tracks['object_names'][i]} {c}" for i, c in zip(ids, counts, strict=True))
    return (
        f"{visible.shape[1]} points ({by_object}); visible {visible.mean():.1%}; "
        f"hidden and back {(between & ~visible & ~outside).any(0).sum()}; "
        f"left the frame {outside.any(0).sum()}, and back {(between & outside).any(0).sum()}; "
        f"queried after frame 0: {(tracks['query_frame'] > 0).sum()}"
    )


def render_passes(folder: Path, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Object index (h, w) and world position (h, w, 3) at the centre of each pixel, from Cycles.

    Leaves the scene set up for passes, so render the pictures first.
    """
    scene = bpy.context.scene
    scene.view_layers[0].use_pass_object_index = True
    scene.view_layers[0].use_pass_position = True
    scene.cycles.samples, scene.cycles.use_denoising, scene.cycles.seed = 1, False, seed
    # The narrowest filter, so that the only sample goes through the centre of the pixel.
    scene.cycles.pixel_filter_type, scene.cycles.filter_width = "BLACKMAN_HARRIS", 0.01
    scene.use_nodes = True
    tree = scene.node_tree
    tree.nodes.clear()
    layers = tree.nodes.new("CompositorNodeRLayers")
    images = []
    for output, kind in (("IndexOB", "index"), ("Position", "position")):
        writer = tree.nodes.new("CompositorNodeOutputFile")
        writer.base_path = str(folder)
        writer.format.file_format, writer.format.color_depth = "OPEN_EXR", "32"
        writer.file_slots[0].path = kind
        tree.links.new(layers.outputs[output], writer.inputs[0])
    bpy.ops.render.render()
    for kind in ("index", "position"):
        image = bpy.data.images.load(str(folder / f"{kind}{scene.frame_current:04d}.exr"))
        image.colorspace_settings.name = "Non-Color"
        pixels = np.empty(image.size[0] * image.size[1] * image.channels, np.float32)
        image.pixels.foreach_get(pixels)
        # Blender stores the bottom row first.
        images.append(pixels.reshape(image.size[1], image.size[0], image.channels)[::-1])
        bpy.data.images.remove(image)
    return np.rint(images[0][..., 0]).astype(int), images[1][..., :3].astype(np.float64)


def check_against_renderer(
    things: dict[str, bpy.types.Object], tracks: Tracks, wh: tuple[int, int], seed: int, folder: Path
) -> None:
    """Compares visible points with Cycles' own passes in five frames; an assertion fails if they disagree.

    Two checks: a point lies on a pixel of its own object; and if all pixels around it show that object, the world
    position from Cycles projects back onto the point. The second check is absolute: a half-pixel error in the
    convention would show as 0.5 px.
    """
    frames = len(tracks["xy"])
    own, near, errors = [], [], []
    for frame in sorted({round(s * (frames - 1)) for s in (0, 0.3, 0.5, 0.75, 1)}):
        pose_scene(things, frame, frames, seed)
        index, position = render_passes(folder, seed)
        seen = tracks["visible"][frame]
        xy, expected = tracks["xy"][frame][seen].astype(np.float64), tracks["object_id"][seen] + 1
        x, y = np.rint(xy).astype(int).T
        own.append(index[y, x] == expected)
        padded = np.pad(index, 1, constant_values=-1)
        patches = np.stack([padded[y + dy, x + dx] for dy in range(3) for dx in range(3)], axis=1)
        near.append((patches == expected[:, None]).any(1))
        clean = (patches == expected[:, None]).all(1)
        back = Pinhole(things["camera"], wh).project(bilinear(position, xy[clean]))
        errors.append(np.linalg.norm(back - xy[clean], axis=1))
    own, near, errors = np.concatenate(own), np.concatenate(near), np.concatenate(errors)
    middle, high = np.percentile(errors, (50, 95))
    print(
        f"check: {len(own)} visible points, {own.mean():.2%} on their own object's pixel, {near.mean():.2%} "
        f"within 1 px; position error in px: median {middle:.4f}, p95 {high:.4f}"
    )
    assert own.mean() >= 0.97, "too many visible points lie on pixels of another object"
    assert near.mean() >= 0.995, "visible points lie more than a pixel from their object"
    assert middle < 0.1, "tracks and render disagree: is the half-pixel convention right?"
