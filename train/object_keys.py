"""Give a tracker keys for the object memory: `python -m train.object_keys TRACKER OUT PICTURES`.

The keys are reduced to the axes on which the cells of photographs differ most (`models/object_keys.py`), from which
`pointtrack train --task remembering` starts; all other weights stay as they are.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from pointtrack.cli.runner import run_command
from pointtrack.geometry import resize_frames
from pointtrack.io.outputs import check_outputs
from pointtrack.models.checkpoint import load_checkpoint, save_checkpoint
from pointtrack.models.point_tracker import PointTracker, check_kind
from pointtrack.tracking.window_stream import model_wh
from train.trunk_weights import main_axes, photographs

CHANNELS = 128


@torch.no_grad()
def cells_beside(tracker: PointTracker, frames: Tensor) -> Tensor:
    """What the keys of frames are mixed from, frames in the size in which the tracker sees videos.

    Args:
        tracker: one with keys.
        frames: (b, 3, h, w) RGB 0..255.

    Returns:
        (b, h', w', c), as `ObjectKeys.beside`.
    """
    assert tracker.object_keys is not None and tracker.joint_head is not None
    wh = model_wh((frames.shape[-1], frames.shape[-2]), tracker.config)
    found = []
    for frame in resize_frames(frames, wh, tracker.config.resize_rule).float().split(1):
        maps, wide = tracker.trunk.compared(frame)
        joint = tracker.joint_head(tracker.encoder(frame), maps, wide)
        found.append(tracker.object_keys.beside(joint, maps, wide))
    return torch.cat(found)


@torch.no_grad()
def with_keys(tracker: PointTracker, channels: int, pictures: Path) -> PointTracker:
    """The same tracker with keys for objects.

    Args:
        tracker: one with learnt joint features.
        channels: of the keys.
        pictures: folder with photographs.

    Raises:
        ValueError: a tracker without learnt joint features, more channels than are mixed, or no photographs.
    """
    encoder = replace(tracker.config.encoder, key_channels=channels)
    made = PointTracker(replace(tracker.config, encoder=encoder))
    own = {name: x for name, x in tracker.state_dict().items() if not name.startswith("object_keys.")}
    made.load_state_dict({**made.state_dict(), **own})
    assert made.object_keys is not None
    layer = made.object_keys.mix
    if not 0 < channels <= layer.in_features:
        raise ValueError(f"channels: expected 1 to {layer.in_features}, got {channels}")
    products = torch.zeros(layer.in_features, layer.in_features, dtype=torch.float64)
    for picture in photographs(pictures):
        cells = cells_beside(made, picture).flatten(0, 2).double()
        products += cells.T @ cells / len(cells)
    layer.weight.copy_(main_axes(products, channels))
    return made.eval().requires_grad_(False)


def keys_command(tracker: Path, out: Path, pictures: Path, channels: int = CHANNELS) -> None:
    """Write a tracker's weights with keys for the object memory added.

    Args:
        tracker: checkpoint of a tracker with learnt joint features.
        out: file for the result, in float16.
        pictures: folder with photographs; those that decide are spread over it by name.
        channels: of the keys.

    Raises:
        ValueError: a tracker without learnt joint features, more channels than are mixed, or no photographs.
    """
    check_outputs([tracker], [out])
    loaded = load_checkpoint(tracker)
    check_kind(loaded, "keys for objects")
    save_checkpoint(out, with_keys(loaded, channels, pictures))
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    sys.exit(run_command(lambda: keys_command, sys.argv[1:], "train.object_keys"))
