"""Single pixels of masks: drawn by weight, or the one farthest from the outside."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

NEAR_CELL_PX = 8  # side of the cells that decide what is near: pooling over single pixels is slow


def draw_points(weight: Tensor, generator: torch.Generator) -> Tensor:
    """(m, h, w) weights of pixels or cells -> (m, 2) one whole pixel each, x then y; anywhere if all weights are 0."""
    return points_at(running_sums(weight), draw_heights(len(weight), generator), weight.shape[2])


def sent(drawn: Tensor, device: torch.device) -> Tensor:
    """Copy what was drawn on the CPU to another device, without waiting for work queued there.

    This is safe, since memory that is not pinned is copied before the call returns.
    """
    return drawn.to(device, non_blocking=True)


def running_sums(weight: Tensor) -> Tensor:
    """(m, h, w) weights -> (m, h * w) their running sums row by row, to draw many points; on the weights' device.

    torch.multinomial draws a number for every pixel; this way needs only one for every point.
    """
    return (weight.flatten(1).double() + 1e-9).cumsum(dim=1)


def draw_heights(count: int, generator: torch.Generator) -> Tensor:
    """(m, 1) in [0, 1), float64; drawn on the CPU, so the same on every device."""
    return torch.rand(count, 1, generator=generator, dtype=torch.float64)


def points_at(total: Tensor, heights: Tensor, width: int) -> Tensor:
    """(m, h * w) `running_sums` and (m, 1) `draw_heights` -> (m, 2) whole pixels, x then y."""
    wanted = total[:, -1:] * sent(heights, total.device)
    at = torch.searchsorted(total, wanted)[:, 0].clamp(max=total.shape[1] - 1)
    return torch.stack([at % width, at // width], dim=-1).float()


def inner_weight(masks: Tensor) -> Tensor:
    """(m, h, w) weights to draw points within a mask: lower near its edge."""
    near = F.avg_pool2d(masks[:, None].float(), (1, 9), stride=1, padding=(0, 4), count_include_pad=False)
    near = F.avg_pool2d(near, (9, 1), stride=1, padding=(4, 0), count_include_pad=False)[:, 0]
    return near.square() * masks


def near_weight(masks: Tensor) -> Tensor:
    """(m, h, w) weights to draw points beside a mask: highest near it."""
    cells = F.max_pool2d(masks[:, None].float(), NEAR_CELL_PX)
    near = F.max_pool2d(cells, 7, stride=1, padding=3)
    near = F.interpolate(near, masks.shape[-2:])[:, 0]
    return (0.2 + near) * ~masks


def innermost(masks: Tensor) -> Tensor:
    """(m, 2) pixel farthest from the outside of each mask, x then y; beyond the image's border is outside too."""
    arrays = masks.to(torch.uint8).cpu().numpy()
    threads = min(torch.get_num_threads(), len(arrays))
    if threads > 1:  # cv2 lets other threads run meanwhile
        with ThreadPoolExecutor(threads) as pool:
            points = list(pool.map(_innermost, arrays))
    else:
        points = [_innermost(mask) for mask in arrays]
    return torch.tensor(points, dtype=torch.float32, device=masks.device).reshape(-1, 2)


def _innermost(mask: np.ndarray) -> tuple[int, int]:
    """(h, w) uint8 -> x, y."""
    padded = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT)
    y, x = divmod(int(cv2.distanceTransform(padded, cv2.DIST_L2, 5).argmax()), padded.shape[1])
    return min(max(x - 1, 0), mask.shape[1] - 1), min(max(y - 1, 0), mask.shape[0] - 1)
