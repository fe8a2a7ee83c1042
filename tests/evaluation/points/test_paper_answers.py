"""The presets of LocoTrack and AllTracker: their drivers, their thresholds, their query modes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from evaluation.points.protocol import Protocol
from evaluation.points.run_tracker import AskedTracker
from pointtrack.models.alltracker.paper import sparse_tracks
from pointtrack.models.locotrack.clip import predict_clip
from pointtrack.types import Queries, Video
from tests.support.engine_fixtures import make_video
from tests.support.engines import ENGINES, tiny_alltracker, tiny_locotrack

VIDEO = Video(make_video(4, 96, 96, 3))
QUERIES = Queries([0, 2, 3], [[20.2, 30.0], [80.4, 64.9], [40.0, 40.0]])


def test_locotrack_is_given_the_whole_clip():
    asked = AskedTracker.by(tiny_locotrack(), Protocol(preset="locotrack"), backward=True)
    tracks = asked(VIDEO, QUERIES)
    frames = torch.from_numpy(VIDEO.frames).movedim(-1, 1)[None]
    with torch.inference_mode():
        wanted = predict_clip(asked.tracker, frames, QUERIES.frame[None].float(), QUERIES.xy[None])
    assert torch.allclose(tracks.xy, wanted.xy[0], atol=1e-3)  # frames before the queries too
    product = (-wanted.occluded_logit[0]).sigmoid() * (-wanted.wrong_logit[0]).sigmoid()
    assert torch.equal(tracks.visible(asked.protocol.threshold), product > 0.5)
    assert (asked.protocol.mode, asked.protocol.threshold, asked.protocol.support_grid) == ("strided", 0.5, 0)
    assert asked.settings()["before_query"] == "tracked in the same pass"


def test_alltracker_is_asked_for_whole_pixels():
    network = tiny_alltracker()
    asked = AskedTracker.by(network, Protocol(preset="alltracker"))
    tracks = asked(VIDEO, QUERIES)
    frames = torch.from_numpy(VIDEO.frames).movedim(-1, 1)
    with torch.inference_mode():
        wanted, scores = sparse_tracks(network, frames, QUERIES.frame, QUERIES.xy + 0.5)
    assert torch.allclose(tracks.xy, wanted - 0.5, atol=1e-3)
    assert torch.equal(tracks.visible(asked.protocol.threshold), scores.prod(dim=-1) > 0.6)
    assert tracks.xy[0, 2].tolist() == [39.5, 39.5] and tracks.visibility[:2, 1].tolist() == [0, 0]
    assert (asked.protocol.mode, asked.protocol.threshold) == ("first", 0.6)


@pytest.mark.parametrize("preset", ENGINES)
def test_a_preset_is_for_its_own_networks(preset, tiny_tracker):
    with pytest.raises(ValueError, match=f"preset {preset}: expected a tracker of that kind"):
        Protocol(preset=preset).settled(tiny_tracker)
    with pytest.raises(ValueError, match="all queries at once"):
        replace(Protocol(preset=preset), one_by_one=True).settled(ENGINES[preset]())


@pytest.mark.parametrize("engine", ENGINES)
def test_the_own_way_is_open_to_all(engine):
    tracks = AskedTracker.by(ENGINES[engine](), Protocol(), backward=True)(VIDEO, QUERIES)
    assert tracks.xy.isfinite().all()
