"""Procedural surfaces of the bundled clip, from shader nodes only, without image files.

Every texture reads the vertex attribute "rest", the undeformed position in metres, so that the pattern sticks
to a surface as it bends. Each surface mixes patterns of several sizes, because a tracker needs texture.
"""

from collections.abc import Callable

import bpy

Value = bpy.types.NodeSocket | float | tuple[float, ...]
Stops = list[tuple[float, str]]


def linear_rgba(colour: str) -> tuple[float, float, float, float]:
    """ "#rrggbb" in sRGB -> linear RGBA in [0, 1]."""
    srgb = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in srgb)
    return red, green, blue, 1.0


class Painter:
    """Builds one material, pattern by pattern; lengths and scales are in metres and 1 / metre."""

    def __init__(self, name: str, roughness: float) -> None:
        self.material = bpy.data.materials.new(name)
        self.material.use_nodes = True
        self.tree = self.material.node_tree
        self.surface = self.tree.nodes["Principled BSDF"]
        self.surface.inputs["Roughness"].default_value = roughness
        self.surface.inputs["Specular IOR Level"].default_value = 0.3
        self.rest = self.node("ShaderNodeAttribute", {}, attribute_name="rest").outputs["Vector"]

    def node(self, kind: str, inputs: dict[str | int, Value], **settings: object) -> bpy.types.Node:
        """Adds a node; an input is either a constant or the output socket that feeds it."""
        node = self.tree.nodes.new(kind)
        for name, setting in settings.items():
            setattr(node, name, setting)
        for name, value in inputs.items():
            if isinstance(value, bpy.types.NodeSocket):
                self.tree.links.new(value, node.inputs[name])
            else:
                node.inputs[name].default_value = value
        return node

    def math(self, operation: str, a: Value, b: Value = 0.0) -> bpy.types.NodeSocket:
        return self.node("ShaderNodeMath", {0: a, 1: b}, operation=operation).outputs[0]

    def stretched(self, scale: tuple[float, float, float]) -> bpy.types.NodeSocket:
        """The rest position times `scale`, axis by axis."""
        return self.node("ShaderNodeVectorMath", {0: self.rest, 1: scale}, operation="MULTIPLY").outputs[0]

    def noise(self, scale: float, detail: float = 3.0, at: Value | None = None) -> bpy.types.NodeSocket:
        """Noise around 0.5, mostly within [0.3, 0.7]."""
        inputs = {"Vector": at or self.rest, "Scale": scale, "Detail": detail}
        return self.node("ShaderNodeTexNoise", inputs).outputs[0]

    def warped(self, scale: float, amount_m: float) -> bpy.types.NodeSocket:
        """The rest position displaced by noise, by up to about `amount_m` metres."""
        noise_inputs = {"Vector": self.rest, "Scale": scale, "Detail": 1.0}
        noise = self.node("ShaderNodeTexNoise", noise_inputs).outputs["Color"]
        inputs = {0: noise, 1: (2 * amount_m,) * 3, 2: self.rest}
        return self.node("ShaderNodeVectorMath", inputs, operation="MULTIPLY_ADD").outputs[0]

    def voronoi(
        self, scale: float, output: str, feature: str = "F1", at: Value | None = None
    ) -> bpy.types.NodeSocket:
        inputs = {"Vector": at or self.rest, "Scale": scale}
        return self.node("ShaderNodeTexVoronoi", inputs, feature=feature).outputs[output]

    def turn(self) -> bpy.types.NodeSocket:
        """Angle about the local z axis, as a fraction of a whole turn in [0, 1]."""
        node = self.node("ShaderNodeTexGradient", {"Vector": self.rest}, gradient_type="RADIAL")
        return node.outputs["Fac"]

    def axis(self, name: str) -> bpy.types.NodeSocket:
        return self.node("ShaderNodeSeparateXYZ", {0: self.rest}).outputs[name.upper()]

    def ramp(self, factor: Value, stops: Stops, sharp: bool = False) -> bpy.types.NodeSocket:
        """Colour of a factor in [0, 1]; `sharp` gives flat bands instead of blends."""
        node = self.node("ShaderNodeValToRGB", {"Fac": factor})
        node.color_ramp.interpolation = "CONSTANT" if sharp else "LINEAR"
        elements = node.color_ramp.elements
        while len(elements) < len(stops):
            elements.new(0.5)
        for element, (position, colour) in zip(elements, stops, strict=True):
            element.position, element.color = position, linear_rgba(colour)
        return node.outputs["Color"]

    def palette(self, factor: Value, colours: list[str]) -> bpy.types.NodeSocket:
        """Flat bands of equal width, one for each colour."""
        return self.ramp(factor, [(i / len(colours), c) for i, c in enumerate(colours)], sharp=True)

    def blend(self, a: Value, b: Value, factor: Value, mode: str = "MIX") -> bpy.types.NodeSocket:
        # Sockets 6, 7 and 2 are the colour sockets: the node uses the same names for every data type.
        inputs = {0: factor, 6: a, 7: b}
        return self.node("ShaderNodeMix", inputs, data_type="RGBA", blend_type=mode).outputs[2]

    def step(self, factor: Value, edge: float) -> bpy.types.NodeSocket:
        """1 where `factor` is above `edge`, else 0."""
        return self.math("GREATER_THAN", factor, edge)

    def finish(
        self, colour: Value, grain_scale: float, bump: Value | None = None, grain: float = 0.5
    ) -> bpy.types.Material:
        """Adds speckles of two sizes, of strength `grain` in [0, 1], and optional relief."""
        for scale, dark in ((grain_scale, "#8a8078"), (grain_scale * 3.7, "#a8a099")):
            speckle = self.ramp(self.noise(scale, 2.0), [(0.38, dark), (0.55, "#ffffff")])
            colour = self.blend(colour, speckle, grain, "MULTIPLY")
        self.tree.links.new(colour, self.surface.inputs["Base Color"])
        if bump is not None:
            relief = self.node("ShaderNodeBump", {"Height": bump, "Strength": 0.5, "Distance": 0.02})
            self.tree.links.new(relief.outputs["Normal"], self.surface.inputs["Normal"])
        return self.material


