"""Reads PyTorch Lightning checkpoints without running any code in them."""

from __future__ import annotations

import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

# The functions that rebuild tensors. None of them does anything else.
ALLOWED = {
    ("collections", "OrderedDict"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._utils", "_rebuild_parameter"),
    ("torch", "Size"),
}
# The entry that distinguishes such a file from any other pickle.
MARK = "pytorch-lightning_version"


class Inert:
    """Stands in for every object of a class that is not allowed: accepts everything, does nothing."""

    def __new__(cls, *arguments: Any, **named: Any) -> Inert:
        return super().__new__(cls)

    def __init__(self, *arguments: Any, **named: Any):
        pass

    def __call__(self, *arguments: Any, **named: Any) -> Inert:
        return self

    def __setstate__(self, state: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, value: Any) -> None:
        """Do nothing."""

    def extend(self, values: Any) -> None:
        """Do nothing."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Look up allowed names; replace all others with a class that does nothing."""
        return super().find_class(module, name) if (module, name) in ALLOWED else Inert


def read_lightning(path: Path) -> dict[str, Any] | None:
    """The content of a torch.save zip archive, if Lightning wrote it, else None.

    It has the tensors and plain values. Every other object is a placeholder: its class is not imported, and no function
    that the file names is called.
    """
    module = SimpleNamespace(Unpickler=_Unpickler, __name__="inert_pickle")
    try:
        content = torch.load(path, map_location="cpu", weights_only=False, pickle_module=module)
    except Exception:  # whatever is wrong, the caller reports what the file should be
        return None
    return content if isinstance(content, dict) and MARK in content else None
