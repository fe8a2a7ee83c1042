"""Surfaces: procedural patterns in random colours, or pictures, that stick to a mesh as it bends.

Every pattern reads the vertex attribute "rest" (metres, in the undeformed mesh), as the bundled clip's do.
"""

from __future__ import annotations

import colorsys

import bpy
import numpy as np

from train.blender.clip_materials import Painter, linear_rgba

Socket = bpy.types.NodeSocket


def make_material(appearance: str, unit: float, generator: np.random.Generator) -> bpy.types.Material:
    """A material for one thing.

    Args:
        appearance: a pattern's name or "picture:<path>".
        unit: the thing's size in metres; the pattern repeats several times on it.
        generator: draws colours, scales and gloss.

    Raises:
        ValueError: there is no such pattern.
        RuntimeError: Blender cannot read the picture.
    """
    roughness = generator.uniform(0.25, 0.95)
    paint = Painter(appearance.partition(":")[0], roughness=float(roughness))
    paint.surface.inputs["Specular IOR Level"].default_value = float(generator.uniform(0.1, 0.6))
    if generator.random() < 0.08:
        paint.surface.inputs["Metallic"].default_value = 0.8
    kind, _, path = appearance.partition(":")
    if kind == "picture":
        return _picture(paint, path, unit, generator)
    if kind not in PATTERNS:
        raise ValueError(f"look: expected one of {', '.join(PATTERNS)} or picture:<path>, got {appearance!r}")
    colours = palette(int(generator.integers(4, 8)), generator)
    scale = float(np.exp(generator.uniform(np.log(4), np.log(14)))) / unit
    if kind == "plain":
        # Hardly any texture: hard for trackers.
        paint.tree.links.new(
            paint.ramp(paint.noise(0.3 * scale), [(0.3, colours[0]), (0.7, _near(colours[0], generator))]),
            paint.surface.inputs["Base Color"],
        )
        return paint.material
    colour = PATTERNS[kind](paint, colours, scale)
    relief = paint.noise(1.5 * scale, 4.0) if generator.random() < 0.25 else None
    return paint.finish(
        colour, float(generator.uniform(1.5, 4)) * scale, relief, float(generator.uniform(0.1, 0.7))
    )


def palette(count: int, generator: np.random.Generator) -> list[str]:
    """Colours "#rrggbb" around one or two hues, from dark to light."""
    hues = generator.uniform(0, 1, 2)
    colours = []
    for value in generator.permutation(np.linspace(0.15, 0.97, count)):
        hue = (hues[int(generator.integers(2))] + generator.normal(0, 0.05)) % 1
        rgb = colorsys.hsv_to_rgb(hue, float(generator.beta(1.6, 1.6)), float(value))
        colours.append("#" + "".join(f"{round(255 * c):02x}" for c in rgb))
    return colours


def _near(colour: str, generator: np.random.Generator) -> str:
    """A colour like the given one, a little lighter or darker."""
    levels = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    factor = generator.uniform(0.75, 1.25)
    return "#" + "".join(f"{min(round(level * factor), 255):02x}" for level in levels)


def _spread(colours: list[str], low: float = 0.3, high: float = 0.7) -> list[tuple[float, str]]:
    """Stops of a colour ramp over the range that noise covers."""
    places = np.linspace(low, high, len(colours))
    return [(float(place), colour) for place, colour in zip(places, colours, strict=True)]


def _cells(paint: Painter, colours: list[str], scale: float) -> Socket:
    return paint.palette(paint.voronoi(scale, "Color", at=paint.warped(scale, 0.3 / scale)), colours)


def _mosaic(paint: Painter, colours: list[str], scale: float) -> Socket:
    edge = paint.step(paint.voronoi(scale, "Distance", "DISTANCE_TO_EDGE"), 0.05)
    return paint.blend(
        linear_rgba(colours[0]), paint.palette(paint.voronoi(scale, "Color"), colours[1:]), edge
    )


