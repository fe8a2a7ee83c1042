"""Corrects masks by clicks. A click changes only the place it points at, so it never makes a mask worse elsewhere."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from pointtrack.objects.point_prompts import overlap, read_mask

# If the corrected mask and the answer to the clicks overlap less than this, the mask was on something else, and a click
# on the object starts over.
SAME_OBJECT = 0.3


def corrected(before: Tensor, answer: Tensor, points: Tensor, labels: Tensor) -> Tensor:
    """Change a mask only where its corrections point.

    A click beside the object removes the connected piece under it that the answer leaves out. A click on the object
    adds the piece under it that only the answer has. So the first kind never enlarges a mask, and the second never
    shrinks one.

    Args:
        before: (h, w) bool, the mask to correct.
        answer: (h, w) bool, the segmenter's answer to the clicks and the mask.
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
    """A (h, w) mask; if all (k,) clicks are beside the object, only the part that the shown mask had too."""
    return mask if shown is None or bool(labels.any()) else mask & shown


def _agrees(mask: Tensor, points: Tensor, labels: Tensor) -> bool:
    """Whether some click on the object lies in the mask; if so, the mask was on the object."""
    return bool(read_mask(mask, points[labels]).any())


def _piece(mask: Tensor, point: Tensor) -> Tensor:
    """The connected piece of a (h, w) mask at a point; empty if the point is outside the mask."""
    h, w = mask.shape
    x, y = point.round().long().tolist()
    x, y = min(max(x, 0), w - 1), min(max(y, 0), h - 1)
    if not mask[y, x]:
        return torch.zeros_like(mask)
    _, pieces = cv2.connectedComponents(mask.numpy().astype(np.uint8), connectivity=4)
    return torch.from_numpy(pieces == pieces[y, x])
