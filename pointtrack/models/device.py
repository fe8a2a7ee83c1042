"""The device to run on, and the location of the shipped weights."""

from __future__ import annotations

from pathlib import Path

import torch

WEIGHTS = Path(__file__).parents[1] / "weights"


def pick_device(device: str | torch.device) -> torch.device:
    """The device to use; "auto" takes the GPU if there is one. Raises ValueError if the machine lacks the device."""
    if str(device) == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.zeros((), device=device).device
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"device: expected cpu, cuda, mps or auto as this machine has it, got {device!r}"
        ) from error
