"""A 3x3 convolution with 4 products where the definition has 9: tiles of 2 x 2 outputs, for inference on CPUs."""

from __future__ import annotations

import weakref

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from pointtrack.layers.linear import multiply, onednn_takes

ROWS = 8  # of tiles at a time, so that intermediate results stay in the processor's cache
# Least number of channels, in and out each and both multiplied, for this to be faster than the direct convolution.
NARROW, WIDE = 120, 30_000
# Layers whose weights are not trained -> an identity of their weights, and the transformed weights.
_kept: weakref.WeakKeyDictionary[nn.Conv2d, tuple[tuple[int, int], Tensor]] = weakref.WeakKeyDictionary()


def convolve(x: Tensor, layer: nn.Conv2d) -> Tensor:
    """(b, c, h, w) -> (b, c', h, w) by a 3x3 convolution of stride 1 and padding 1, in the faster of two ways.

    The result equals `layer(x)` up to rounding.
    """
    channels = layer.in_channels, layer.out_channels
    wide = min(channels) >= NARROW and channels[0] * channels[1] >= WIDE
    if not (wide and onednn_takes(x)) or torch.is_autocast_enabled("cpu"):
        return layer(x)
    kernels = _kernels(layer)
    images = [_convolve(image, kernels, layer.bias) for image in rearrange(x, "b c h w -> b h w c")]
    return rearrange(images[0][None] if len(images) == 1 else torch.stack(images), "b h w c -> b c h w")


def _kernels(layer: nn.Conv2d) -> Tensor:
    """`transformed` weights of a layer, kept if they are not trained, as making them takes a fifth of a convolution."""
    weight = layer.weight
    if weight.requires_grad or weight.is_inference():  # their changes may go unnoticed
        return transformed(weight)
    state = weight.data_ptr(), weight._version
    known = _kept.get(layer)
    if known is None or known[0] != state:
        known = _kept[layer] = state, transformed(weight)
    return known[1]


def transformed(weight: Tensor) -> Tensor:
    """(c', c, 3, 3) weights of a convolution -> (4, 4, c', c), a matrix for each place in a tile of 4 x 4 inputs.

    Source: F(2x2, 3x3) of Lavin and Gray, Fast algorithms for convolutional neural networks, 2016.
    """
    lines = torch.stack(_weights(rearrange(weight, "o c i j -> i j o c")))
    return torch.stack(_weights(lines.transpose(0, 1))).transpose(0, 1)


def _convolve(image: Tensor, kernels: Tensor, bias: Tensor | None) -> Tensor:
    """(h, w, c) -> (h, w, c')."""
    h, w, _ = image.shape
    rows, columns = -(-h // 2), -(-w // 2)  # of tiles
    padded = F.pad(image, (0, 0, 1, 1 + 2 * columns - w, 1, 1 + 2 * rows - h))
    result = image.new_empty(rows, 2, columns, 2, kernels.shape[2])
    for top in range(0, rows, ROWS):
        count = min(ROWS, rows - top)
        strip = padded[2 * top : 2 * (top + count) + 2]
        lines = _inputs([strip[i : i + 2 * count - 1 : 2] for i in range(4)])
        tiles = [_inputs([line[:, j : j + 2 * columns - 1 : 2] for j in range(4)]) for line in lines]
        across = [
            _outputs([multiply(tile, kernel) for tile, kernel in zip(row, kernels[i], strict=True)])
            for i, row in enumerate(tiles)
        ]
        for right in range(2):
            below = _outputs([pair[right] for pair in across])
            for lower in range(2):
                result[top : top + count, lower, :, right] = below[lower]
    if bias is not None:
        result += bias
    return result.reshape(2 * rows, 2 * columns, -1)[:h, :w]


def _weights(x: Tensor) -> list[Tensor]:
    """Three weights along one axis -> factors for the four transformed inputs."""
    middle = (x[0] + x[2]) / 2
    return [x[0], middle + x[1] / 2, middle - x[1] / 2, x[2]]


def _inputs(x: list[Tensor]) -> list[Tensor]:
    """Four neighbours along one axis -> the four transformed inputs."""
    return [x[0] - x[2], x[1] + x[2], x[2] - x[1], x[1] - x[3]]


def _outputs(m: list[Tensor]) -> tuple[Tensor, Tensor]:
    """The four products along one axis -> two neighbouring outputs. The products are overwritten."""
    return m[0].add_(m[1]).add_(m[2]), m[1].sub_(m[2]).sub_(m[3])