def brick_wall() -> bpy.types.Material:
    """Bricks under old pale paint that has come off in places."""
    paint = Painter("brick wall", roughness=0.9)
    at = paint.warped(5.0, 0.012)
    layers = []
    for first, second, mortar in (("#a9d0cb", "#7fb2b3", "#e9e2cf"), ("#d08058", "#a9573f", "#e6d5b8")):
        inputs = {
            "Vector": at,
            "Color1": linear_rgba(first),
            "Color2": linear_rgba(second),
            "Mortar": linear_rgba(mortar),
            "Scale": 1.0,
            "Mortar Size": 0.018,
            "Brick Width": 0.62,
            "Row Height": 0.24,
        }
        layers.append(paint.node("ShaderNodeTexBrick", inputs).outputs)
    peeled = paint.step(paint.noise(1.1, 5.0, paint.warped(2.0, 0.2)), 0.565)
    colour = paint.blend(layers[0]["Color"], layers[1]["Color"], peeled)
    stains = paint.ramp(paint.noise(0.9, 4.0), [(0.36, "#b9c4d0"), (0.5, "#ffffff"), (0.66, "#fff3da")])
    # No relief: it would triple the cost of this surface, which fills half the picture.
    return paint.finish(paint.blend(colour, stains, 0.9, "MULTIPLY"), 9.0, grain=0.7)


