"""Decides, once per device, which hand-written GPU kernels this machine can use.

POINTTRACK_TRITON=1 turns them on. They compile for GPUs, but few comparisons were run on one (docs/explain/speed.md).
"""

from __future__ import annotations

import functools
import importlib.util
import logging
import os
from collections.abc import Callable

import torch
from torch import Tensor

log = logging.getLogger(__name__)

Products = Callable[[Tensor, Tensor, Tensor, int], Tensor]


@functools.cache
def triton_products(device: torch.device) -> Products | None:
    """`correlation_triton.local_products` if it runs on a device; None if PyTorch has to compute the products.

    It needs a GPU and Triton, and Triton needs a C compiler. The first call tries the kernel on an example.
    """
    if os.environ.get("POINTTRACK_TRITON") != "1":
        return None
    if device.type != "cuda" or importlib.util.find_spec("triton") is None:
        return None
    from pointtrack.layers.correlation_triton import local_products

    return local_products if is_right(local_products, device) else None


def is_right(products: Products, device: torch.device) -> bool:
    """Whether a function gives the products of `layers/correlation.py` for an example; warns if not.

    The example's map is the plane x + 10 y, whose blends are the plane between the cells.
    """
    x, y = torch.arange(8.0, device=device), torch.arange(6.0, device=device)
    level = (x + 10 * y[:, None])[None, None, :, :, None]
    position = torch.tensor([3.25, 2.5], device=device)
    reach = torch.arange(-1.0, 2.0, device=device)
    wanted = (position[0] + reach[:, None] + 10 * (position[1] + reach)).flatten()
    try:
        got = products(level, torch.ones(1, 1, 1, 1, device=device), position[None, None, None], 1)
    except Exception as error:  # Triton raises errors of many types: no compiler, no driver, an unknown GPU
        log.warning("correlation runs in PyTorch, which is slower: its Triton kernel fails here (%s)", error)
        return False
    right = torch.allclose(got.flatten(), wanted, atol=1e-3)
    if not right:
        log.warning("correlation runs in PyTorch, which is slower: its Triton kernel is wrong on %s", device)
    return right
