"""Tensors that seem to lie on a GPU, for machines without one."""

from __future__ import annotations

from typing import Any

import torch


class Elsewhere(torch.Tensor):
    """A tensor that numpy cannot use before it is copied to the CPU."""

    def __array__(self, *dtype):
        raise TypeError("can't convert cuda:0 device type tensor to numpy")

    numpy = __array__

    def to(self, *device):
        return self.as_subclass(torch.Tensor)

    cpu = to


def elsewhere(value: Any) -> Any:
    """A state, or a part of one, with all its tensors seemingly on a GPU."""
    if isinstance(value, dict):
        return {key: elsewhere(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(elsewhere(inner) for inner in value)
    return value.as_subclass(Elsewhere) if isinstance(value, torch.Tensor) else value
