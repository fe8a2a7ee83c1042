"""Tracker weights on disk: one safetensors file that carries its own config."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from pointtrack.config import TrackerConfig, from_dict, to_dict
from pointtrack.models.tracker import PointTracker

log = logging.getLogger(__name__)


def save_checkpoint(path: str | Path, tracker: PointTracker, half: bool = True) -> None:
    """Write weights and config to a .safetensors file, in float16 unless `half` is false."""
    dtype = torch.float16 if half else torch.float32
    tensors = {name: x.detach().to("cpu", dtype).contiguous() for name, x in tracker.state_dict().items()}
    save_file(tensors, path, metadata={"pointtrack_config": json.dumps(to_dict(tracker.config))})


def load_checkpoint(path: str | Path) -> PointTracker:
    """Build the tracker that a file written by `save_checkpoint` describes, with its weights, for inference.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a safetensors file, no pointtrack config in it, or tensors that do not fit it.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"tracker weights: expected a .safetensors file, found nothing at {path}")
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(
            f"{path}: expected a safetensors file, but it cannot be read as one ({error})"
        ) from error
    if "pointtrack_config" not in metadata:
        raise ValueError(
            f"{path}: expected weights saved by pointtrack, but the file carries no pointtrack_config"
        )
    config = from_dict(TrackerConfig, json.loads(metadata["pointtrack_config"]), f"{path.name} config")
    tracker = PointTracker(config)
    wanted = {name: tuple(x.shape) for name, x in tracker.state_dict().items()}
    found = {name: tuple(x.shape) for name, x in tensors.items()}
    if wanted != found:
        missing, extra = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
        shapes = [
            f"{k} is {found[k]}, not {wanted[k]}"
            for k in sorted(wanted.keys() & found.keys())
            if wanted[k] != found[k]
        ]
        raise ValueError(
            f"{path}: weights do not fit their config; missing {missing}, unexpected {extra}, shapes {shapes}"
        )
    tracker.load_state_dict(tensors)
    log.info("loaded %s (%s) from %s", config.name, config.licence, path)
    return tracker.eval().requires_grad_(False)
