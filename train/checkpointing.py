"""Gradient checkpointing: what the forward pass does not keep, the backward pass computes again.

What is kept instead is the input of each part: a few images in the encoder, a round of refinement in a window of the
tracker. Rounds rather than whole windows: a whole window computed again would need all its rounds at once, and its
first guess, which needs no gradient, would be searched for twice.
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

IMAGES = 4  # that the encoder takes together

# No part draws random numbers, so there is no state of a generator to bring back.
_again = partial(checkpoint, use_reentrant=False, preserve_rng_state=False)


@contextmanager
def recomputed(tracker: PointTracker, enabled: bool = True) -> Iterator[None]:
    """Inside, the encoder and every round of refinement of a tracker keep their inputs only, if `enabled`.

    A frozen encoder, and a tracker that runs without gradients, keep nothing anyway and are left as they are.
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
    finally:  # what the classes have is seen again
        del tracker.refine
        vars(tracker.encoder).pop("forward", None)


def _part_by_part(encode: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """`encode`, which treats every image of its first axis for itself, on a few at a time."""
    return torch.cat([_again(encode, part) for part in images.split(IMAGES)])
