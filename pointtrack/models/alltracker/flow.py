"""The flow of the anchor's cells on the frames of a window, and the start of the next window."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Flow:
    """The positions of the anchor's cells on some frames.

    Attributes:
        move: (s, 2, h, w) (x, y) in cells.
        scores: (s, 2, h, w) an eighth of the logits: visible, and position right.
        features: (s, h, w, c) that they were read from; None before refinement.
    """

    move: Tensor
    scores: Tensor
    features: Tensor | None = None

    def __getitem__(self, frames: slice) -> Flow:
        features = None if self.features is None else self.features[frames]
        return Flow(self.move[frames], self.scores[frames], features)

    def __len__(self) -> int:
        return len(self.move)


def carried(before: Flow, step: int) -> Flow:
    """The start of the next window: half of the previous one, with its last frame repeated."""
    half = len(before) // 2
    kept = before[step : step + half]
    return Flow(*(torch.cat([x, x[-1:].expand(half, -1, -1, -1)]) for x in (kept.move, kept.scores)))
