"""The device to run on, and the location of the shipped weights."""

from __future__ import annotations

import time
from pathlib import Path

import torch

WEIGHTS = Path(__file__).parents[1] / "weights"


def pick_device(device: str | torch.device) -> torch.device:
    """The device to use; "auto" takes the GPU if there is one. Raises ValueError if the machine lacks the device."""
    if str(device) == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.zeros((), device=device).device
    except (RuntimeError, AssertionError) as error:
        raise ValueError(_lacking(str(device))) from error
    if found.type == "meta":  # it holds no numbers
        raise ValueError(_lacking("meta"))
    return found


def _lacking(device: str) -> str:
    """The message for a device that this machine does not have: what it has, why, and what to do."""
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    there = ["cpu", *(["cuda"] if gpus else []), *(["mps"] if torch.backends.mps.is_available() else [])]
    kind, advice = device.partition(":")[0], "take cpu or auto"
    if kind == "cuda" and gpus:
        advice = f"the GPUs here are cuda:0..{gpus - 1}" if gpus > 1 else "there is one GPU, cuda:0"
    elif kind == "cuda" and torch.version.cuda is None and torch.version.hip is None:
        advice = f"torch {torch.__version__} is a build without CUDA: install one with it (pytorch.org), or {advice}"
    elif kind == "cuda":
        advice = f"torch finds no GPU, and nvidia-smi shows whether its driver does; or {advice}"
    elif kind == "mps":
        advice = f"mps is the GPU of Macs with Apple silicon; {advice}"
    return f"device: expected one that this machine has ({', '.join(there)}, auto), got {device!r}; {advice}"


def now(where: torch.device) -> float:
    """Seconds, after all work on a device is done."""
    if where.type == "cuda":
        torch.cuda.synchronize(where)
    elif where.type == "mps":
        torch.mps.synchronize()
    return time.perf_counter()
