"""Builds networks without weights, if a file provides these."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode


class _NotDrawn(TorchFunctionMode):
    """Skips drawing normal numbers: for tensors without storage torch would load its compiler, a second and 70 MB."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func in (Tensor.normal_, nn.init.normal_):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


@contextmanager
def unfilled() -> Iterator[None]:
    """Modules built in this context have shapes but no values: no time or memory for weights that are replaced at once.

    >>> with unfilled():
    ...     layer = nn.Embedding(4, 8)
    >>> layer.weight.is_meta
    True
    """
    with torch.device("meta"), _NotDrawn():
        yield
