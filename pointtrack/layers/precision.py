"""Half precision where it is asked for."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def narrow(device: torch.device, requested: bool) -> AbstractContextManager[object]:
    """bfloat16 for layers where it is asked for; otherwise as it is set around, which training may do."""
    return torch.autocast(device.type, torch.bfloat16) if requested else nullcontext()
