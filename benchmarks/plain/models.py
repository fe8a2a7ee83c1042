"""The plain models by the names of the published ones, and weights to try them with."""

from __future__ import annotations

from collections.abc import Callable

import torch

from benchmarks.plain.cotracker2 import WAVES, CoTracker2
from benchmarks.plain.cotracker3 import CoTracker3
from benchmarks.plain.transformer import UpdateFormer

PLAIN: dict[str, Callable[[], CoTracker2 | CoTracker3]] = {
    "cotracker2": lambda: CoTracker2(8),
    "cotracker2.1": lambda: CoTracker2(16),
    "cotracker3-offline": lambda: CoTracker3(None),
    "cotracker3-online": lambda: CoTracker3(16),
}


def random_model(name: str, seed: int = 0) -> CoTracker2 | CoTracker3:
    """A plain model whose random weights move points by pixels and do not amplify rounding.

    With random weights the waves of high frequency of CoTracker2 make chaos of a millionth of a cell, so the transformer
    hardly listens to them.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = PLAIN[name]().eval().requires_grad_(False)
        former: UpdateFormer = model.updateformer
        former.virual_tracks.normal_()
        former.get_submodule("flow_head").weight *= 0.3  # type: ignore[operator]
        if isinstance(model, CoTracker2):
            frequency = torch.arange(WAVES) * (1000.0 / WAVES)
            listens = (1 / (1 + frequency / 8)).repeat_interleave(2).repeat(2)
            former.input_transform.weight[:, 2 : 2 + 4 * WAVES] *= listens
    return model