def tiled_floor() -> bpy.types.Material:
    """Veined tiles of two colours, scattered with chips of stone."""
    paint = Painter("tiled floor", roughness=0.55)
    checks = paint.node("ShaderNodeTexChecker", {"Vector": paint.warped(3.0, 0.006), "Scale": 1.3})
    veins = paint.noise(2.6, 5.0, paint.warped(1.7, 0.5))
    pale = paint.ramp(veins, [(0.40, "#fbf0da"), (0.49, "#ecd6ae"), (0.52, "#c7a878"), (0.58, "#f7ead0")])
    dark = paint.ramp(veins, [(0.40, "#d08a5c"), (0.49, "#b86c42"), (0.52, "#f0c79c"), (0.58, "#c67b4e")])
    colour = paint.blend(pale, dark, checks.outputs["Fac"])
    stones = ["#8c3b2a", "#fff8ea", "#47797c", "#e3b23c", "#5a4a42"]
    chip_colour = paint.palette(paint.voronoi(8.0, "Color"), stones)
    colour = paint.blend(chip_colour, colour, paint.step(paint.voronoi(8.0, "Distance"), 0.27))
    return paint.finish(colour, 7.0, grain=0.6)


def mosaic_box() -> bpy.types.Material:
    paint = Painter("mosaic box", roughness=0.5)
    cell = paint.voronoi(5.5, "Color")
    glass = ["#1d3557", "#f4a22d", "#e63946", "#f6f0e0", "#2a9d8f", "#8ecae6", "#1d3557"]
    colour = paint.palette(cell, glass)
    edge = paint.voronoi(5.5, "Distance", "DISTANCE_TO_EDGE")
    colour = paint.blend(linear_rgba("#fbf6e9"), colour, paint.step(edge, 0.045))
    dots = paint.step(paint.voronoi(17.0, "Distance"), 0.24)
    colour = paint.blend(linear_rgba("#22223b"), colour, dots)
    return paint.finish(colour, 14.0, paint.math("MINIMUM", edge, 0.1), grain=0.4)


def beach_ball() -> bpy.types.Material:
    paint = Painter("beach ball", roughness=0.45)
    wedges = ["#e63946", "#fdf3dc", "#1d6fa5", "#fdf3dc", "#f7b801", "#fdf3dc", "#2f9e60", "#fdf3dc"]
    twisted = paint.math("MULTIPLY_ADD", paint.noise(2.2), 0.10)
    angle = paint.math("FRACT", paint.math("ADD", paint.turn(), twisted))
    colour = paint.palette(angle, wedges)
    spots = paint.step(paint.voronoi(6.0, "Distance"), 0.27)
    spot_colour = paint.palette(paint.voronoi(6.0, "Color"), ["#3d348b", "#f18701", "#14746f", "#d62839"])
    return paint.finish(paint.blend(spot_colour, colour, spots), 13.0, grain=0.35)


def striped_tube() -> bpy.types.Material:
    paint = Painter("striped tube", roughness=0.5)
    climb = paint.math("MULTIPLY", paint.axis("z"), 1.9)
    spiral = paint.math("FRACT", paint.math("ADD", climb, paint.turn()))
    bands = ["#5a189a", "#ff8fab", "#ffe5ec", "#3a86c8", "#ffd166"]
    colour = paint.palette(spiral, bands)
    dots = paint.step(paint.voronoi(9.0, "Distance"), 0.30)
    dot_colour = paint.palette(paint.voronoi(9.0, "Color"), ["#fffaf0", "#1b1b3a", "#e4572e"])
    return paint.finish(paint.blend(dot_colour, colour, dots), 13.0)


def carved_wood() -> bpy.types.Material:
    paint = Painter("carved wood", roughness=0.6)
    inputs = {"Vector": paint.warped(1.6, 0.16), "Scale": 3.2, "Distortion": 2.2}
    inputs |= {"Detail": 2.0, "Detail Scale": 2.0}
    rings = paint.node("ShaderNodeTexWave", inputs, wave_type="RINGS").outputs["Fac"]
    stops = [(0.0, "#8a4a22"), (0.35, "#b9743a"), (0.6, "#dfa45e"), (1.0, "#f3cf95")]
    colour = paint.ramp(rings, stops)
    streaks = paint.noise(9.0, 4.0, paint.stretched((1.0, 1.0, 5.0)))
    fibres = paint.ramp(streaks, [(0.4, "#8a5a3c"), (0.56, "#ffffff")])
    return paint.finish(paint.blend(colour, fibres, 0.6, "MULTIPLY"), 17.0)


