"""Runs in the Kubric environment: for each patch, whether what it mends works with it and without it.

Prints one JSON line: patch -> [with every patch, with all but this one]. test_patches.py reads it.
"""

import json
import sys
import tempfile
from pathlib import Path

import bpy
import numpy as np

from train.kubric.patches import PATCHES, apply_patches, import_kubric_unpatched

OBJ = "v 0 0 0\nv 1 0 0\nv 0 2 0\nv 0 0 3\nf 1 2 3\nf 1 2 4\no second\nv 0 0 1\nv 1 0 1\nv 0 1 1\nf 5 6 7\n"


def rendered(layer: str) -> np.ndarray:
    """A layer of a tiny picture of a cube that moves 1 m to the right and 0.5 m up per frame."""
    kubric = import_kubric_unpatched()
    scene = kubric.Scene(resolution=(24, 24), frame_start=0, frame_end=0, frame_rate=12)
    renderer = kubric.renderer.blender.Blender(scene, samples_per_pixel=1, use_denoising=False)
    scene.camera = kubric.PerspectiveCamera(position=(0, -10, 0), look_at=(0, 0, 0))
    cube = kubric.Cube(scale=(2, 2, 2))
    scene += cube
    for frame in (-1, 0, 1):
        cube.position = (frame, 0, 0.5 * frame)
        cube.keyframe_insert("position", frame)
    # Only what this probe asks for is read: another patch must not decide about it.
    source = renderer.render(return_layers=(layer,))
    return source[layer][0]


def coordinate_pass() -> bool:
    return bool(rendered("object_coordinates")[12, 12].any())


def vector_pass() -> bool:
    """Up is a lower row; both channels have their size and sign: 24 px * 50 / 36 / 8 m = 4.17 px per m."""
    flow = rendered("forward_flow")[12, 12]
    return bool(np.allclose(flow, (-2.08, 4.17), atol=0.1))


def exr_channels() -> bool:
    return bool(rendered("segmentation")[12, 12, 0] > 0)


def new_scene() -> tuple[object, object]:
    kubric = import_kubric_unpatched()
    scene = kubric.Scene(resolution=(24, 24))
    return scene, kubric.renderer.blender.Blender(scene)


def principled_inputs() -> bool:
    kubric = import_kubric_unpatched()
    scene, renderer = new_scene()
    material = kubric.PrincipledBSDFMaterial(color=kubric.Color(1, 0.5, 0, 1), specular=0.25)
    scene += material
    inputs = material.linked_objects[renderer].node_tree.nodes["Principled BSDF"].inputs
    return (
        np.allclose(inputs["Base Color"].default_value, (1, 0.5, 0, 1))
        and inputs["Specular IOR Level"].default_value == 0.25
    )


def file_object() -> bpy.types.Object:
    kubric = import_kubric_unpatched()
    scene, renderer = new_scene()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "thing.obj")
        path.write_text(OBJ)
        thing = kubric.FileBasedObject(asset_id="thing", render_filename=str(path), simulation_filename=None)
        scene += thing
    return thing.linked_objects[renderer]


def obj_import() -> bool:
    """Both pieces in one mesh, with the axes as they are in the file."""
    corners = np.array([vertex.co for vertex in file_object().data.vertices])
    return len(corners) == 7 and np.allclose(corners.max(0), (1, 2, 3))


def auto_smooth() -> bool:
    return file_object().type == "MESH"


def holds(probe: str, leave_out: str) -> bool:
    with apply_patches(leave_out):
        try:
            return bool(globals()[probe]())
        except (KeyError, AttributeError) as error:
            print(f"{probe} without {leave_out or 'nothing'}: {error!r}", file=sys.stderr)
            return False


if __name__ == "__main__":
    print(json.dumps({name: [holds(name, ""), holds(name, name)] for name in PATCHES}))
