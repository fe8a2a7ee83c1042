"""Give a tracker keys for the object memory: `python -m train.object_keys TRACKER OUT PICTURES`.

Nothing is trained. Each part of the keys is reduced to the axes on which the cells of photographs differ most
(`models/object_keys.py`); all other weights stay as they are.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from pointtrack.cli.runner import run_command
from pointtrack.geometry import resize_frames
from pointtrack.io.outputs import check_outputs
from pointtrack.models.checkpoint import load_checkpoint, save_checkpoint
from pointtrack.models.point_tracker import PointTracker, check_kind
from pointtrack.tracking.window_stream import model_wh
from train.trunk_weights import main_axes, photographs

CHANNELS = (48, 32, 48)  # of the joint features and of the maps of strides 16 and 32


@torch.no_grad()
def with_keys(tracker: PointTracker, channels: tuple[int, ...], pictures: Path) -> PointTracker:
    """The same tracker with keys for objects.

    Args:
        tracker: one with learnt joint features.
        channels: of each part of the keys, as `EncoderConfig.key_channels`.
        pictures: folder with photographs.

    Raises:
        ValueError: a tracker without learnt joint features, another number of channels than it has parts, or no
            photographs.
    """
    encoder = replace(tracker.config.encoder, key_channels=channels)
    made = PointTracker(replace(tracker.config, encoder=encoder))
    own = {name: x for name, x in tracker.state_dict().items() if not name.startswith("object_keys.")}
    made.load_state_dict({**made.state_dict(), **own})
    assert made.object_keys is not None and made.joint_head is not None
    products: list[Tensor] = []
    for picture in photographs(pictures):
        wh = model_wh((picture.shape[-1], picture.shape[-2]), made.config)
        frame = resize_frames(picture, wh, made.config.resize_rule).float()
        maps, wide = made.trunk.compared(frame)
        joint = made.joint_head(made.encoder(frame), maps, wide)
        cells = [part.flatten(0, 2).double() for part in made.object_keys.parts(joint, maps, wide)]
        each = [x.T @ x / len(x) for x in cells]
        products = [one + other for one, other in zip(products, each, strict=True)] if products else each
    layers = [made.object_keys.joint, *made.object_keys.coarse.values()]
    for layer, product, count in zip(layers, products, channels, strict=True):
        cast(nn.Linear, layer).weight.copy_(main_axes(product, count))
    return made.eval().requires_grad_(False)


def keys_command(tracker: Path, out: Path, pictures: Path, channels: tuple[int, ...] = CHANNELS) -> None:
    """Write a tracker's weights with keys for the object memory added.

    Args:
        tracker: checkpoint of a tracker with learnt joint features.
        out: file for the result, in float16.
        pictures: folder with photographs; those that decide are spread over it by name.
        channels: of the joint features and of each of the trunk's maps of strides 16 and 32, in the keys.

    Raises:
        ValueError: a tracker without learnt joint features, another number of channels, or no photographs.
    """
    check_outputs([tracker], [out])
    loaded = load_checkpoint(tracker)
    check_kind(loaded, "keys for objects")
    save_checkpoint(out, with_keys(loaded, tuple(channels), pictures))
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    sys.exit(run_command(lambda: keys_command, sys.argv[1:], "train.object_keys"))
