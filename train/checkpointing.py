"""Gradient checkpointing: the backward pass recomputes what the forward pass does not keep.

The forward pass keeps only the input of each part: a few images in the encoder, one round of refinement in a window of
the tracker. Whole windows would be too large as parts: recomputing one would hold all its rounds in memory at once, and
would search twice for its first guess, which needs no gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from pointtrack.models.point_tracker import PointTracker

IMAGES = 4  # encoded together

# No part draws random numbers, so there is no generator state to restore.
_again = partial(checkpoint, use_reentrant=False, preserve_rng_state=False)


@contextmanager
def recomputed(tracker: PointTracker, enabled: bool = True) -> Iterator[None]:
    """Within this context, a tracker's encoder and rounds of refinement keep only their inputs, if `enabled`.

    A frozen encoder, or a tracker that runs without gradients, keeps nothing anyway and stays unchanged.
    """
    if not enabled or not torch.is_grad_enabled():
        yield
        return
    refine: Callable[..., Any] = tracker.refine
    encode: Callable[[Tensor], Tensor] = tracker.encoder.forward
    tracker.refine = partial(_again, refine)  # type: ignore[method-assign]
    if any(weight.requires_grad for weight in tracker.encoder.parameters()):
        tracker.encoder.forward = partial(_part_by_part, encode)  # type: ignore[method-assign]
    try:
        yield
    finally:  # uncover the methods of the classes
        del tracker.refine
        vars(tracker.encoder).pop("forward", None)


def _part_by_part(encode: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Apply `encode`, which treats every image of its first axis separately, to a few images at a time."""
    return torch.cat([_again(encode, part) for part in images.split(IMAGES)])
