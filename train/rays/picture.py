"""Draws a posed scene: several rays per pixel, spread over the pixel and over the time the shutter is open."""

from __future__ import annotations

import math

import cv2
import numpy as np

from train.kubric.plan import ClipPlan
from train.rays.scene import Hits, PosedRays, RayStage, unit
from train.rays.surface import GAMMA, mirrored_lookup

LIFTED = 1e-3  # a ray to the sun starts this far off the surface, as a share of the distance to the camera
MOMENTS = 2  # number of poses of the scene while the shutter is open
EXPOSED = 0.25  # approximate mean linear brightness of the first frame
SKY_TURNS = 3.0  # how often the sky's picture, mirrored, goes round the horizon


class Painter:
    """Renders frames of one clip.

    Args:
        stage: the scene.
        samples: rays per pixel.
        sky: (h, w, 3) uint8 picture behind everything.
        generator: draws the light, and the positions of rays within a pixel.
    """

    def __init__(
        self, stage: RayStage, samples: int, sky: np.ndarray, generator: np.random.Generator
    ) -> None:
        self.stage, self.samples = stage, samples
        blurred = cv2.GaussianBlur(sky.astype(np.float32) / 255, (0, 0), generator.uniform(0.5, 4))
        self.sky = blurred**GAMMA
        self.sun = unit(np.array(stage.plan.sun))
        self.sun_colour, self.above, self.below = _light(stage.plan, generator)
        self.turned = stage.plan.sky_turn
        self.generator = generator
        self.exposure = 1.0
        first = self._linear(stage.posed(0), np.zeros(2))
        self.exposure = EXPOSED * math.exp(generator.normal(0, 0.3)) / max(float(first.mean()), 1e-3)

    def draw(self, frame: int) -> np.ndarray:
        """(h, w, 3) uint8 sRGB of a frame, counted from 0."""
        total = np.zeros((*self.stage.wh[::-1], 3), np.float32)
        shutter = self.stage.plan.shutter
        moments = 1 if shutter == 0 else min(MOMENTS, self.samples)
        # One ray per cell of a grid in the pixel, each at one of the moments.
        side = max(round(math.sqrt(self.samples)), 1)
        order = self.generator.permutation(self.samples)
        for number, cells in enumerate(np.array_split(order, moments)):
            posed = self.stage.posed(frame + shutter * ((number + 0.5) / moments - 0.5))
            for cell in cells:
                total += self._linear(
                    posed, (np.array((cell % side, cell // side % side)) + 0.5) / side - 0.5
                )
        linear = np.clip(total / self.samples * self.exposure, 0, 1)
        return (255 * linear ** (1 / GAMMA)).round().astype(np.uint8)

    def _linear(self, posed: PosedRays, offset: np.ndarray) -> np.ndarray:
        """(h, w, 3) float32 linear light of rays at an offset (2,) from the centres of the pixels."""
        w, h = self.stage.wh
        xy = np.stack(np.meshgrid(np.arange(w), np.arange(h)), axis=-1).reshape(-1, 2) + offset
        directions = posed.lens.directions(xy)
        hits = posed.meet(np.broadcast_to(posed.lens.place, directions.shape), directions)
        colours = np.empty((len(xy), 3), np.float32)
        there = hits.thing >= 0
        colours[~there] = self._sky(directions[~there])
        colours[there] = self._shade(posed, hits, directions, there)
        return colours.reshape(h, w, 3)

    def _sky(self, directions: np.ndarray) -> np.ndarray:
        around = np.arctan2(directions[:, 1], directions[:, 0]) + self.turned
        up = np.arcsin(directions[:, 2].clip(-1, 1))
        width = self.sky.shape[1]
        place = np.stack([around, -up], axis=1) * (SKY_TURNS * width / (2 * math.pi)) + width / 2
        return 1.5 * mirrored_lookup(self.sky, place)

    def _shade(self, posed: PosedRays, hits: Hits, directions: np.ndarray, there: np.ndarray) -> np.ndarray:
        """(m, 3) light of the pixels that show a thing."""
        thing, face, weights = hits.thing[there], hits.face[there], hits.weights[there]
        away = hits.distance[there]
        ways = directions[there]
        normals, albedo = np.empty((len(thing), 3)), np.empty((len(thing), 3), np.float32)
        shine, hardness = np.zeros(len(thing)), np.ones(len(thing))
        for number in np.unique(thing):
            own = thing == number
            one = posed.things[number]
            corners = one.triangles[face[own]]
            rest = np.einsum("nk,nkc->nc", weights[own], one.rest[corners])
            if one.surface.smooth:
                normals[own] = np.einsum("nk,nkc->nc", weights[own], posed.normals(number)[corners])
            else:
                a, b, c = (posed.posed[number][corners[:, i]] for i in range(3))
                normals[own] = np.cross(b - a, c - a)
            footprint = away[own] / posed.lens.focal_px
            albedo[own] = one.surface.colours(rest, one.face_normals[face[own]], footprint)
            shine[own], hardness[own] = one.surface.shine, one.surface.hardness
        normals = unit(normals)
        # Sheets are visible from both sides.
        normals *= np.where((normals * ways).sum(1) > 0, -1, 1)[:, None]
        share = (0.5 + 0.5 * normals[:, 2])[:, None]
        light = share * self.above + (1 - share) * self.below
        reflected = np.zeros(len(thing))
        if self.stage.plan.sun_strength:
            facing = (normals @ self.sun).clip(0)
            places = posed.lens.place + ways * away[:, None] + normals * (LIFTED * away[:, None])
            lit = posed.meet(places, np.broadcast_to(self.sun, places.shape)).thing < 0
            light = light + (facing * lit)[:, None] * self.sun_colour
            halfway = unit(self.sun - ways)
            reflected = lit * shine * (normals * halfway).sum(1).clip(0) ** hardness
        return albedo * light.astype(np.float32) + reflected[:, None].astype(np.float32) * self.sun_colour


def _light(plan: ClipPlan, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Colours (3,) of the sun, and of the light from above and from below."""
    warm = np.array((1.0, 0.92, 0.8)) ** generator.uniform(0, 2)
    cold = np.array((0.85, 0.93, 1.0)) ** generator.uniform(0, 2)
    above = plan.sky_strength * cold
    below = above * generator.uniform(0.25, 0.7)
    return (
        (1.5 * plan.sun_strength * warm).astype(np.float32),
        above.astype(np.float32),
        below.astype(np.float32),
    )
