"""Convolutions fused with the operation after them, where the processor's library offers that."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pointtrack.layers.linear import onednn_takes

# The call of torch's own compiler on CPUs: oneDNN's convolution with a clamp or a sum in the same pass, without
# gradients.
_FUSED = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
RELU6: tuple[str, list[float]] = ("hardtanh", [0.0, 6.0])
NOTHING: tuple[str, list[float]] = ("none", [])


def convolve(x: Tensor, layer: nn.Conv2d, *, relu6: bool = False, behind: bool = False) -> Tensor:
    """A convolution, and on request a ReLU capped at 6 after it.

    Args:
        x: (b, c, h, w).
        layer: its weights; odd kernels.
        relu6: clamp the result to 0..6.
        behind: a kernel that halves the map is padded more after the end than before the start, as TensorFlow does;
            h and w are even.

    Returns:
        (b, c', h', w') equal to the layer's own convolution up to rounding.
    """
    weight, bias, padding = layer.weight, layer.bias, layer.padding
    if behind and layer.stride[0] > 1:
        # Pictures have few channels. And of a graph that pads weights, ONNX Runtime makes one that it refuses itself.
        if layer.groups == 1 or torch.compiler.is_exporting():
            more = layer.kernel_size[0] - layer.stride[0]
            x, padding = F.pad(x, (more // 2, more - more // 2) * 2), (0, 0)
        else:
            # A leading tap of zero does the same as unequal padding, which would need a copy of the map.
            weight, padding = F.pad(weight, (1, 0, 1, 0)), (layer.kernel_size[0] // 2,) * 2
    if _FUSED and onednn_takes(x):
        kind = _kind(x)
        return torch.ops.mkldnn._convolution_pointwise(
            x.to(kind), weight.to(kind), None if bias is None else bias.to(kind),
            padding, layer.stride, layer.dilation, layer.groups, *(RELU6 if relu6 else NOTHING), "",
        )  # fmt: skip
    y = F.conv2d(x, weight, bias, layer.stride, padding, layer.dilation, layer.groups)
    return F.relu6(y, inplace=not torch.is_grad_enabled()) if relu6 else y


def convolve_onto(x: Tensor, layer: nn.Conv2d, under: Tensor) -> Tensor:
    """(b, c, h, w) through a convolution that keeps the size, plus (b, c', h, w) -> (b, c', h, w)."""
    if not (_FUSED and onednn_takes(x)):
        return under + layer(x)
    kind = _kind(x)
    return torch.ops.mkldnn._convolution_pointwise.binary(
        x.to(kind), under.to(kind), layer.weight.to(kind), None if layer.bias is None else layer.bias.to(kind),
        layer.padding, layer.stride, layer.dilation, layer.groups, "add", 1.0, None, [], None,
    )  # fmt: skip


def _kind(x: Tensor) -> torch.dtype:
    """The dtype to compute in, where oneDNN takes the call."""
    return torch.bfloat16 if torch.is_autocast_enabled("cpu") else x.dtype
