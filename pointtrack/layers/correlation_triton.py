"""The products of `layers/correlation.py` as one Triton kernel per level, forward and backward, for GPUs.

A program reads the whole cells around one position of one point, multiplies them with the point's support, and blends
the products to the float position; it writes neither cells nor products on whole cells to memory. Blending is a
product with a sparse (patch, cells) matrix, which the program computes from the position. So everything is `tl.dot`,
and the backward pass is the same with the matrices transposed.

Importing this needs Triton, which comes with the CUDA builds of PyTorch for Linux.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

SMALLEST = 16  # least side of a matrix that tl.dot takes
CHANNELS = 32  # multiplied at a time
WARPS = 8  # per program; with 4, a 7 x 7 support or gradients do not fit into its registers


@triton.jit
def _place(xy, item, h, w, RADIUS: tl.constexpr, CELLS: tl.constexpr):
    """The cells of the map around a position, (CELLS,), x slow; and the position's fraction of a cell."""
    side: tl.constexpr = 2 * RADIUS + 2
    # Farther outside, every cell has the border value, so this only changes values that overflow an integer.
    x = tl.clamp(tl.load(xy + 2 * item), -RADIUS - 2.0, w + RADIUS + 2.0)
    y = tl.clamp(tl.load(xy + 2 * item + 1), -RADIUS - 2.0, h + RADIUS + 2.0)
    cell = tl.arange(0, CELLS)
    column = tl.floor(x).to(tl.int32) + cell // side - RADIUS
    row = tl.floor(y).to(tl.int32) + cell % side - RADIUS
    column = tl.minimum(tl.maximum(column, 0), w - 1)
    row = tl.minimum(tl.maximum(row, 0), h - 1)
    return row * w + column, x - tl.floor(x), y - tl.floor(y)


@triton.jit
def _weights(fraction, at, cell):
    """The weight of each whole cell at each place of the patch, along one axis: (places, cells)."""
    here, next_one = cell[None, :] == at[:, None], cell[None, :] == at[:, None] + 1
    return tl.where(here, 1.0 - fraction, 0.0) + tl.where(next_one, fraction, 0.0)


@triton.jit
def _slopes(at, cell):
    """The derivative of `_weights` by the fraction."""
    here, next_one = cell[None, :] == at[:, None], cell[None, :] == at[:, None] + 1
    return tl.where(next_one, 1.0, 0.0) - tl.where(here, 1.0, 0.0)


