"""Names of LocoTrack's tensors in the published files, and how to convert them to ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from einops import rearrange
from torch import Tensor

from pointtrack.layers.unfilled import unfilled
from pointtrack.models.locotrack.config import BASE, PATCH, SMALL, LocoTrackConfig
from pointtrack.models.locotrack.network import LocoTrack
from pointtrack.models.weight_files import Names, compare_shapes, other_name, shapes_of

# Our names -> the published ones.
NAMES: Names = (
    (r"encoder\.stem\.(.+)", r"resnet_torch.initial_conv.\1"),
    (r"encoder\.stages\.(\d)\.(\d)\.norm1\.(.+)", r"resnet_torch.block_groups.\1.blocks.\2.bn_0.\3"),
    (r"encoder\.stages\.(\d)\.(\d)\.norm2\.(.+)", r"resnet_torch.block_groups.\1.blocks.\2.bn_1.\3"),
    (r"encoder\.stages\.(\d)\.(\d)\.conv1\.(.+)", r"resnet_torch.block_groups.\1.blocks.\2.conv_0.\3"),
    (r"encoder\.stages\.(\d)\.(\d)\.conv2\.(.+)", r"resnet_torch.block_groups.\1.blocks.\2.conv_1.\3"),
    (r"encoder\.stages\.(\d)\.(\d)\.shortcut\.(.+)", r"resnet_torch.block_groups.\1.blocks.\2.proj_conv.\3"),
    (r"first_guess\.mix\.(.+)", r"cost_conv.\1"),
    (r"first_guess\.logits\.(.+)", r"occ_linear.\1"),
    (r"correlations\.(\d)\.side\.convs\.(\d)\.(.+)", r"cmdtop.\1.conv.\2.0.\3"),
    (r"correlations\.(\d)\.side\.norms\.(\d)\.(.+)", r"cmdtop.\1.conv.\2.1.\3"),
    (r"mixer\.project\.(.+)", r"torch_pips_mixer.input_proj.\1"),
    (r"mixer\.head\.(.+)", r"torch_pips_mixer.output_proj.\1"),
    (r"mixer\.norm\.(.+)", r"torch_pips_mixer.transformer.ln_out.\1"),
    (r"mixer\.layers\.(\d)\.norm([12])\.(.+)", r"torch_pips_mixer.transformer.layers.\1.layer_norm\2.\3"),
    (r"mixer\.layers\.(\d)\.attn\.out\.(.+)", r"torch_pips_mixer.transformer.layers.\1.attn.final_proj.\2"),
    (r"mixer\.layers\.(\d)\.attn\.(\w+)\.(.+)", r"torch_pips_mixer.transformer.layers.\1.attn.\2_proj.\3"),
    (r"mixer\.layers\.(\d)\.fc1\.(.+)", r"torch_pips_mixer.transformer.layers.\1.dense.0.\2"),
    (r"mixer\.layers\.(\d)\.fc2\.(.+)", r"torch_pips_mixer.transformer.layers.\1.dense.2.\2"),
)
# The rows after these in the published head update features that nothing reads.
HEAD_ROWS = 388
PREFIX = "model."  # of every name in the published files


def published_name(name: str) -> str:
    """The name of one of our tensors in a published file.

    >>> published_name("mixer.layers.2.attn.out.bias")
    'torch_pips_mixer.transformer.layers.2.attn.final_proj.bias'
    """
    return other_name(name, NAMES)


def published_shapes(network: LocoTrack) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors in a published file of a network."""
    shapes = {published_name(name): tuple(x.shape) for name, x in network.state_dict().items()}
    for name in ("weight", "bias"):
        key = f"torch_pips_mixer.output_proj.{name}"
        shapes[key] = (HEAD_ROWS, *shapes[key][1:])
    return shapes


def without_prefix(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of the model alone, if a file stores them under a prefix."""
    if not any(name.startswith(PREFIX) for name in tensors):
        return dict(tensors)
    return {name.removeprefix(PREFIX): x for name, x in tensors.items()}


def from_published(tensors: Mapping[str, Tensor], network: LocoTrack, path: str | Path) -> dict[str, Tensor]:
    """Tensors of a published file -> the state dict of a network of that config.

    Raises:
        ValueError: missing or unexpected names, or other shapes.
    """
    tensors = without_prefix(tensors)
    compare_shapes(published_shapes(network), shapes_of(tensors), path, network.config.name)
    return {name: _converted(name, tensors[published_name(name)]) for name in network.state_dict()}


def _converted(name: str, tensor: Tensor) -> Tensor:
    """Reorder patches, which have x slow here and y slow in published files."""
    if name.startswith("mixer.head."):
        return tensor[:4]
    if re.fullmatch(r"correlations\.\d\.side\.convs\.\d\.weight", name):
        if tensor.shape[1] == PATCH**2:
            tensor = rearrange(tensor, "o (y x) h w -> o (x y) h w", y=PATCH)
        return rearrange(tensor, "o c h w -> o c w h").contiguous()
    return tensor


def recognise(tensors: Mapping[str, Tensor]) -> LocoTrackConfig | None:
    """The published model that a file's tensors belong to, by the width of its transformer, or None."""
    tensors = without_prefix(tensors)
    weight = tensors.get("torch_pips_mixer.input_proj.weight")
    if weight is None or weight.ndim != 2:
        return None
    return next((config for config in (SMALL, BASE) if config.width == len(weight)), None)


def build(config: LocoTrackConfig) -> LocoTrack:
    """The network without memory for its weights, which are filled in later."""
    with unfilled():
        return LocoTrack(config)
