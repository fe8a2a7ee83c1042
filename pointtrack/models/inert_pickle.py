"""Checkpoints of PyTorch Lightning, read without running anything that they hold."""

from __future__ import annotations

import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

# What tensors are rebuilt with. Nothing here does more than that.
ALLOWED = {
    ("collections", "OrderedDict"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._utils", "_rebuild_parameter"),
    ("torch", "Size"),
}
# The entry by which such a file is told from any other pickle.
MARK = "pytorch-lightning_version"


class Inert:
    """Stands for every object of a class that is not allowed: takes all, does nothing."""

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
        """Nothing."""

    def extend(self, values: Any) -> None:
        """Nothing."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Allowed names as they are; for all others a class that does nothing, which is not looked up."""
        return super().find_class(module, name) if (module, name) in ALLOWED else Inert


def read_lightning(path: Path) -> dict[str, Any] | None:
    """The content of a zip archive of torch.save, if Lightning wrote it, else None.

    Its tensors and plain values are there. Of anything else only that it was there: its classes are not imported, and no
    function of the file is called.
    """
    module = SimpleNamespace(Unpickler=_Unpickler, __name__="inert_pickle")
    try:
        content = torch.load(path, map_location="cpu", weights_only=False, pickle_module=module)
    except Exception:  # whatever is wrong with it, the caller says what a file should be
        return None
    return content if isinstance(content, dict) and MARK in content else None
