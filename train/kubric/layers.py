"""Renders a built scene twice: pictures with light and motion blur, and exact data at the pixels' centres."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np

from train.kubric.scene import SceneBuilder


@dataclass
class Layers:
    """Cycles' data at the centre of each pixel.

    Attributes:
        segmentation: (t, h, w) uint8; 0 for the sky, else 1 + the index in the builder's things.
        depth: (t, h, w) float32 metres from the camera's centre; 1e10 or so for the sky.
        flow: (t, h, w, 2) float32 pixels (x, y) to the next frame, also on the last frame of the clip.
        coordinates: (t, h, w, 3) uint16 position in the object's own bounding box.
    """

    segmentation: np.ndarray
    depth: np.ndarray
    flow: np.ndarray
    coordinates: np.ndarray


def set_threads(count: int) -> None:
    """Sets the number of threads that Cycles may use."""
    bpy.context.scene.render.threads_mode = "FIXED"
    bpy.context.scene.render.threads = count


def render_pictures(builder: SceneBuilder, folder: Path) -> np.ndarray:
    """(t, h, w, 3) uint8 sRGB, with motion blur around the moment of each frame if the plan has some."""
    scene, settings = bpy.context.scene, builder.settings
    scene.view_settings.view_transform = "Standard"
    scene.render.use_persistent_data = True
    # At its default size, the importance map of a sky takes longer than the picture.
    scene.world.cycles.sampling_method, scene.world.cycles.sample_map_resolution = "MANUAL", 256
    scene.render.use_compositing = False
    scene.view_layers["AuxOutputs"].use = False
    scene.render.use_motion_blur = builder.plan.shutter > 0
    scene.render.motion_blur_shutter = max(builder.plan.shutter, 0.01)
    scene.cycles.samples = settings.samples
    scene.cycles.max_bounces = 4
    scene.cycles.use_denoising = True
    scene.cycles.denoiser, scene.cycles.denoising_quality = "OPENIMAGEDENOISE", "FAST"
    scene.render.image_settings.file_format, scene.render.image_settings.color_mode = "PNG", "RGB"
    pictures = []
    for frame in range(scene.frame_start, scene.frame_end + 1):
        scene.frame_set(frame)
        # Another seed for each frame: noise that stays still on the screen would be a false texture.
        scene.cycles.seed = builder.plan.index * 1000 + frame
        path = folder / f"{frame:04d}.png"
        scene.render.filepath = str(path)
        bpy.ops.render.render(write_still=True)
        pictures.append(builder.kubric.read_png(str(path))[..., :3])
    return np.stack(pictures)


def render_layers(builder: SceneBuilder) -> Layers:
    """The data of every frame, through Kubric's own passes."""
    scene, renderer = bpy.context.scene, builder.renderer
    # Blender 4.5 crashes with persistent data and two view layers.
    scene.render.use_compositing, scene.render.use_persistent_data = True, False
    # The passes do not need the light.
    scene.world.cycles.sampling_method, scene.world.cycles.sample_map_resolution = "MANUAL", 16
    scene.view_layers["AuxOutputs"].use = True
    # The vector pass is empty while motion blur is on.
    scene.render.use_motion_blur = False
    # The narrowest filter, so that the only sample goes through the centre of the pixel.
    scene.cycles.pixel_filter_type, scene.cycles.filter_width = "BLACKMAN_HARRIS", 0.01
    scene.cycles.max_bounces = 0
    renderer.samples_per_pixel, renderer.use_denoising = 1, False
    found = renderer.render(return_layers=("segmentation", "z", "forward_flow", "object_coordinates"))
    return Layers(
        _own_numbers(builder, found["segmentation"][..., 0]),
        _distance(builder, found["z"][..., 0]).astype(np.float32),
        found["forward_flow"][..., ::-1].astype(np.float32),
        found["object_coordinates"],
    )


def _distance(builder: SceneBuilder, z: np.ndarray) -> np.ndarray:
    """(t, h, w) metres along the view -> from the camera; Kubric's own function handles one focal length only."""
    camera, scene = builder.scene.camera, builder.scene
    w, h = builder.settings.wh
    x, y = np.arange(w) - (w - 1) / 2, np.arange(h)[:, None] - (h - 1) / 2
    frames = range(scene.frame_start, scene.frame_end + 1)
    focal_px = np.array([camera.keyframes["focal_length"][f] for f in frames]) / camera.sensor_width * w
    return z * np.sqrt(1 + (x**2 + y**2) / focal_px[:, None, None] ** 2)


def _own_numbers(builder: SceneBuilder, segmentation: np.ndarray) -> np.ndarray:
    """Renumbers a segmentation by things alone: Kubric also numbers other assets, lights and cameras."""
    numbers = np.zeros(len(builder.scene.assets) + 1, np.uint8)
    places = {asset.uid: place for place, asset in enumerate(builder.scene.assets, start=1)}
    for number, thing in enumerate(builder.things, start=1):
        numbers[places[thing.asset.uid]] = number
    return numbers[segmentation]
