"""The baselines on a pan of known speed, forward and backward from any query frame."""

import pytest
import torch

from evaluation.points.methods import build_methods
from evaluation.points.protocol import Protocol
from pointtrack.pipeline.backward import track_video
from pointtrack.pipeline.options import TrackOptions
from pointtrack.tracking import classical as baselines
from pointtrack.types import Queries

SHIFT = (3, -2)
QUERIES = Queries([0, 6, 3, 5], [[60.0, 40.0], [50.0, 50.0], [64.0, 48.0], [70.0, 41.0]])


def true_xy(frames):
    steps = torch.arange(frames)[:, None] - QUERIES.frame
    return QUERIES.xy - steps[..., None] * torch.tensor(SHIFT)


@pytest.mark.parametrize("name", ["dis", "lk"])
def test_pan_is_followed_both_ways(name, panning):
    video = panning(7, (128, 96), SHIFT)
    tracks = baselines.BASELINES[name](video, QUERIES)
    error_px = torch.linalg.vector_norm(tracks.xy - true_xy(7), dim=-1)
    assert float(error_px.max()) < 0.5
    assert tracks.visible().all()


@pytest.mark.parametrize("name", ["dis", "lk", "static"])
@pytest.mark.parametrize("frames", [1, 2])
def test_short_clips_and_exact_queries(name, frames, panning):
    video = panning(frames, (64, 48), (1, 0))
    queries = Queries([0, frames - 1], [[20.3, 20.7], [63.5, 47.5]])
    tracks = baselines.BASELINES[name](video, queries)
    points = torch.arange(2)
    assert torch.equal(tracks.xy[queries.frame, points], queries.xy)
    assert (tracks.visibility[queries.frame, points] == 1).all()
    assert tracks.tracked().all()
    assert len(baselines.BASELINES[name](video, queries.select([]))) == frames


@pytest.mark.parametrize("name", ["dis", "lk"])
def test_leaving_the_frame_ends_visibility(name, panning):
    video = panning(8, (96, 64), (6, 0))
    tracks = baselines.BASELINES[name](video, Queries([0], [[20.0, 32.0]]))
    assert tracks.visible()[:3, 0].all()
    assert not tracks.visible()[5:, 0].any()


def test_flow_is_computed_once_per_pair_and_direction(monkeypatch, panning):
    calls = []
    create = baselines.cv2.DISOpticalFlow_create

    class Counting:
        def __init__(self, preset):
            self.flow = create(preset)

        def calc(self, a, b, start):
            calls.append((a.tobytes(), b.tobytes()))
            return self.flow.calc(a, b, start)

    monkeypatch.setattr(baselines.cv2, "DISOpticalFlow_create", Counting)
    baselines.dis(panning(7, (64, 48), (1, 1)), Queries([0, 4, 2], [[30.0, 30.0]] * 3))
    assert len(calls) == len(set(calls)) == 2 * 6


@pytest.mark.parametrize("mode", ["first", "strided"])
def test_own_tracker_goes_backward_only_where_that_counts(mode, panning, monkeypatch, tiny_tracker):
    requested = []
    monkeypatch.setattr("evaluation.points.methods.load_tracker", lambda **_: tiny_tracker)
    monkeypatch.setattr(
        "evaluation.points.run_tracker.track_video",
        lambda *args: requested.append(args[3]) or track_video(*args),
    )
    build_methods(["pointtrack"], mode=mode)["pointtrack"](
        panning(7, (64, 48), SHIFT), Queries([2], [[9.0, 9.0]])
    )
    assert requested == [TrackOptions(backward=mode == "strided")]


@pytest.mark.parametrize("names", [["raft"], []])
def test_unknown_methods_are_named(names):
    with pytest.raises(ValueError, match="pointtrack, dis, lk, static"):
        build_methods(names)


@pytest.mark.parametrize("protocol", [Protocol(preset="cotracker"), Protocol(one_by_one=True)])
def test_two_looks_are_not_taken_where_they_would_not_be_made(protocol):
    with pytest.raises(ValueError, match="looks: expected 1 with protocol"):
        build_methods(["pointtrack"], protocol=protocol, looks=2)
