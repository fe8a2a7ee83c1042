"""Trackers by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from pointtrack.models.checkpoint import load_checkpoint
from pointtrack.models.tracker import PointTracker

WEIGHTS = Path(__file__).parent.parent / "weights"
SHIPPED = {"small": WEIGHTS / "pointtrack_small.safetensors"}


def load_tracker(
    name: str | Path = "small", *, device: str | torch.device = "auto", iterations: int | None = None
) -> PointTracker:
    """Load a tracker, ready to use.

    Args:
        name: "small", the model that ships with the package, or the path of a .safetensors file.
        device: "cpu", "cuda", ...; "auto" takes the GPU where there is one.
        iterations: rounds of refinement per window, where they should differ from the model's own; with 0
            the first guess, matching alone, is the answer.

    Raises:
        FileNotFoundError: neither a known name nor a file.
        ValueError: a file that does not hold a tracker, or a device that this machine does not have.
    """
    path = SHIPPED.get(str(name), Path(name))
    if not path.is_file() and not path.suffix:
        raise FileNotFoundError(
            f"tracker {str(name)!r}: expected one of {', '.join(SHIPPED)} or the path of a .safetensors file"
        )
    tracker = load_checkpoint(path).to(pick_device(device))
    if iterations is not None:
        if iterations < 0:
            raise ValueError(f"iterations: expected 0 or more, got {iterations}")
        window = replace(tracker.config.window, iterations=iterations)
        tracker.config = replace(tracker.config, window=window)
    return tracker


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
