"""Linear layers in one pass with the GELU behind them, where the processor's library offers that."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# What torch's own compiler calls on CPUs: oneDNN's matrix product with the GELU in the same pass. On processors of AMD
# it is faster than MKL's, which torch takes by default. It knows no gradients.
_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def linear(x: Tensor, layer: nn.Linear, gelu: str | None = None) -> Tensor:
    """A linear layer, and a GELU behind it where one is named.

    Args:
        x: (..., c) input.
        layer: its weights.
        gelu: "tanh" or "none" (the exact one) as in F.gelu; None for no GELU.

    Returns:
        (..., c') the same as `F.gelu(layer(x))` up to rounding.
    """
    if onednn_takes(x):
        activation = ("none", "") if gelu is None else ("gelu", gelu)
        return torch.ops.mkldnn._linear_pointwise(
            x, layer.weight, layer.bias, activation[0], [], activation[1]
        )
    y = layer(x)
    return y if gelu is None else F.gelu(y, approximate=gelu)


def multiply(x: Tensor, weight: Tensor) -> Tensor:
    """(..., c) with a matrix (c', c) -> (..., c'), where `onednn_takes(x)`."""
    return torch.ops.mkldnn._linear_pointwise(x, weight, None, "none", [], "")


def onednn_takes(x: Tensor) -> bool:
    """Whether oneDNN may be called directly: float32 on a CPU, no gradient wanted, nothing that records operations."""
    return (
        _ONEDNN
        and x.dtype == torch.float32
        and x.device.type == "cpu"
        and x.numel() > 0
        and not torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )
