"""Pixels, rays and triangles, without Blender: (0, 0) is the centre of the top-left pixel, y runs down."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class Pinhole:
    """A posed camera.

    Attributes:
        pose: (4, 4) camera to world; the camera looks along its own -z, with y up, as in Blender.
        focal_px: focal length in pixels.
        wh: width and height of the picture in pixels.
    """

    pose: np.ndarray
    focal_px: float
    wh: tuple[int, int]

    @property
    def place(self) -> np.ndarray:
        """(3,) world metres."""
        return self.pose[:3, 3]

    @property
    def centre(self) -> np.ndarray:
        """(2,) principal point in pixels."""
        return (np.array(self.wh) - 1) / 2

    def project(self, xyz: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n, 3) world metres -> (n, 2) pixels, not clamped, and (n,) bool: in front of the camera.

        Pixels of points behind the camera, or within a centimetre of its plane, are finite but meaningless.
        """
        seen = (xyz - self.place) @ self.pose[:3, :3]
        front = seen[:, 2] < -0.01
        depth = np.where(front, -seen[:, 2], 1.0)[:, None]
        return self.centre + self.focal_px * seen[:, :2] / depth * (1, -1), front

    def directions(self, xy: np.ndarray) -> np.ndarray:
        """(n, 2) pixels -> (n, 3) unit directions in the world."""
        flat = (xy - self.centre) / self.focal_px * (1, -1)
        rays = np.concatenate([flat, -np.ones((len(xy), 1))], axis=1) @ self.pose[:3, :3].T
        return rays / np.linalg.norm(rays, axis=1, keepdims=True)


def in_image(xy: np.ndarray, wh: tuple[int, int]) -> np.ndarray:
    """(..., 2) pixels -> (...) bool: on the picture, which extends half a pixel beyond the last centres."""
    return np.asarray(((xy >= -0.5) & (xy < np.array(wh) - 0.5)).all(-1))


def barycentric(corners: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Weights (n, 3) of the corners (n, 3, 3) of a triangle that give each point (n, 3).

    Points off the plane are projected onto it; a triangle without area gives all weight to its first corner.
    """
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    way = points - corners[:, 0]
    aa, ab, bb = (a * a).sum(1), (a * b).sum(1), (b * b).sum(1)
    wa, wb = (way * a).sum(1), (way * b).sum(1)
    area = aa * bb - ab * ab
    safe = np.where(area > 0, area, 1.0)
    second = np.where(area > 0, (bb * wa - ab * wb) / safe, 0.0)
    third = np.where(area > 0, (aa * wb - ab * wa) / safe, 0.0)
    return np.stack([1 - second - third, second, third], axis=1)


def pick_spread(xy: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """Indices of `count` of the points (n, 2), or all, far from each other, beginning with a random one."""
    count = min(count, len(xy))
    if count == 0:
        return np.zeros(0, np.int64)
    chosen = [int(generator.integers(len(xy)))]
    distance = np.linalg.norm(xy - xy[chosen[0]], axis=1)
    while len(chosen) < count:
        distance[chosen[-1]] = -1
        # A random factor keeps the choices from following the outline of the object.
        weights = distance * generator.uniform(0.3, 1.0, len(xy))
        chosen.append(int(np.argmax(np.where(distance < 0, -1, weights))))
        distance = np.where(
            distance < 0, -1, np.minimum(distance, np.linalg.norm(xy - xy[chosen[-1]], axis=1))
        )
    return np.array(chosen)


def share_out(total: int, sizes: np.ndarray, largest: float) -> np.ndarray:
    """Divides `total` query points among objects by the root of how many pixels each shows.

    Args:
        total: number of points to share out.
        sizes: (o,) number of candidates of each object; no object gets more than that.
        largest: largest share of the total for one object, as long as others can take the rest.

    Returns:
        (o,) int64; the sum is `total` if there are enough candidates.
    """
    given = np.zeros(len(sizes), np.int64)
    limit = np.minimum(sizes, int(np.ceil(largest * total)))
    for cap in (limit, sizes):
        while given.sum() < total and (given < cap).any():
            weights = np.sqrt(sizes) * (given < cap)
            more = np.maximum(np.floor((total - given.sum()) * weights / weights.sum()), weights > 0)
            for i in np.argsort(-weights):
                give = min(int(more[i]), int(cap[i] - given[i]), int(total - given.sum()))
                given[i] += max(give, 0)
    return given


def bilinear(image: np.ndarray, xy: np.ndarray) -> np.ndarray:
    """(h, w, c) sampled at (n, 2) pixels, clamped to the picture -> (n, c)."""
    high = np.array(image.shape[1::-1]) - 1
    xy = np.clip(xy, 0, high)
    low = np.minimum(np.floor(xy).astype(int), high - 1)
    fraction = xy - low
    total = np.zeros((len(xy), image.shape[2]))
    for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
        weight = np.abs(1 - dx - fraction[:, 0]) * np.abs(1 - dy - fraction[:, 1])
        total += weight[:, None] * image[low[:, 1] + dy, low[:, 0] + dx]
    return total