def _bricks(paint: Painter, colours: list[str], scale: float) -> Socket:
    inputs = {
        "Vector": paint.warped(scale, 0.1 / scale),
        "Color1": linear_rgba(colours[0]),
        "Color2": linear_rgba(colours[1]),
        "Mortar": linear_rgba(colours[2]),
        "Scale": 0.5 * scale,
        "Mortar Size": 0.02,
    }
    return paint.node("ShaderNodeTexBrick", inputs).outputs["Color"]


def _checks(paint: Painter, colours: list[str], scale: float) -> Socket:
    inputs = {"Vector": paint.warped(scale, 0.08 / scale), "Scale": 0.7 * scale}
    checks = paint.node("ShaderNodeTexChecker", inputs).outputs["Fac"]
    stained = paint.ramp(paint.noise(0.5 * scale, 4.0), _spread(colours[1:]))
    return paint.blend(linear_rgba(colours[0]), stained, checks)


def _bands(paint: Painter, colours: list[str], scale: float) -> Socket:
    inputs = {
        "Vector": paint.warped(scale, 0.3 / scale),
        "Scale": 0.12 * scale,
        "Distortion": 1.5,
        "Detail": 2.0,
    }
    wave = paint.node("ShaderNodeTexWave", inputs, wave_type="BANDS", bands_direction="DIAGONAL")
    return paint.palette(wave.outputs["Fac"], colours)


def _veins(paint: Painter, colours: list[str], scale: float) -> Socket:
    return paint.ramp(paint.noise(0.5 * scale, 6.0, paint.warped(0.4 * scale, 1.5 / scale)), _spread(colours))


def _dots(paint: Painter, colours: list[str], scale: float) -> Socket:
    ground = paint.ramp(paint.noise(0.4 * scale, 3.0), _spread(colours[:2]))
    dots = paint.palette(paint.voronoi(scale, "Color"), colours[2:])
    return paint.blend(dots, ground, paint.step(paint.voronoi(scale, "Distance"), 0.3))


def _rings(paint: Painter, colours: list[str], scale: float) -> Socket:
    inputs = {
        "Vector": paint.warped(0.5 * scale, 0.8 / scale),
        "Scale": 0.4 * scale,
        "Distortion": 2.0,
        "Detail": 2.0,
    }
    rings = paint.node("ShaderNodeTexWave", inputs, wave_type="RINGS").outputs["Fac"]
    return paint.ramp(rings, _spread(colours, 0, 1))


def _grains(paint: Painter, colours: list[str], scale: float) -> Socket:
    coarse = paint.ramp(paint.noise(0.3 * scale, 5.0), _spread(colours))
    fine = paint.ramp(paint.noise(4 * scale, 5.0), [(0.35, colours[0]), (0.65, colours[-1])])
    return paint.blend(coarse, fine, 0.45)


PATTERNS = {
    "cells": _cells,
    "mosaic": _mosaic,
    "bricks": _bricks,
    "checks": _checks,
    "bands": _bands,
    "veins": _veins,
    "dots": _dots,
    "rings": _rings,
    "grains": _grains,
    "plain": None,
}


def _picture(paint: Painter, path: str, unit: float, generator: np.random.Generator) -> bpy.types.Material:
    """The picture projected onto the thing from its six sides, so that no mesh needs texture coordinates."""
    # MIRROR, since opposite edges of a photograph do not match.
    image = paint.node("ShaderNodeTexImage", {}, projection="BOX", projection_blend=0.15, extension="MIRROR")
    image.image = bpy.data.images.load(path, check_existing=True)
    repeat = generator.uniform(0.7, 1.8) / unit
    paint.tree.links.new(paint.stretched((repeat,) * 3), image.inputs["Vector"])
    paint.tree.links.new(image.outputs["Color"], paint.surface.inputs["Base Color"])
    return paint.material
