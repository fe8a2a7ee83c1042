"""Clicks that correct a mask change only the place they point at, so that a correction never makes a mask worse elsewhere."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from pointtrack.objects.point_prompts import overlap, read_mask

# With less overlap of the mask that is corrected and the answer to the clicks, the mask was on something else: then a click
# on the object begins it anew.
SAME_OBJECT = 0.3


def corrected(before: Tensor, answer: Tensor, points: Tensor, labels: Tensor) -> Tensor:
    """A mask with what its corrections point at changed, and nothing else.

    A click beside the object takes away the connected piece under it that the answer leaves out; a click on the object adds
    the piece under it that the answer has more. So the first kind never makes a mask larger, and the second never smaller.

    Args:
        before: (h, w) bool, the mask that is corrected.
        answer: (h, w) bool, what a segmenter makes of the clicks and the mask.
        points, labels: (k, 2) pixels and (k,) bool of the clicks.

    Returns:
        (h, w) bool; the answer itself where it shows another object than `before` and a click is on the object.
    """
    if bool(labels.any()) and overlap(before, answer) < SAME_OBJECT and not _agrees(before, points, labels):
        return answer
    mask = before.clone()
    for point, positive in zip(points, labels.tolist(), strict=True):
        if positive:
            mask |= _piece(answer & ~mask, point)
        else:
            mask &= ~_piece(mask & ~answer, point)
    return mask


def not_larger(mask: Tensor, shown: Tensor | None, labels: Tensor) -> Tensor:
    """A (h, w) mask, without what the one that was shown did not have, if all (k,) clicks say what is too much."""
    return mask if shown is None or bool(labels.any()) else mask & shown


def _agrees(mask: Tensor, points: Tensor, labels: Tensor) -> bool:
    """Whether some click on the object lies in the mask: then it was on the object."""
    return bool(read_mask(mask, points[labels]).any())


def _piece(mask: Tensor, point: Tensor) -> Tensor:
    """The connected piece of a (h, w) mask at a point; nothing where the mask is not there."""
    h, w = mask.shape
    x, y = point.round().long().tolist()
    x, y = min(max(x, 0), w - 1), min(max(y, 0), h - 1)
    if not mask[y, x]:
        return torch.zeros_like(mask)
    _, pieces = cv2.connectedComponents(mask.numpy().astype(np.uint8), connectivity=4)
    return torch.from_numpy(pieces == pieces[y, x])
