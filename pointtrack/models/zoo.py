"""Trackers by name."""

from __future__ import annotations

from pathlib import Path

import torch

from pointtrack.models.checkpoint import load_checkpoint
from pointtrack.models.tracker import PointTracker

WEIGHTS = Path(__file__).parent.parent / "weights"
SHIPPED = {"small": WEIGHTS / "pointtrack_small.safetensors"}


def load_tracker(name: str | Path = "small", *, device: str | torch.device = "auto") -> PointTracker:
    """Load a tracker, ready to use.

    Args:
        name: "small", the model that ships with the package, or the path of a .safetensors file.
        device: "cpu", "cuda", ...; "auto" takes the GPU where there is one.

    Raises:
        FileNotFoundError: neither a known name nor a file.
        ValueError: a file that does not hold a tracker, or a device that this machine does not have.
    """
    path = SHIPPED.get(str(name), Path(name))
    if not path.is_file() and not path.suffix:
        raise FileNotFoundError(
            f"tracker {str(name)!r}: expected one of {', '.join(SHIPPED)} or the path of a .safetensors file"
        )
    return load_checkpoint(path).to(pick_device(device))


def pick_device(device: str | torch.device) -> torch.device:
    """The device to use; "auto" takes the GPU where there is one. Raises ValueError for one that is not there."""
    if str(device) == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.zeros((), device=device).device
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"device: expected cpu, cuda, mps or auto as this machine has it, got {device!r}"
        ) from error
