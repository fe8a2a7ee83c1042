"""Count the operations of the published models on their plain implementations, without computing anything."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.plain.cotracker2 import CHANNELS, PATCH, CoTracker2
from benchmarks.plain.cotracker3 import CoTracker3
from benchmarks.plain.encoder import LEVELS, STRIDE
from benchmarks.plain.models import PLAIN
from benchmarks.plain.windows import track_video


def operations_needed(name: str, frames: int, points: int, wh: tuple[int, int], rounds: int = 6) -> int:
    """Additions and multiplications of all matrix products and convolutions.

    Every frame is encoded once. Of CoTracker2's cost volumes only the 49 cells that are read per level count. Sampling,
    normalisation and activations do not count.
    """
    model, before = _counted(name, frames, points, wh, 0)
    once = _counted(name, frames, points, wh, 1)[1] if rounds else before
    total = before + rounds * (once - before)
    if isinstance(model, CoTracker2):
        assert model.length is not None
        windows = max(0, -(-frames // (model.length // 2)) - 1)
        cells = sum((wh[0] // STRIDE >> i) * (wh[1] // STRIDE >> i) - PATCH for i in range(LEVELS))
        total -= 2 * CHANNELS * cells * points * model.length * windows * rounds
    return total


def _counted(
    name: str, frames: int, points: int, wh: tuple[int, int], rounds: int
) -> tuple[CoTracker2 | CoTracker3, int]:
    """The model, without weights, and the number of operations of a run."""
    with torch.device("meta"), torch.no_grad():
        model = PLAIN[name]()
        video, queries = torch.zeros(1, frames, 3, wh[1], wh[0]), torch.zeros(1, points, 3)
        with FlopCounterMode(display=False) as counter:
            track_video(model, video, queries, rounds)
    return model, counter.get_total_flops()
