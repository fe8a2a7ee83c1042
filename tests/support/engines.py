"""LocoTrack and AllTracker with random weights, small frames and short windows."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from pointtrack.config import WindowConfig
from pointtrack.models.alltracker.config import TINY
from pointtrack.models.alltracker.network import AllTracker
from pointtrack.models.locotrack.config import LocoTrackConfig
from pointtrack.models.locotrack.network import LocoTrack


def tiny_locotrack() -> LocoTrack:
    """Chunks of 8 frames that move on by 4."""
    config = LocoTrackConfig(
        name="tiny-locotrack",
        width=32,
        heads=2,
        depth=1,
        input_wh=(64, 64),
        window=WindowConfig(length=8, step=4, context=2, iterations=2, start="repeat", hold=False),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = LocoTrack(config)
        nn.init.normal_(network.mixer.head.weight, std=0.3)
    return network.eval().requires_grad_(False)


def tiny_alltracker() -> AllTracker:
    """Windows of 4 frames that move on by 2; the real widths, as the network has no others."""
    window = WindowConfig(length=4, step=2, iterations=1, start="repeat", hold=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = AllTracker(replace(TINY, name="tiny-alltracker", input_wh=(96, 96), window=window))
        for block in network.update.blocks:
            nn.init.normal_(block.scale, std=0.5)
    return network.eval().requires_grad_(False)


ENGINES = {"locotrack": tiny_locotrack, "alltracker": tiny_alltracker}
