"""LocoTrack and AllTracker in every way of running, against one answer; tiny ones, with random weights."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import pointtrack as pt
from pointtrack.io.live_reader import FrameReader
from pointtrack.io.video import open_video
from pointtrack.objects.point_engine import PointEngine
from pointtrack.objects.point_prompts import KnownMask
from pointtrack.pipeline import resume
from pointtrack.pipeline.batch import track_batch
from pointtrack.pipeline.files import track_file
from pointtrack.pipeline.options import TrackOptions
from pointtrack.pipeline.passes import track_dense
from pointtrack.types import Queries, Tracks, Video
from tests.support.engine_fixtures import make_video
from tests.support.engines import ENGINES
from tests.support.scenes import ColourSegmenter, squares

WH, FRAMES = (64, 48), 7
VIDEO = Video(make_video(FRAMES, WH[1], WH[0], 1), fps=10)
QUERIES = Queries([0, 0, 3], [[10, 10], [50, 40], [30, 20]], [3, 1, 4])
ALL = TrackOptions(
    pt.StateOptions(cuts=[5], redetect=True), pt.RegionOptions(wh=(32, 24), update_interval=2), smooth=1
)
ANSWERS: dict[str, Tracks] = {}


@functools.lru_cache(maxsize=2)
def network_of(name: str) -> Any:
    network = ENGINES[name]()
    if name == "locotrack":
        window = replace(network.config.window, length=4, step=2, context=1, iterations=1)
        network.config = replace(network.config, input_wh=(32, 32), window=window)
    return network


@pytest.fixture(params=ENGINES)
def network(request):
    return network_of(request.param)


def answer(network) -> Tracks:
    """In memory, forward."""
    name = network.config.name
    if name not in ANSWERS:
        ANSWERS[name] = pt.Tracker(network).track(VIDEO, QUERIES, backward=False)
    return ANSWERS[name]


def same(one: Tracks, other: Tracks) -> None:
    """Up to rounding: frames are encoded and points refined in other groups."""
    assert one.ids.tolist() == other.ids.tolist()
    for name, tolerance in (("xy", 5e-3), ("visibility", 1e-3), ("confidence", 1e-3)):
        torch.testing.assert_close(
            getattr(one, name), getattr(other, name), atol=tolerance, rtol=0, equal_nan=True
        )


# What AllTracker, whose smallest network is large, shares with LocoTrack.
alike = pytest.mark.parametrize(
    "network", ["locotrack", pytest.param("alltracker", marks=pytest.mark.long)], indirect=True
)


def test_helper_points_are_left_out(network):
    """They would only cost: whoever builds a stream asks the network."""
    for options in (TrackOptions(), TrackOptions(support_local=2)):
        tracker = pt.Tracker(network)
        tracker.options = options
        stream = tracker.stream(QUERIES, WH)
        assert not stream.inner.queries.support.any() and len(stream.inner.queries) == 3


@pytest.mark.parametrize("chunk", [3])
def test_stream(network, chunk):
    stream = pt.Tracker(network).stream(QUERIES, WH, 10)
    parts = [stream.push(frames) for frames in VIDEO.split(chunk)]
    assert sum(map(len, parts)) == FRAMES - stream.lag
    same(Tracks.concat([*parts, stream.finish()]), answer(network))


@alike
def test_live(network):
    final: list[Tracks] = []
    reader = FrameReader(VIDEO, drop=False, pace=False)
    with pt.Tracker(network).live(reader, QUERIES, on_final=final.append) as live:
        results = list(live)
    assert [result.tracks.first_frame for result in results] == list(range(FRAMES))
    loop = network.loop(network, QUERIES.frame[None], QUERIES.xy[None])
    assert 0 < live.report().lag <= loop.length, "it states how far it lags"
    same(Tracks.concat(final), answer(network))


class Killed(Exception):
    pass


@pytest.mark.parametrize("options", [TrackOptions(backward=False), pytest.param(ALL, marks=pytest.mark.long)])
def test_file_of_a_run_that_was_killed(network, tmp_path, monkeypatch, options):
    monkeypatch.setattr(resume, "STATE_SECONDS", 0)

    def source(seconds, dies: bool = False):
        video = open_video(VIDEO, start=seconds or 0.0)
        return video.through(dying(video)) if dies else video

    def dying(video):
        for number, timed in enumerate(video):
            if number == 5:
                raise Killed
            yield timed

    path = tmp_path / "a.tracks"
    with pytest.raises(Killed):
        track_file(network, lambda seconds: source(seconds, True), QUERIES, path, options)
    track_file(network, source, QUERIES, path, options, resume=True)
    wanted = answer(network)
    if options is ALL:
        tracker = pt.Tracker(network, states=ALL.states, regions=ALL.regions, smooth=ALL.smooth)
        wanted = tracker.track(VIDEO, QUERIES)
        assert wanted.tracked().all() and wanted.states is not None
    same(pt.load_tracks(path), wanted)


@pytest.mark.parametrize(
    "options",
    [TrackOptions(ALL.states), pytest.param(TrackOptions(regions=ALL.regions), marks=pytest.mark.long)],
)
@alike
def test_stages_and_the_way_back(network, options):
    tracker = pt.Tracker(network, states=options.states or False, regions=options.regions or False)
    tracks = tracker.track(VIDEO, QUERIES.select([1, 2]))
    assert tracks.tracked().all() and (tracks.states is not None) == (options.states is not None)
    assert tracks.xy[QUERIES.frame[1:], torch.arange(2)].equal(QUERIES.xy[1:])


@alike
def test_dense(network, tmp_path):
    same(
        track_dense(network, VIDEO, QUERIES, TrackOptions(backward=False), chunk=2, memory=4e9),
        answer(network),
    )


def test_more_memory_holds_more_chunks_and_none_is_negative(network):
    from pointtrack.pipeline.passes import chunks_per_pass

    counts = [chunks_per_pass(network, WH, 100, memory) for memory in (0, 1e9, 2e9)]
    assert counts[0] == 1 and counts[1] < counts[2]


@alike
def test_batch_is_as_one_by_one(network):
    videos, queries = [VIDEO, Video(VIDEO.frames[::-1].copy(), fps=10)], [QUERIES, QUERIES.select([0])]
    found = track_batch(network, videos, queries, backward=False)
    same(found[0], answer(network))
    assert len(found[1]) == FRAMES and found[1].ids.tolist() == [3]


@alike
def test_corrections(network):
    session = pt.TrackSession(VIDEO, pt.Tracker(network))
    (point,) = session.add(QUERIES.select([0])).tolist()
    before = session.tracks()
    session.correct(point, 3, (14, 12))
    after = session.tracks()
    assert after.xy[3, 0].tolist() == [14, 12] and after.tracked().all()
    assert torch.equal(after.xy[0], before.xy[0])


@alike
def test_masks(network):
    """From tracks, and of an object that is followed by points that are seeded on the way."""
    scene = squares([[(5 + 3 * t, 10 + t) for t in range(5)]])
    segmenter = ColourSegmenter()
    tracks = pt.Tracker(network).track(scene.video, Queries([0, 0], [[8, 13], [60, 40]]))
    masks = pt.segment_tracks(scene.video, tracks, segmenter, objects=torch.tensor([1, 0]))
    assert masks.masks.shape[:2] == (5, 1)
    engine = PointEngine(network, segmenter)
    steps = list(engine.walk(scene.video, {1: [KnownMask(0, scene.truth[0, 0])]}, range(1, 5)))
    assert len(steps) == 4 and all(torch.is_tensor(step[1].mask) for step in steps)


def test_what_a_network_cannot_do_is_said_in_one_line(network, tmp_path):
    from pointtrack.cotracker import CoTrackerPredictor
    from pointtrack.onnx.export import export_graphs

    for call in (
        lambda: CoTrackerPredictor(tracker=network),
        lambda: export_graphs(network, tmp_path / "graphs", (64, 64)),
    ):
        with pytest.raises(ValueError, match=network.config.name) as told:
            call()
        assert "\n" not in str(told.value)


@alike
def test_frames_of_any_kind_are_taken(network):
    """Numpy views that run backward, as whoever tracks backward pushes."""
    stream = pt.Tracker(network).stream(QUERIES.select([0]), WH)
    stream.push(np.ascontiguousarray(VIDEO.frames)[2::-1])
    assert len(stream.finish()) == 3
