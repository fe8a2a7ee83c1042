"""A device that machines without a GPU have too, on which a tensor is as far from the CPU's as on a real one.

Its tensors keep their values on the CPU and say that they lie on "meta". As on CUDA, an operation takes tensors of one
device only (but for indices, and for single values among tensors), and numpy takes none of them. What takes an
extra step on a GPU (`device.type != "cpu"`) takes it here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = torch.device("meta")
aten = torch.ops.aten
COPIES = (aten._to_copy.default, aten.copy_.default)
INDEXES = (aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._index_put_impl_.default)
FILLS = (aten.where.self, aten.masked_fill.Tensor, aten.masked_fill_.Tensor, aten.fill_.Tensor)
MAKERS = (
    torch.tensor,
    torch.as_tensor,
    Tensor.new_tensor,
)  # do not pass through the dispatcher on this device


class _There(Tensor):
    """A tensor on the device; `inner` has its values."""

    inner: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, inner: Tensor) -> _There:
        assert type(inner) is Tensor and inner.device.type == "cpu"
        there = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=DEVICE,
            requires_grad=inner.requires_grad,
        )
        there.inner = inner
        return there

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"_There({self.inner!r})"

    def tolist(self) -> Any:
        return self.inner.tolist()  # torch refuses it to classes of tensors

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


def _check(func: Any, args: Any, kwargs: dict[str, Any]) -> None:
    """Raise RuntimeError where CUDA would."""
    tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
    here = [x for x in tensors if not isinstance(x, _There)]
    if len(here) in (0, len(tensors)) or func in COPIES:
        return
    if func in INDEXES:
        if isinstance(args[0], _There) and all(isinstance(x, _There) or not x.ndim for x in args[2:3]):
            return
    elif (func in FILLS or torch.Tag.pointwise in func.tags) and not any(x.ndim for x in here):
        return
    kinds = [(x.device.type, tuple(x.shape)) for x in tensors]
    raise RuntimeError(f"{func}: expected all tensors on one device, got {kinds}")


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    _check(func, args, kwargs)
    given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, _There)]
    device, there = kwargs.get("device"), bool(given)
    if func is aten.copy_.default:
        there = isinstance(args[0], _There)
    if device is not None:
        there, kwargs = torch.device(device) == DEVICE, {**kwargs, "device": "cpu"}
    bare_args, bare_kwargs = tree_map(lambda x: x.inner if isinstance(x, _There) else x, (args, kwargs))
    if not there:
        return func(*bare_args, **bare_kwargs)
    known = {id(x.inner): x for x in given}  # what an operation in place returns is what it was given

    def lifted(x: Any) -> Any:
        return x if not isinstance(x, Tensor) else known[id(x)] if id(x) in known else _There(x)

    with torch.inference_mode(False), torch.no_grad():
        return tree_map(lifted, func(*bare_args, **bare_kwargs))


class _Dispatch(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if torch.is_inference_mode_enabled() and func._can_decompose():
            with (
                self
            ):  # without gradients torch does not take composed operations apart before they come here
                result = func.decompose(*args, **(kwargs or {}))
            if result is not NotImplemented:
                return result
        return _run(func, args, kwargs or {})


class _Makers(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func not in MAKERS:
            return func(*args, **kwargs)
        device = kwargs.pop("device", None)
        if func is Tensor.new_tensor:
            like, *args = args
            func, device = torch.tensor, device or like.device
            kwargs.setdefault("dtype", like.dtype)
        made = args[0].to(kwargs.get("dtype")) if isinstance(args[0], Tensor) else func(*args, **kwargs)
        return made if device is None else made.to(device)


@contextmanager
def pretended_gpu() -> Iterator[torch.device]:
    """A device to move networks and tensors to. In bfloat16 nothing is computed on it."""
    autocast = torch.autocast

    def narrowed(device: str, *args: Any, **options: Any) -> Any:
        return nullcontext() if device == DEVICE.type else autocast(device, *args, **options)

    with patch.object(torch, "autocast", narrowed), _Dispatch(), _Makers():
        yield DEVICE
