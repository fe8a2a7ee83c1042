"""Appearance of surfaces: a picture projected from six sides, in linear light, without flicker far away."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

GAMMA = 2.2
SHARP = 6.0  # sharpness of the transition between the pictures of two sides
PAINTED = 0.05  # sides with less weight than this are not looked up
ROW = 1024  # cv2.remap takes no lists longer than 32,767, so they are folded into rows


@dataclass
class Surface:
    """A painted surface.

    Attributes:
        levels: pictures (h, w, 3) float32 in linear light, each half the size of the one before.
        metres: width of the first picture in metres.
        shine: strength of the sun's reflection.
        hardness: sharpness of that reflection; higher is smaller.
        smooth: shading rounds the edges.
    """

    levels: list[np.ndarray]
    metres: float
    shine: float
    hardness: float
    smooth: bool

    def look_up(self, uv: np.ndarray, footprint: np.ndarray) -> np.ndarray:
        """Colours (n, 3) at positions (n, 2) in metres, where a pixel covers `footprint` (n,) metres."""
        texel = self.metres / self.levels[0].shape[1]
        level = np.log2(np.maximum(footprint / texel, 1e-6)).round().clip(0, len(self.levels) - 1).astype(int)
        colours = np.empty((len(uv), 3), np.float32)
        for number in np.unique(level):
            own = level == number
            colours[own] = mirrored_lookup(self.levels[number], uv[own] / (texel * 2.0**number))
        return colours

    def colours(self, rest: np.ndarray, normal: np.ndarray, footprint: np.ndarray) -> np.ndarray:
        """Colours (n, 3) at positions (n, 3) of the resting thing with normals (n, 3), projected along the axes."""
        weight = np.abs(normal) ** SHARP
        weight /= weight.sum(1, keepdims=True)
        weight[weight < PAINTED] = 0
        weight /= weight.sum(1, keepdims=True)
        total = np.zeros((len(rest), 3), np.float32)
        for axis, plane in enumerate(((1, 2), (0, 2), (0, 1))):
            own = weight[:, axis] > 0
            if own.any():
                total[own] += weight[own, axis, None] * self.look_up(rest[own][:, plane], footprint[own])
        return total


def make_surface(
    picture: np.ndarray, unit: float, smooth: bool, background: bool, generator: np.random.Generator
) -> Surface:
    """A surface from a part of a picture, in random colours; fur, cloth and stone are often nearly plain.

    Args:
        picture: (h, w, 3) uint8 RGB.
        unit: metres that a pattern would span on this thing.
        smooth: edges are rounded by shading.
        background: floors and walls show more of a picture, with more contrast.
        generator: draws part, size, colours and shine.
    """
    h, w = picture.shape[:2]
    share = generator.uniform(0.6, 1.0) if background else math.exp(generator.uniform(math.log(0.2), 0))
    ph, pw = max(int(h * share), 16), max(int(w * share), 16)
    y, x = int(generator.integers(h - ph + 1)), int(generator.integers(w - pw + 1))
    linear = (picture[y : y + ph, x : x + pw].astype(np.float32) / 255) ** GAMMA
    mean = linear.mean((0, 1))
    contrast = generator.uniform(0.6, 1.2) if background else generator.uniform(0.15, 1.2)
    tint = np.exp(generator.normal(0, 0.25, 3)).astype(np.float32)
    level = math.exp(generator.uniform(math.log(0.08), math.log(0.5))) / max(float(mean.mean()), 0.02)
    painted = np.clip((mean + contrast * (linear - mean)) * tint * level, 0.005, 1.0).astype(np.float32)
    levels = [painted]
    while min(levels[-1].shape[:2]) > 4:
        levels.append(cv2.pyrDown(levels[-1]))
    metres = unit * (generator.uniform(1.5, 4.0) if background else generator.uniform(0.6, 2.5))
    shine = generator.uniform(0, 0.5) if generator.random() < 0.35 else 0.0
    return Surface(levels, metres, shine, math.exp(generator.uniform(2, 5)), smooth)


def mirrored_lookup(picture: np.ndarray, xy: np.ndarray) -> np.ndarray:
    """(h, w, 3) float32 at places (n, 2) in pixels, bilinear; beyond its edges the picture is mirrored."""
    if len(xy) == 0:
        return np.zeros((0, 3), np.float32)
    h, w = picture.shape[:2]
    folded = []
    for values, size in ((xy[:, 0], w), (xy[:, 1], h)):
        period = 2 * (size - 1)
        place = (size - 1) - np.abs(np.mod(values, period) - (size - 1))
        rows = -(-len(place) // ROW)
        folded.append(np.resize(place.astype(np.float32), (rows, ROW)))
    found = cv2.remap(picture, folded[0], folded[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return found.reshape(-1, 3)[: len(xy)]