@triton.jit
def _forward_kernel(
    level, support, xy, out, t, n, h, w, c, q, stride_b, stride_t,
    RADIUS: tl.constexpr, CELLS: tl.constexpr, LOOKS: tl.constexpr, PART: tl.constexpr, SUM: tl.constexpr,
):  # fmt: skip
    """One program per (b, t, n). CELLS and LOOKS are the numbers of cells and q, padded; sums are of type SUM."""
    side: tl.constexpr = 2 * RADIUS + 2
    patch: tl.constexpr = 2 * RADIUS + 1
    item = tl.program_id(0).to(tl.int64)
    frame, point = item // n, item % n
    place, fx, fy = _place(xy, item, h, w, RADIUS, CELLS)
    level += frame * h * w * c
    support += (frame // t) * stride_b + (frame % t) * stride_t + point * q * c

    cell, look = tl.arange(0, CELLS), tl.arange(0, LOOKS)
    product = tl.zeros((CELLS, LOOKS), SUM)
    for start in range(0, c, PART):
        channel = start + tl.arange(0, PART)
        exists = channel < c
        cells = tl.load(
            level + place[:, None] * c + channel[None, :],
            mask=(cell < side * side)[:, None] & exists[None, :],
            other=0.0,
        )
        looks = tl.load(
            support + look[None, :] * c + channel[:, None],
            mask=exists[:, None] & (look < q)[None, :],
            other=0.0,
        )
        product = tl.dot(cells, looks, product, input_precision="ieee", out_dtype=SUM)

    at = tl.arange(0, CELLS)
    blend = _weights(fx, at // patch, cell // side) * _weights(fy, at % patch, cell % side)
    result = tl.dot(blend.to(SUM), product, input_precision="ieee", out_dtype=SUM)
    tl.store(
        out + (item * patch * patch + at[:, None]) * q + look[None, :],
        result,
        mask=(at < patch * patch)[:, None] & (look < q)[None, :],
    )


@triton.jit
def _backward_kernel(
    level, support, xy, grad, grad_level, grad_support, grad_xy, t, n, h, w, c, q, stride_b, stride_t,
    RADIUS: tl.constexpr, CELLS: tl.constexpr, LOOKS: tl.constexpr, PART: tl.constexpr, SUM: tl.constexpr,
    OF_LEVEL: tl.constexpr, OF_SUPPORT: tl.constexpr, OF_XY: tl.constexpr,
):  # fmt: skip
    """As `_forward_kernel`; OF_... select the gradients. Several programs add to the same cells and looks."""
    side: tl.constexpr = 2 * RADIUS + 2
    patch: tl.constexpr = 2 * RADIUS + 1
    item = tl.program_id(0).to(tl.int64)
    frame, point = item // n, item % n
    place, fx, fy = _place(xy, item, h, w, RADIUS, CELLS)
    in_level = frame * h * w * c
    in_support = (frame // t) * stride_b + (frame % t) * stride_t + point * q * c

    cell, look, at = tl.arange(0, CELLS), tl.arange(0, LOOKS), tl.arange(0, CELLS)
    is_cell, is_look = cell < side * side, look < q
    result = tl.load(
        grad + (item * patch * patch + at[:, None]) * q + look[None, :],
        mask=(at < patch * patch)[:, None] & is_look[None, :],
        other=0.0,
    ).to(SUM)
    along_x = _weights(fx, at // patch, cell // side)
    along_y = _weights(fy, at % patch, cell % side)
    blend = (along_x * along_y).to(SUM)
    of_product = tl.dot(tl.trans(blend), result, input_precision="ieee", out_dtype=SUM)

    product = tl.zeros((CELLS, LOOKS), SUM)
    for start in range(0, c, PART):
        channel = start + tl.arange(0, PART)
        exists = channel < c
        of_cells = place[:, None] * c + channel[None, :]
        of_looks = look[:, None] * c + channel[None, :]
        cells_there, looks_there = is_cell[:, None] & exists[None, :], is_look[:, None] & exists[None, :]
        cells = tl.load(level + in_level + of_cells, mask=cells_there, other=0.0).to(SUM)
        looks = tl.load(support + in_support + of_looks, mask=looks_there, other=0.0).to(SUM)
        if OF_LEVEL:
            change = tl.dot(of_product, looks, input_precision="ieee", out_dtype=SUM)
            tl.atomic_add(grad_level + in_level + of_cells, change, mask=cells_there)
        if OF_SUPPORT:
            change = tl.dot(tl.trans(of_product), cells, input_precision="ieee", out_dtype=SUM)
            tl.atomic_add(grad_support + in_support + of_looks, change, mask=looks_there)
        if OF_XY:
            product = tl.dot(cells, tl.trans(looks), product, input_precision="ieee", out_dtype=SUM)
    if OF_XY:
        # The slope at each place of the patch, weighted by its gradient and added up.
        steep_x = (_slopes(at // patch, cell // side) * along_y).to(SUM)
        steep_y = (_slopes(at % patch, cell % side) * along_x).to(SUM)
        change_x = tl.dot(steep_x, product, input_precision="ieee", out_dtype=SUM) * result
        change_y = tl.dot(steep_y, product, input_precision="ieee", out_dtype=SUM) * result
        tl.store(grad_xy + 2 * item, tl.sum(tl.sum(change_x, axis=1), axis=0))
        tl.store(grad_xy + 2 * item + 1, tl.sum(tl.sum(change_y, axis=1), axis=0))


class _LocalProducts(torch.autograd.Function):
    """Level (b, t, h, w, c), support (b, 1 or t, n, q, c), positions (b, t, n, 2) -> (b, t, n, p, q)."""

    @staticmethod
    def forward(ctx: Any, level: Tensor, support: Tensor, xy: Tensor, radius: int) -> Tensor:
        level, support, xy = level.contiguous(), support.contiguous(), xy.contiguous()
        ctx.save_for_backward(level, support, xy)
        ctx.radius = radius
        out = level.new_empty(*xy.shape[:3], (2 * radius + 1) ** 2, support.shape[3])
        numbers, sizes = _sizes(level, support, radius)
        if out.numel():
            with torch.cuda.device_of(level):
                _forward_kernel[(xy[..., 0].numel(),)](
                    level, support, xy, out, *numbers, **sizes, num_warps=WARPS
                )
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        level, support, xy = ctx.saved_tensors
        of_level, of_support, of_xy, _ = ctx.needs_input_grad
        numbers, sizes = _sizes(level, support, ctx.radius)
        exact = _sum_type(level)
        # Many programs add to the same values, so these are added up in full precision.
        grads = [
            torch.zeros_like(x, dtype=exact) if wanted else x
            for x, wanted in ((level, of_level), (support, of_support), (xy, of_xy))
        ]
        if grad.numel():
            with torch.cuda.device_of(level):
                _backward_kernel[(xy[..., 0].numel(),)](
                    level, support, xy, grad.contiguous(), *grads, *numbers, **sizes,
                    OF_LEVEL=of_level, OF_SUPPORT=of_support, OF_XY=of_xy, num_warps=WARPS,
                )  # fmt: skip
        return (
            grads[0].to(level.dtype) if of_level else None,
            grads[1].to(support.dtype) if of_support else None,
            grads[2].to(xy.dtype) if of_xy else None,
            None,
        )


def local_products(level: Tensor, support: Tensor, xy: Tensor, radius: int) -> Tensor:
    """Products of the points' support with the patches around their estimated positions, on one level.

    Args:
        level: (b, t, h, w, c) map; the border value repeats outside.
        support: (b, n, q, c), the same on all frames, or (b, t, n, q, c).
        xy: (b, t, n, 2) positions in cells of this level.
        radius: of the patch, in cells.

    Returns:
        (b, t, n, p, q) in the type of `level`, p the (2 * radius + 1)^2 places of the patch, x slow; sums are in
        float32 (float64 for a float64 level). Differentiable once, with respect to all three tensors. A GPU adds up
        the gradients of `level` and `support` in no fixed order, so their last bits may differ from run to run.

    Raises:
        ValueError: shapes that do not fit together.
    """
    b, t, _, _, c = level.shape
    if xy.shape[:2] != (b, t) or xy.shape[-1] != 2:
        raise ValueError(f"xy: expected ({b}, {t}, n, 2) as the level has b and t, got {tuple(xy.shape)}")
    n = xy.shape[2]
    per_frame = support if support.ndim == 5 else support[:, None]
    if per_frame.ndim != 5 or per_frame.shape[1] not in (1, t) or per_frame[:, 0, :, 0].shape != (b, n, c):
        raise ValueError(
            f"support: expected ({b}, {n}, q, {c}) or ({b}, {t}, {n}, q, {c}) as the level and xy are, "
            f"got {tuple(support.shape)}"
        )
    return _LocalProducts.apply(level, per_frame.to(level.dtype), xy, radius)


def _sum_type(level: Tensor) -> torch.dtype:
    """The type in which products are added up."""
    return torch.float64 if level.dtype == torch.float64 else torch.float32


def _sizes(level: Tensor, support: Tensor, radius: int) -> tuple[list[int], dict[str, Any]]:
    """The arguments of both kernels: numbers, and constants that they are compiled for."""
    _, t, h, w, c = level.shape
    n, q = support.shape[2:4]
    numbers = [t, n, h, w, c, q, support.stride(0), support.stride(1) if support.shape[1] > 1 else 0]
    constants = {
        "RADIUS": radius,
        "CELLS": max(triton.next_power_of_2((2 * radius + 2) ** 2), SMALLEST),
        "LOOKS": max(triton.next_power_of_2(q), SMALLEST),
        "PART": CHANNELS,
        "SUM": tl.float64 if _sum_type(level) == torch.float64 else tl.float32,
    }
    return numbers, constants
