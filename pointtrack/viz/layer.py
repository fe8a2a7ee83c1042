"""A transparent layer over a frame, with subpixel signs for points, plates, and text."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import cv2
import numpy as np

SHIFT = 4  # cv2 draws at positions of 1/16 pixel
DARK = (16, 16, 20)
LIGHT = (240, 240, 240)
ARROWS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}  # directions, (x, y)


@dataclass(frozen=True, eq=False)
class Pen:
    """Draws with subpixel precision on a transparent layer with a margin around the image.

    Args:
        layer: (h + 2 * margin, w + 2 * margin, 4) uint8, colours multiplied by opacity, and the opacity.
        radius: radius of a dot in pixels.
        reach: pixels that a sign may extend from its centre.
    """

    layer: np.ndarray
    radius: float
    reach: int

    @classmethod
    def for_image(cls, wh: tuple[int, int], radius: float) -> Pen:
        """A pen with an empty layer."""
        reach = math.ceil(radius * 1.5) + 2
        return cls(np.zeros((wh[1] + 4 * reach, wh[0] + 4 * reach, 4), np.uint8), radius, reach)

    @property
    def margin(self) -> int:
        """Pixels around the image, so that a sign near the border is not cut."""
        return 2 * self.reach

    def image(self) -> np.ndarray:
        """(h, w, 4) layer without the margin."""
        return self.layer[self.margin : -self.margin, self.margin : -self.margin]

    def signs(self, kind: str, xy: np.ndarray, colors: np.ndarray) -> None:
        """Draw the signs of visible, hidden ("ring", "dot"), lost ("cross") points, or of those out of the image to the
        "left", "right", "up" or "down".

        Args:
            kind: which sign.
            xy: (n, 2) pixels of the image; points farther outside than `reach` are left out.
            colors: (n, 3) RGB, 0..255.
        """
        height, width = self.image().shape[:2]
        near = ((xy > -self.reach) & (xy < np.array([width, height]) - 1 + self.reach)).all(axis=-1)
        xy, colors = (xy[near] + self.margin).astype(np.float32), colors[near].astype(np.float32)
        if not len(xy):
            return
        corners = np.rint(xy).astype(int) - self.reach
        steps = np.arange(2 * self.reach + 1)
        dx = (corners[:, 0, None] + steps - xy[:, 0, None]).astype(np.float32)
        dy = (corners[:, 1, None] + steps - xy[:, 1, None]).astype(np.float32)
        shape, edge, opacity = _outline(kind, dx[:, None, :], dy[:, :, None], self.radius)
        # Coverage of a pixel by a shape whose border is `shape` pixels away from the pixel's centre.
        dark = (np.clip(0.5 - (shape - edge), 0, 1) * 0.75 * opacity)[..., None]
        fill = (np.clip(0.5 - shape, 0, 1) * opacity)[..., None]
        ink = np.pad(colors, ((0, 0), (0, 1)), constant_values=255)[:, None, None]
        patches = np.array([*DARK, 255], np.float32) * dark * (1 - fill) + ink * fill
        through = (1 - dark) * (1 - fill)
        for (left, top), patch, kept in zip(corners.tolist(), patches, through, strict=True):
            place = self.layer[top : top + len(steps), left : left + len(steps)]
            place[...] = place * kept + patch + 0.5


def _outline(kind: str, dx: np.ndarray, dy: np.ndarray, radius: float) -> tuple[np.ndarray, float, float]:
    """Signed distance to the border of a sign (negative inside), width of its dark edge, and its opacity."""
    distance = np.hypot(dx, dy)
    edge = min(max(radius * 0.28, 0.8), 2.0)
    if kind == "visible":
        return distance - radius, edge, 1.0
    if kind == "dot":
        return distance - 0.8 * radius, edge, 0.45
    if kind in ARROWS:  # a triangle with three equal sides, its corners at `radius`
        across, along = ARROWS[kind]
        ahead, aside = dx * across + dy * along, dx * along + dy * across
        behind = -(ahead + radius / 2)
        return np.maximum(behind, (ahead - radius) * 0.5 + np.abs(aside) * math.sqrt(0.75)), edge, 0.75
    half = max(radius * 0.2, 0.6)
    if kind == "ring":
        return np.abs(distance - 0.95 * radius) - half, 0.7 * edge, 0.7
    arms = []
    for along, across in ((dx + dy, dx - dy), (dx - dy, dx + dy)):
        beyond = np.maximum(np.abs(along) * math.sqrt(0.5) - radius, 0)
        arms.append(np.hypot(beyond, across * math.sqrt(0.5)))
    return np.minimum(*arms) - half, 0.7 * edge, 0.8


def draw_plate(layer: np.ndarray, corner: tuple[int, int], wh: tuple[int, int]) -> None:
    left, top = corner
    layer[max(top, 0) : max(top + wh[1], 0), max(left, 0) : max(left + wh[0], 0)] = ink_of(DARK, 0.6)


def stamp(layer: np.ndarray, mask: np.ndarray, corner: tuple[int, int]) -> None:
    """Lay light text over the layer; cut off what does not fit."""
    left, top = corner
    mask = mask[max(-top, 0) :, max(-left, 0) :]
    left, top = max(left, 0), max(top, 0)
    place = layer[top : top + mask.shape[0], left : left + mask.shape[1]]
    cover = mask[: place.shape[0], : place.shape[1], None] / 255.0
    place[...] = np.rint(place * (1 - cover) + np.array([*LIGHT, 255]) * cover)


@lru_cache(maxsize=256)
def text_mask(text: str, size: int) -> np.ndarray:
    """(h, w) uint8 coverage of a line of text, `size` the height of the letters in pixels."""
    from PIL import Image, ImageDraw, ImageFont  # imported here because plain drawing does not need Pillow

    font = ImageFont.load_default(size)
    left, _, right, _ = font.getbbox(text)
    # One height for every text, so that lines align: that of the tallest and of the lowest letters.
    top, bottom = font.getbbox("ifl|([{Äjg")[1::2]
    image = Image.new("L", (round(right - left) + 1, round(bottom - top) + 1))
    ImageDraw.Draw(image).text((-left, -top), text, fill=255, font=font)
    return np.asarray(image)


def shown_wh(wh: tuple[int, int], pixel_aspect: Fraction) -> tuple[int, int]:
    """The size of an image with square pixels that shows all pixels of one of size `wh`: the longer side of each counts."""
    return round(wh[0] * max(pixel_aspect, Fraction(1))), round(wh[1] / min(pixel_aspect, Fraction(1)))


def lay_over(frame: np.ndarray, layer: np.ndarray) -> np.ndarray:
    """The layer over the frame, as a new array."""
    colors, opacity = cv2.cvtColor(layer, cv2.COLOR_RGBA2RGB), cv2.extractChannel(layer, 3)
    under = cv2.multiply(frame, cv2.cvtColor(255 - opacity, cv2.COLOR_GRAY2RGB), scale=1 / 255)
    return cv2.add(under, colors)


def ink_of(color: Any, opacity: float) -> tuple[float, float, float, float]:
    """A colour multiplied by its opacity, and the opacity, as the layer holds them."""
    red, green, blue = (float(channel) * opacity for channel in color)
    return red, green, blue, 255.0 * opacity