def glass_eyes() -> bpy.types.Material:
    paint = Painter("glass eyes", roughness=0.25)
    rays = paint.ramp(paint.noise(7.0, 4.0), [(0.42, "#10243a"), (0.5, "#2a6f97"), (0.58, "#e8f1f2")])
    return paint.finish(rays, 24.0)


def terrazzo() -> bpy.types.Material:
    paint = Painter("terrazzo", roughness=0.5)
    at = paint.warped(6.0, 0.03)
    chip_colour = paint.palette(
        paint.voronoi(8.0, "Color", at=at), ["#efe9dd", "#31572c", "#d8a48f", "#efe9dd", "#3d405b", "#bb8588"]
    )
    edge = paint.step(paint.voronoi(8.0, "Distance", "DISTANCE_TO_EDGE", at=at), 0.07)
    return paint.finish(paint.blend(linear_rgba("#efe9dd"), chip_colour, edge), 15.0)


def woven_banner() -> bpy.types.Material:
    paint = Painter("woven banner", roughness=0.85)
    inputs = {"Vector": paint.warped(5.0, 0.03), "Scale": 0.75, "Distortion": 0.8, "Detail": 2.0}
    wave = paint.node("ShaderNodeTexWave", inputs, wave_type="BANDS", bands_direction="DIAGONAL")
    colour = paint.palette(
        wave.outputs["Fac"], ["#0b4f6c", "#f2e8cf", "#01baef", "#f2e8cf", "#d1495b", "#edae49"]
    )
    motif = paint.step(paint.voronoi(4.2, "Distance"), 0.33)
    inner = paint.step(paint.voronoi(4.2, "Distance"), 0.19)
    colour = paint.blend(paint.blend(linear_rgba("#edae49"), linear_rgba("#30275f"), inner), colour, motif)
    return paint.finish(colour, 12.0)


def checkered_ring() -> bpy.types.Material:
    paint = Painter("checkered ring", roughness=0.45)
    around = paint.math("FRACT", paint.math("MULTIPLY", paint.turn(), 9.0))
    colour = paint.palette(around, ["#ffb703", "#023047", "#fb5607", "#f8f4e3"])
    dots = paint.step(paint.voronoi(13.0, "Distance"), 0.32)
    return paint.finish(paint.blend(linear_rgba("#f8f4e3"), colour, dots), 16.0)


def barber_post() -> bpy.types.Material:
    paint = Painter("barber post", roughness=0.5)
    climb = paint.math("MULTIPLY", paint.axis("z"), 2.6)
    spiral = paint.math("FRACT", paint.math("ADD", climb, paint.turn()))
    wobble = paint.math("ADD", spiral, paint.math("MULTIPLY", paint.noise(12.0), 0.08))
    colour = paint.palette(wobble, ["#d7263d", "#fdf6e3", "#fdf6e3", "#1b3a6b", "#fdf6e3"])
    return paint.finish(colour, 22.0, grain=0.4)


def plain_rope() -> bpy.types.Material:
    paint = Painter("rope", roughness=0.9)
    return paint.finish(linear_rgba("#c9b08a"), 40.0)


SURFACES: dict[str, Callable[[], bpy.types.Material]] = {
    "floor": tiled_floor,
    "wall": brick_wall,
    "monkey": carved_wood,
    "eyes": glass_eyes,
    "pedestal": terrazzo,
    "tube": striped_tube,
    "banner": woven_banner,
    "ball": beach_ball,
    "box": mosaic_box,
    "ring": checkered_ring,
    "post": barber_post,
    "rope": plain_rope,
    "rod": plain_rope,
}
