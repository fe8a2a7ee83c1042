"""Names of AllTracker's tensors in the published files, and how to convert them to ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from pointtrack.layers.unfilled import unfilled
from pointtrack.models.alltracker.config import FULL, TINY, AllTrackerConfig
from pointtrack.models.alltracker.network import AllTracker
from pointtrack.models.weight_files import ENCODER_NAMES, Names, compare_shapes, other_name, shapes_of

CONV_NEXT = {"conv": "block.0", "norm": "block.2", "fc1": "block.3", "fc2": "block.5"}

# Our names -> the published ones.
NAMES: Names = (
    (r"time_table", r"time_emb"),
    *ENCODER_NAMES,
    (r"encoder\.project\.(.+)", r"dot_conv.\1"),
    (r"encoder\.layers\.(\d\.\d)\.scale", r"cnn.features.\1.layer_scale"),
    (r"encoder\.layers\.(\d\.\d)\.(conv|norm|fc1|fc2)\.(.+)", lambda m: f"cnn.features.{m[1]}.{CONV_NEXT[m[2]]}.{m[3]}"),
    (r"encoder\.layers\.(\d\.\d\.(?:weight|bias))", r"cnn.features.\1"),
    (r"update\.motion\.products([12])\.(.+)", r"update_block.motion_encoder.convc\1.\2"),
    (r"update\.motion\.flow([12])\.(.+)", r"update_block.motion_encoder.convf\1.\2"),
    (r"update\.motion\.mix\.(.+)", r"update_block.motion_encoder.conv.\1"),
    (r"update\.compress\.(.+)", r"update_block.compressor.\1"),
    (r"update\.project\.(.+)", r"update_block.final_conv.\1"),
    (r"update\.blocks\.(\d)\.scale", r"update_block.refine.\1.layer_scale"),
    (r"update\.blocks\.(\d)\.block\.(.+)", r"update_block.refine.\1.block.\2"),
    (r"update\.blocks\.(\d)\.(\w+)\.(.+)", lambda m: f"update_block.refine.{m[1]}.{CONV_NEXT[m[2]]}.{m[3]}"),
    (r"flow_head\.conv1\.(.+)", r"flow_head.0.\1"),
    (r"flow_head\.conv2\.(.+)", r"flow_head.2.\1"),
    (r"score_head\.conv1\.(.+)", r"visconf_head.0.\1"),
    (r"score_head\.conv2\.(.+)", r"visconf_head.2.\1"),
    (r"weight_head\.conv1\.(.+)", r"upsample_weight.0.\1"),
    (r"weight_head\.conv2\.(.+)", r"upsample_weight.2.\1"),
)  # fmt: skip


def published_name(name: str) -> str:
    """The name of one of our tensors in a published file.

    >>> published_name("update.blocks.1.fc2.weight")
    'update_block.refine.1.block.5.weight'
    """
    return other_name(name, NAMES)


def published_shape(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Add the axes of length 1 that published tensors have and ours lack. `name` is ours."""
    if name == "time_table":
        return (1, *shape)
    if name in ("update.compress.weight", "update.project.weight"):
        return (*shape, 1, 1)
    if name.endswith(".scale"):  # over frames of a cell, or over cells of a frame
        return (*shape, 1) if re.fullmatch(r"update\.blocks\.[024]\.scale", name) else (*shape, 1, 1)
    return shape


def published_shapes(network: AllTracker) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors in a published file of a network."""
    return {
        published_name(name): published_shape(name, tuple(x.shape))
        for name, x in network.state_dict().items()
    }


def from_published(tensors: Mapping[str, Tensor], network: AllTracker, path: str | Path) -> dict[str, Tensor]:
    """Tensors of a published file -> the state dict of a network of that config.

    Raises:
        ValueError: missing or unexpected names, or other shapes.
    """
    compare_shapes(published_shapes(network), shapes_of(tensors), path, network.config.name)
    return {name: tensors[published_name(name)].reshape(x.shape) for name, x in network.state_dict().items()}


def recognise(tensors: Mapping[str, Tensor]) -> AllTrackerConfig | None:
    """The published model that a file's tensors belong to, by its encoder, or None."""
    if "update_block.compressor.weight" not in tensors:
        return None
    return FULL if "dot_conv.weight" in tensors else TINY


def build(config: AllTrackerConfig) -> AllTracker:
    """The network without memory for its weights, which are filled in later."""
    with unfilled():
        return AllTracker(config)
