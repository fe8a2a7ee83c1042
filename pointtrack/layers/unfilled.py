"""Networks without weights, for those whose weights are read from a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode


class _NotDrawn(TorchFunctionMode):
    """No normal numbers: where they have no storage torch loads its compiler to draw them, a second and 70 MB."""

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
    """Modules built here have shapes and no values: no time and memory for weights that are replaced at once.

    >>> with unfilled():
    ...     layer = nn.Embedding(4, 8)
    >>> layer.weight.is_meta
    True
    """
    with torch.device("meta"), _NotDrawn():
        yield
