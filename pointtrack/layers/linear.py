"""Linear layers fused with the operation after them, where the processor's library offers that."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# The call of torch's own compiler on CPUs: oneDNN's matrix product with the GELU in the same pass, without gradients.
# On AMD processors it is faster than MKL's, which torch uses by default.
_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
_ONEDNN_BF16 = _ONEDNN and torch.ops.mkldnn._is_mkldnn_bf16_supported()  # otherwise it refuses bfloat16


def linear(x: Tensor, layer: nn.Linear, gelu: str | None = None) -> Tensor:
    """A linear layer, followed by a GELU if `gelu` names one.

    Args:
        x: (..., c) input.
        layer: its weights.
        gelu: "tanh" or "none" (the exact one) as in F.gelu; None for no GELU.

    Returns:
        (..., c') equal to `F.gelu(layer(x))` up to rounding, in bfloat16 under an autocast to it.
    """
    if onednn_takes(x):
        kind = torch.bfloat16 if torch.is_autocast_enabled("cpu") else x.dtype
        bias = None if layer.bias is None else layer.bias.to(kind)
        activation = ("none", "") if gelu is None else ("gelu", gelu)
        return torch.ops.mkldnn._linear_pointwise(
            x.to(kind), layer.weight.to(kind), bias, activation[0], [], activation[1]
        )
    y = layer(x)
    return y if gelu is None else F.gelu(y, approximate=gelu)


def convolve1x1_relu(x: Tensor, layer: nn.Conv2d) -> Tensor:
    """(..., c) -> (..., c') by a 1x1 convolution on channels-last data, and a ReLU."""
    weight = layer.weight.flatten(1)
    if onednn_takes(x) and not torch.is_autocast_enabled("cpu"):
        return torch.ops.mkldnn._linear_pointwise(x, weight, layer.bias, "relu", [], "")
    return F.relu(F.linear(x, weight, layer.bias))


def multiply(x: Tensor, weight: Tensor) -> Tensor:
    """(..., c) times a matrix (c', c) -> (..., c'), if `onednn_takes(x)`."""
    return torch.ops.mkldnn._linear_pointwise(x, weight, None, "none", [], "")


def onednn_takes(x: Tensor) -> bool:
    """Whether oneDNN may be called directly: on a CPU, without gradients, while no operations are recorded.

    The dtype must be float32, or an autocast to bfloat16 must be on.
    """
    takes, known = _ONEDNN, [torch.float32]
    if torch.is_autocast_enabled("cpu"):
        takes = _ONEDNN_BF16 and torch.get_autocast_dtype("cpu") == torch.bfloat16
        known = [torch.float32, torch.bfloat16]
    return (
        takes
        and x.dtype in known
        and x.device.type == "cpu"
        and x.numel() > 0
        and not torch.is_grad_enabled()
        and not torch.compiler.is_compiling()
    )
