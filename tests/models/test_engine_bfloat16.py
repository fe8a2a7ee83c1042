"""LocoTrack and AllTracker in bfloat16: near float32, and none of it where it was not asked for."""

from __future__ import annotations

import pytest
import torch

from pointtrack.config import InferenceOptions
from pointtrack.tracking.window_stream import WindowStream
from pointtrack.types import Queries, Tracks
from tests.support.engine_fixtures import make_video
from tests.support.engines import ENGINES

WH = (96, 80)
# Pixels that half of all positions, and nine in ten, may be away from those of float32; and the same of probabilities.
BOUNDS = {"locotrack": (0.2, 0.6), "alltracker": (0.05, 0.1)}


@pytest.mark.parametrize("name", ["locotrack", pytest.param("alltracker", marks=pytest.mark.long)])
def test_bfloat16_stays_near_float32(name):
    network, video = ENGINES[name](), make_video(6, WH[1], WH[0], 3)
    xy = torch.rand(24, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor(WH)
    queries = Queries(torch.zeros(24), xy)

    def tracked(precision: str) -> Tracks:
        network.inference = InferenceOptions(precision)
        stream = WindowStream(network, queries, WH)
        return Tracks.concat([stream.push(video), stream.finish()])

    wide, narrow = tracked("float32"), tracked("bfloat16")
    assert narrow.xy.dtype == narrow.visibility.dtype == torch.float32
    apart = (wide.xy - narrow.xy)[1:].norm(dim=-1).flatten()
    assert apart.max() > 1e-4, "it makes a difference"
    assert float(apart.median()) <= BOUNDS[name][0]
    assert float(apart.quantile(0.9)) <= BOUNDS[name][1]
    assert (wide.visibility - narrow.visibility).abs().quantile(0.9) < 0.05
