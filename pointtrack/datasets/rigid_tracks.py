"""Tracks from a renderer's depth and object maps and poses (rigid objects, as in Kubric)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange

from pointtrack.datasets.clip import TrueTracks

SKY = 1e6  # anything farther away has no position
NEARER = 1.01  # a point is covered if something in the picture is nearer by more than this factor


@dataclass(frozen=True, eq=False)
class Rendering:
    """A rendered clip of rigid objects in front of a background that stands still.

    Args:
        depth: (t, h, w) distance of what each pixel shows from the centre of the camera.
        labels: (t, h, w) uint8: 0 background, else 1 + the number of the object.
        focal_px: focal length in pixels.
        camera_xyz, camera_wxyz: (t, 3) position and (t, 4) rotation of the camera; it looks along its -z, y is up.
        object_xyz, object_wxyz: (s, t, 3) and (s, t, 4) position and rotation of every object.
    """

    depth: np.ndarray
    labels: np.ndarray
    focal_px: float
    camera_xyz: np.ndarray
    camera_wxyz: np.ndarray
    object_xyz: np.ndarray
    object_wxyz: np.ndarray

    def __post_init__(self) -> None:
        t, h, w = self.depth.shape
        s = len(self.object_xyz)
        expected = {
            "labels": (t, h, w),
            "camera_xyz": (t, 3),
            "camera_wxyz": (t, 4),
            "object_xyz": (s, t, 3),
            "object_wxyz": (s, t, 4),
        }
        for name, shape in expected.items():
            got = getattr(self, name).shape
            if got != shape:
                raise ValueError(f"rendered clip {name}: expected shape {shape}, got {got}")
        if int(self.labels.max(initial=0)) > s:
            raise ValueError(
                f"rendered clip: expected labels up to {s}, as many objects have poses, got {self.labels.max()}"
            )


def rendered_tracks(rendering: Rendering, points: int, generator: np.random.Generator) -> TrueTracks:
    """Draw points from pixels of all frames and follow them.

    A pixel's depth gives its position in the scene, its object's pose moves it to other frames, and the camera
    projects it there. It is covered where all four pixels around it show something nearer than it by 1 %, or
    none of them shows its object.

    Args:
        points: how many to draw; fewer come back if fewer pixels show anything. Large objects get less than
            their share of the picture, small ones more.

    Returns:
        Tracks with object ids; the query frame of each point is the frame it was drawn on.
    """
    t, h, w = rendering.depth.shape
    frame, row, column = (generator.integers(size, size=20 * points) for size in (t, h, w))
    seen = np.unique(np.stack([frame, row, column], axis=1), axis=0)
    frame, row, column = seen[rendering.depth[tuple(seen.T)] < SKY].T
    label = rendering.labels[frame, row, column].astype(int)
    share = 1 / np.sqrt(np.bincount(label, minlength=1))[label]
    chosen = np.sort(
        generator.choice(len(label), min(points, len(label)), replace=False, p=share / share.sum())
    )
    frame, row, column, label = (x[chosen] for x in (frame, row, column, label))
    pixel = np.stack([column, row], axis=-1).astype(float)
    place = _unproject(rendering, frame, pixel, rendering.depth[frame, row, column])
    world = _moved(rendering, frame, label, place)
    xy, distance = _project(rendering, world)
    visible = _uncovered(rendering, xy, distance, label)
    visible[frame, np.arange(len(frame))] = True
    return TrueTracks(
        torch.from_numpy(xy),
        torch.from_numpy(visible),
        object_ids=torch.from_numpy(label),
        query_frame=torch.from_numpy(frame),
    )


def rotations(wxyz: np.ndarray) -> np.ndarray:
    """(..., 4) quaternions (w, x, y, z) of any length -> (..., 3, 3) rotation matrices."""
    w, x, y, z = np.moveaxis(wxyz / np.linalg.norm(wxyz, axis=-1, keepdims=True), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def _centre(rendering: Rendering) -> np.ndarray:
    _, h, w = rendering.depth.shape
    return np.array([(w - 1) / 2, (h - 1) / 2])


def _unproject(rendering: Rendering, frame: np.ndarray, pixel: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """(n,) frames, (n, 2) pixels, (n,) distances -> (n, 3) positions in the scene."""
    ray = (pixel - _centre(rendering)) * (1, -1) / rendering.focal_px
    ray = np.concatenate([ray, -np.ones((len(ray), 1))], axis=1)
    ray *= depth[:, None] / np.linalg.norm(ray, axis=1, keepdims=True)
    turn = rotations(rendering.camera_wxyz)[frame]
    return np.einsum("n i j, n j -> n i", turn, ray) + rendering.camera_xyz[frame]


def _moved(rendering: Rendering, frame: np.ndarray, label: np.ndarray, place: np.ndarray) -> np.ndarray:
    """(n, 3) positions on one frame each -> (t, n, 3) positions on all frames."""
    world = np.repeat(place[None], len(rendering.depth), axis=0)
    on_object = np.flatnonzero(label)
    if len(on_object):
        owner, at = label[on_object] - 1, frame[on_object]
        turn = rotations(rendering.object_wxyz)
        offset = place[on_object] - rendering.object_xyz[owner, at]
        own = np.einsum("n j i, n j -> n i", turn[owner, at], offset)
        moved = np.einsum("n t i j, n j -> n t i", turn[owner], own) + rendering.object_xyz[owner]
        world[:, on_object] = rearrange(moved, "n t xyz -> t n xyz")
    return world


def _project(rendering: Rendering, world: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(t, n, 3) positions -> (t, n, 2) pixels, NaN behind the camera; (t, n) distances."""
    offset = world - rendering.camera_xyz[:, None]
    seen = np.einsum("t j i, t n j -> t n i", rotations(rendering.camera_wxyz), offset)
    forward = np.where(-seen[..., 2] > 1e-6, -seen[..., 2], np.nan)
    xy = _centre(rendering) + rendering.focal_px * seen[..., :2] * (1, -1) / forward[..., None]
    return xy, np.linalg.norm(offset, axis=-1)


def _uncovered(rendering: Rendering, xy: np.ndarray, distance: np.ndarray, label: np.ndarray) -> np.ndarray:
    """(t, n) bool: in the image, and not covered by what the four pixels around show."""
    t, h, w = rendering.depth.shape
    inside = np.all((xy >= -0.5) & (xy < (w - 0.5, h - 0.5)), axis=-1)
    low = np.floor(np.where(inside[:, :, None], xy, 0)).astype(int)
    farthest = np.zeros(distance.shape)
    same = np.zeros(distance.shape, bool)
    at = np.arange(t)[:, None]
    for step in ((0, 0), (0, 1), (1, 0), (1, 1)):
        column, row = np.clip(low[..., 0] + step[0], 0, w - 1), np.clip(low[..., 1] + step[1], 0, h - 1)
        farthest = np.maximum(farthest, rendering.depth[at, row, column])
        same |= rendering.labels[at, row, column] == label
    return inside & same & (distance <= NEARER * farthest)
