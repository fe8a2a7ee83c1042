"""Tracker weights on disk: our own safetensors files, which carry their config, and published checkpoints."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from safetensors.torch import save

from pointtrack.config import network_config, to_dict
from pointtrack.io.atomic import write_bytes
from pointtrack.io.outside import reading
from pointtrack.layers.unfilled import unfilled
from pointtrack.models.families import FAMILIES, PUBLISHED, family_of, recognise
from pointtrack.models.tracking_network import TrackingNetwork
from pointtrack.models.weight_files import (
    WeightsFile,
    compare_shapes,
    read_weights,
    set_tensors,
    shapes_of,
    tensors_to_save,
)

log = logging.getLogger(__name__)

CONFIG, FAMILY = "pointtrack_config", "pointtrack_family"  # notes in our files
OWN_FAMILY = "point_tracker"


def save_checkpoint(path: str | Path, tracker: TrackingNetwork, half: bool = True) -> None:
    """Write weights and the network's own config to a .safetensors file, in float16 unless `half` is false.

    The options chosen at loading (`InferenceOptions`) are not written: they depend on the machine and the task.
    """
    notes = {CONFIG: json.dumps(to_dict(tracker.own_config))}
    # Not for our own family: notes have no fixed order in the file, and equal weights should give equal bytes.
    if (family := family_of(tracker.own_config)) != OWN_FAMILY:
        notes[FAMILY] = family
    # Not `save_file`: nobody but their owner could read its files, whatever the umask.
    write_bytes(path, save(tensors_to_save(tracker, half), metadata=notes))


def load_checkpoint(path: str | Path, name: str | None = None) -> Any:
    """Build the tracker for the weights in a file, for inference.

    Args:
        path: a file from `save_checkpoint`, or of a published model (.pth, .ckpt or .safetensors).
        name: the published model that the file must belong to; None to recognise it.

    Returns:
        A `TrackingNetwork`: a `PointTracker`, `LocoTrack` or `AllTracker`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a weights file, the weights of another model, or tensors that do not fit.
    """
    file = read_weights(path)
    config = _config_of(file, name)
    family = FAMILIES[family_of(config)]
    with reading(path, "the weights of a tracker"), unfilled():  # random weights would be overwritten
        tracker = family.network(config)
    if CONFIG in file.metadata:
        compare_shapes(shapes_of(tracker.state_dict()), shapes_of(file.tensors), file.path, config.name)
        tensors = file.tensors
    else:
        tensors = family.from_published(file.tensors, tracker, file.path)
    set_tensors(tracker, tensors)
    log.info("loaded %s (%s) from %s", config.name, config.licence, path)
    return tracker.eval().requires_grad_(False)


def _config_of(file: WeightsFile, name: str | None) -> Any:
    """The config of the tracker whose weights a file holds.

    Raises:
        ValueError: the weights of no tracker, or of another one than `name`.
    """
    if CONFIG in file.metadata:
        family = file.metadata.get(FAMILY, OWN_FAMILY)
        if family not in FAMILIES:
            raise ValueError(
                f"{file.path}: expected one of the networks {', '.join(FAMILIES)}, got {family!r}; a newer pointtrack may know it"
            )
        with reading(file.path, "weights saved by pointtrack"):
            config: Any = network_config(
                FAMILIES[family].config, json.loads(file.metadata[CONFIG]), "its config"
            )
        if name is not None and config.name != PUBLISHED[name].config.name:
            raise ValueError(f"{file.path}: expected the weights of {name}, got those of {config.name}")
        return config
    config = PUBLISHED[name].config if name else recognise(file.tensors)
    if config is None:
        trained = file.path.with_name("model.safetensors")  # beside the last.ckpt of a training
        hint = f"; for the weights of this training give {trained}" if trained.is_file() else ""
        raise ValueError(
            f"{file.path}: expected weights saved by pointtrack (with a {CONFIG}), or of "
            f"{', '.join(PUBLISHED)}; its tensors are of neither{hint}"
        )
    return config
