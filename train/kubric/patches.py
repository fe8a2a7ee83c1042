"""What Kubric 2023.12 needs to run on Blender 4.5 and without tensorflow.

Every patch is a context manager, so that a test can leave one out and see what it repairs. Two of the faults are
silent: without `coordinate_pass` all object coordinates are zero, without `vector_pass` the row channel of the
flow is 1 everywhere.
"""

from __future__ import annotations

import atexit
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache
from types import ModuleType, SimpleNamespace
from unittest.mock import patch

import bpy
import numpy as np


@cache
def import_kubric() -> ModuleType:
    """Imports Kubric, its renderer and its simulator, with all patches, for the rest of the process."""
    kubric = import_kubric_unpatched()
    # Held until the end: a stack without a reference undoes its patches.
    atexit.register(apply_patches().close)
    return kubric


def apply_patches(leave_out: str = "") -> ExitStack:
    """Applies every patch except the one named; closing the returned stack undoes them."""
    import_kubric_unpatched()
    stack = ExitStack()
    for name, change in PATCHES.items():
        if name != leave_out:
            stack.enter_context(change())
    return stack


def import_kubric_unpatched() -> ModuleType:
    """Imports unpatched Kubric, with a stand-in for the two tensorflow functions that its core uses."""
    if "kubric" not in sys.modules:
        stand_in = ModuleType("tensorflow")
        stand_in.io = SimpleNamespace(gfile=SimpleNamespace(GFile=open, copy=_copy))
        sys.modules["tensorflow"] = stand_in
        try:
            import kubric
            import kubric.renderer.blender
            import kubric.simulator.pybullet  # noqa: F401
        finally:
            # etils looks for a real tensorflow later and fails on a stand-in.
            del sys.modules["tensorflow"]
    return sys.modules["kubric"]


def _copy(source: object, target: object, overwrite: bool = False) -> None:
    """Replaces tf.io.gfile.copy on local paths."""
    shutil.copy(str(source), str(target))


@contextmanager
def coordinate_pass() -> Iterator[None]:
    """Names the shader output after its pass: Blender 4 goes by `aov_name`, no longer by the node's name."""
    utils = sys.modules["kubric.renderer.blender_utils"]
    original = utils.add_coordinate_material

    def named() -> bpy.types.Material:
        material = original()
        for node in material.node_tree.nodes:
            if node.bl_idname == "ShaderNodeOutputAOV":
                node.aov_name = node.name
        return material

    with patch.object(utils, "add_coordinate_material", named):
        yield


@contextmanager
def vector_pass() -> Iterator[None]:
    """Links the motion pass straight into the file: through the colour nodes its second channel becomes 1."""
    utils = sys.modules["kubric.renderer.blender_utils"]
    original = utils.set_up_exr_output_node

    def straight(*arguments: object, **settings: object) -> bpy.types.Node:
        writer = original(*arguments, **settings)
        tree = writer.id_data
        passes = tree.nodes["Render Layers Aux"].outputs
        tree.links.new(passes["Vector"], writer.inputs["Vector"])
        return writer

    with patch.object(utils, "set_up_exr_output_node", straight):
        yield


@contextmanager
def exr_channels() -> Iterator[None]:
    """Finds channels whatever their case (CryptoObject00.r), and the motion pass by X, Y, Z, W."""
    utils = sys.modules["kubric.renderer.blender_utils"]
    original = utils.read_channels_from_exr

    def read(exr: object, names: list[str]) -> np.ndarray:
        there = {name.lower(): name for name in exr.header()["channels"]}
        axes = dict(zip("rgba", "xyzw", strict=True))
        wanted = [name.lower() for name in names]
        return original(exr, [there[n] if n in there else there[n[:-1] + axes[n[-1]]] for n in wanted])

    with patch.object(utils, "read_channels_from_exr", read):
        yield


# Trait of Kubric's material -> input of the current Principled BSDF. The tint became a colour, and the roughness
# of the transmission was removed; Kubric's scenes leave both at their defaults.
PRINCIPLED = {
    "color": "Base Color",
    "roughness": "Roughness",
    "metallic": "Metallic",
    "specular": "Specular IOR Level",
    "ior": "IOR",
    "transmission": "Transmission Weight",
    "emission": "Emission Color",
}


@contextmanager
def principled_inputs() -> Iterator[None]:
    """Makes Kubric's principled material use the input names of Blender 4."""
    kubric, renderer = sys.modules["kubric"], sys.modules["kubric.renderer.blender"]
    kind = kubric.PrincipledBSDFMaterial
    dispatcher = vars(renderer.Blender)["add_asset"].dispatcher
    original = dispatcher.dispatch(kind)

    def add(self: object, asset: object) -> bpy.types.Material:
        material = bpy.data.materials.new(asset.uid)
        material.use_nodes = True
        inputs = material.node_tree.nodes["Principled BSDF"].inputs
        inputs["Emission Strength"].default_value = 1.0
        for trait, socket in PRINCIPLED.items():
            asset.observe(renderer.AttributeSetter(inputs[socket], "default_value"), trait)
            asset.observe(renderer.KeyframeSetter(inputs[socket], "default_value"), trait, type="keyframe")
        return material

    dispatcher.register(kind, renderer.blender_utils.prepare_blender_object(add))
    try:
        yield
    finally:
        dispatcher.register(kind, original)


class ImportObj(bpy.types.Operator):
    """Replaces the old importer of OBJ files, with the axes that Kubric's assets expect."""

    bl_idname = "import_scene.obj"
    bl_label = "Import OBJ"
    filepath: bpy.props.StringProperty()
    use_split_objects: bpy.props.BoolProperty(default=True)
    axis_forward: bpy.props.StringProperty(default="Y")
    axis_up: bpy.props.StringProperty(default="Z")

    def execute(self, context: bpy.types.Context) -> set[str]:
        def axis(name: str) -> str:
            return name.replace("-", "NEGATIVE_")

        return bpy.ops.wm.obj_import(
            filepath=self.filepath,
            use_split_objects=self.use_split_objects,
            forward_axis=axis(self.axis_forward),
            up_axis=axis(self.axis_up),
        )


@contextmanager
def obj_import() -> Iterator[None]:
    """Restores `bpy.ops.import_scene.obj`."""
    bpy.utils.register_class(ImportObj)
    try:
        yield
    finally:
        bpy.utils.unregister_class(ImportObj)


@contextmanager
def auto_smooth() -> Iterator[None]:
    """Restores the property `use_auto_smooth` of meshes, without effect: Kubric sets it after an import."""
    bpy.types.Mesh.use_auto_smooth = bpy.props.BoolProperty()
    try:
        yield
    finally:
        del bpy.types.Mesh.use_auto_smooth


PATCHES: dict[str, Callable[[], AbstractContextManager[None]]] = {
    change.__name__: change
    for change in (coordinate_pass, vector_pass, exr_channels, principled_inputs, obj_import, auto_smooth)
}
