"""The protocols: which points reach the tracker, and what becomes of its answer.

Expected numbers are computed here from the description of the papers' evaluation, not by the code under test.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import pointtrack
from evaluation.points.protocol import Protocol
from evaluation.points.run_tracker import AskedTracker
from pointtrack.models.point_tracker import PointTracker
from pointtrack.models.published import PUBLISHED
from pointtrack.models.window_loop import WindowLoop
from pointtrack.types import Queries, Tracks
from tests.support.golden import PREDICTOR_PX, cases, meta_of, tracker_of, with_rounds
from tests.support.streams import track

WH = (80, 56)
INPUT_WH = (128, 64)  # smaller than that of the papers, and of another shape than the video
KINDS = ("cotracker2", "cotracker3-online", "cotracker3-offline")
# On the first, a middle and the last frame; the second point lies near a corner of the image.
QUERIES = Queries([0, 5, 13], [[40.0, 30.0], [2.0, 1.0], [60.5, 20.25]])


def tiny_published(name: str) -> PointTracker:
    """A published model with random weights and everything small but its windows."""
    config = PUBLISHED[name].config
    config = replace(
        config,
        encoder=replace(config.encoder, stem_channels=8, stage_channels=(8, 8, 12, 12), channels=16),
        correlation=replace(config.correlation, hidden=16, channels=8),
        transformer=replace(config.transformer, width=16, heads=2, depth=1, proxies=4),
        window=replace(config.window, iterations=1),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        tracker = PointTracker(config)
        nn.init.normal_(tracker.head.weight, std=0.2)
        nn.init.normal_(tracker.head.bias, std=0.2)
    if tracker.tells_confidence:
        tracker.head.weight.data[:2] *= 5  # so that points move pixels, and feel each other
    else:
        # The waves of "drift" are so short that with random weights every rounding error grows to pixels.
        tracker.updater.project.weight.data[:, :130] *= 0.01
    return tracker.eval().requires_grad_(False)


# CoTracker3 of windows is asked as CoTracker2 is, and answers with confidence as that of whole clips does.
@pytest.fixture(
    params=[pytest.param(kind, marks=[pytest.mark.long] if "online" in kind else []) for kind in KINDS]
)
def published(request) -> PointTracker:
    return tiny_published(request.param)


@pytest.fixture(scope="session")
def clip(panning):
    """14 frames: more than one window, and no whole number of them."""
    return panning(14, WH, (2, 1))


@pytest.fixture
def runs(monkeypatch) -> list[WindowLoop]:
    """The window loops that were made, in order."""
    made = []

    class Recorded(WindowLoop):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            made.append(self)

    monkeypatch.setattr(PointTracker, "loop", Recorded)
    return made


def papers(tracker: PointTracker, **options) -> AskedTracker:
    return AskedTracker.by(tracker, Protocol("cotracker", **{"input_wh": INPUT_WH, **options}))


def assert_same(one: Tracks, other: Tracks, atol: float = 0.0) -> None:
    for name in ("xy", "visibility", "confidence"):
        torch.testing.assert_close(
            getattr(one, name), getattr(other, name), atol=atol, rtol=0, equal_nan=True
        )


def mesh(xs, ys) -> torch.Tensor:
    """Row by row, x fastest."""
    return torch.tensor([[x, y] for y in ys for x in xs])


def on_input(xy, input_wh) -> list[float]:
    """A pixel of the video on the input, corner pixel onto corner pixel."""
    return [v * (new - 1) / (old - 1) for v, new, old in zip(xy, input_wh, WH, strict=True)]


GLOBAL = mesh((8, 132, 256, 380, 504), (8, 100, 192, 284, 376))
REACH = 25 - 50 / 64
STEPS = [-REACH + i * 2 * REACH / 7 for i in range(8)]


def test_papers_ask_for_all_queries_and_a_global_grid_in_one_run(clip, runs):
    tracker = tiny_published("cotracker3-offline")
    AskedTracker.by(tracker, Protocol("cotracker"))(clip, QUERIES)
    (run,) = runs
    assert run.frame[0].tolist() == [0, 5, 13] + [0] * 25
    requested = torch.tensor([on_input(xy, (512, 384)) for xy in QUERIES.xy.tolist()])
    torch.testing.assert_close(run.xy[0], torch.cat([requested, GLOBAL]).float(), atol=1e-3, rtol=0)


def test_papers_ask_one_by_one_with_a_local_grid_on_frame_0(clip, runs):
    tracker = tiny_published("cotracker3-online")
    AskedTracker.by(tracker, Protocol("cotracker", one_by_one=True))(clip, QUERIES)
    assert len(runs) == 3
    for run, frame, xy in zip(runs, [0, 5, 13], QUERIES.xy.tolist(), strict=True):
        assert run.frame[0].tolist() == [frame] + [0] * (64 + 25)
        x, y = on_input(xy, (512, 384))
        local = mesh([x + step for step in STEPS], [y + step for step in STEPS])
        expected = torch.cat([torch.tensor([[x, y]]), local, GLOBAL])
        torch.testing.assert_close(run.xy[0], expected.float(), atol=1e-3, rtol=0)
    assert runs[1].xy.min() < -5  # helper points outside the image are asked for, and not moved inside


def test_own_way_keeps_local_grids_inside_on_the_frame_of_the_query(clip, runs, tiny_tracker):
    protocol = Protocol(one_by_one=True, support_grid=2, support_local=3, input_wh=INPUT_WH)
    AskedTracker.by(tiny_tracker, protocol)(clip, QUERIES)
    assert [run.frame[0].tolist() for run in runs] == [[f] + [0] * 4 + [f] * 9 for f in (0, 5, 13)]
    # (2, 1) of the video with 25 pixels to both sides, cut off at the corner pixel.
    local = mesh((0, 2, 27), (0, 1, 26)).float()
    scale = torch.tensor([128 / 80, 64 / 56])
    torch.testing.assert_close(runs[1].xy[0, 5:], (local + 0.5) * scale - 0.5)


@pytest.mark.parametrize("size, points", [(0, 1), (3, 10)])
def test_sizes_of_grids_are_honoured(size, points, clip, runs):
    method = papers(tiny_published("cotracker2"), one_by_one=True, support_grid=size, support_local=0)
    method(clip, QUERIES)
    assert [run.xy.shape[1] for run in runs] == [points] * 3


@pytest.mark.parametrize("one_by_one", [False, True])
def test_papers_answer_is_the_trackers_own(one_by_one, clip, published):
    """Against a window loop driven here, on all frames at once, with helper points made here."""
    method = papers(published, one_by_one=one_by_one, support_grid=0, score="visibility")
    tracks = method(clip, QUERIES)
    groups = [[0], [1], [2]] if one_by_one else [[0, 1, 2]]
    frames = torch.nn.functional.interpolate(
        torch.from_numpy(np.moveaxis(clip.frames, -1, 1)).float(),
        INPUT_WH[::-1],
        mode="bilinear",
        align_corners=True,
    )
    pyramid = published.encode(frames[None])
    for group in groups:
        points = [on_input(QUERIES.xy[i].tolist(), INPUT_WH) for i in group]
        frame = QUERIES.frame[group].tolist()
        if one_by_one:
            ((x, y),) = points
            points += [[x + dx, y + dy] for dy in STEPS for dx in STEPS]
            frame += [0] * 64
        loop = WindowLoop(published, torch.tensor([frame]), torch.tensor([points]))
        xy = torch.full((14, len(points), 2), torch.nan)
        score = torch.zeros(14, len(points))
        for window in loop.push(pyramid) + loop.finish():
            rows = slice(window.start, window.start + window.frames)
            xy[rows] = window.estimates[-1].xy[0]
            score[rows] = window.estimates[-1].visibility_logit[0].sigmoid()
        xy = xy * torch.tensor([79 / 127, 55 / 63])
        for i, (own, f) in enumerate(zip(group, frame, strict=False)):
            first = 0 if published.config.window.length is None else f
            torch.testing.assert_close(tracks.xy[first:, own], xy[first:, i], atol=5e-4, rtol=0)
            torch.testing.assert_close(tracks.visibility[first:, own], score[first:, i], atol=1e-5, rtol=0)
            assert bool(torch.isnan(tracks.xy[:first, own]).all())
            assert not tracks.visibility[:first, own].any()
    # No query is put back where it was asked for.
    at_query = tracks.xy[QUERIES.frame, torch.arange(3)]
    assert bool(((at_query - QUERIES.xy).norm(dim=-1) > 0.01).all())
    assert not (tracks.visibility == 1).any()


def test_papers_way_of_asking_our_own_tracker(clip, tiny_tracker):
    """Whose points join when their frames come, so not in the order in which they were asked for."""
    queries = QUERIES.select([2, 0, 1])
    method = papers(tiny_tracker, support_grid=0, score="visibility")
    tracks = method(clip, queries)
    public = track(method.tracker, clip, queries, backward=False, support_grid=0)
    torch.testing.assert_close(tracks.xy, public.xy, atol=2e-4, rtol=0, equal_nan=True)
    elsewhere = torch.arange(14)[:, None] != queries.frame
    torch.testing.assert_close(tracks.visibility[elsewhere], public.visibility[elsewhere], atol=1e-5, rtol=0)


@pytest.mark.parametrize("length", [8, None])
@pytest.mark.parametrize("backward", [pytest.param(False, marks=pytest.mark.long), True])
def test_own_way_one_by_one_is_the_public_call_for_each_query_alone(length, backward, clip, tiny_tracker):
    window = replace(tiny_tracker.config.window, length=length)
    tiny_tracker.config = replace(tiny_tracker.config, window=window)
    protocol = Protocol(one_by_one=True, support_grid=3, support_local=2)
    tracks = AskedTracker.by(tiny_tracker, protocol, backward=backward)(clip, QUERIES)
    for i in range(3):
        alone = track(
            tiny_tracker, clip, QUERIES.select([i]), backward=backward, support_grid=3, support_local=2
        )
        assert_same(tracks.select([i]), alone, atol=2e-4)
    assert bool(torch.isnan(tracks.xy[:5, 1]).any()) != backward


def test_own_way_in_one_run_is_the_public_call(clip, tiny_tracker):
    protocol = Protocol(support_grid=2, support_local=3)
    tracks = AskedTracker.by(tiny_tracker, protocol, backward=True)(clip, QUERIES)
    assert_same(tracks, track(tiny_tracker, clip, QUERIES, support_grid=2, support_local=3))
    without = track(tiny_tracker, clip, QUERIES)
    assert float((tracks.xy - without.xy).abs().max()) > 1e-3


def test_one_by_one_no_query_hears_of_the_others(clip, published):
    fewer = QUERIES.select([1])
    alone = papers(published, one_by_one=True)
    assert_same(alone(clip, QUERIES).select([1]), alone(clip, fewer))
    together = papers(published)
    gap = together(clip, QUERIES).select([1]).xy[5:] - together(clip, fewer).xy[5:]
    assert float(gap.abs().max()) > 1e-3  # where they are asked for together, they do


@pytest.mark.parametrize("preset", ["own", "cotracker"])
def test_frames_are_encoded_once(preset, clip, published, monkeypatch):
    seen = []
    encode = published.encode
    monkeypatch.setattr(published, "encode", lambda frames: seen.append(frames) or encode(frames))
    protocol = Protocol(preset, one_by_one=True, input_wh=INPUT_WH)
    AskedTracker.by(published, protocol, backward=True)(clip, QUERIES)
    assert sum(frames.shape[1] for frames in seen) == 14
    assert {tuple(frames.shape[-2:]) for frames in seen} == {(64, 128)}


@pytest.mark.parametrize("preset, one_by_one", [("own", False), ("own", True), ("cotracker", False)])
def test_score(preset, one_by_one, clip):
    tracker = tiny_published("cotracker3-online")
    options = {"one_by_one": one_by_one, "input_wh": INPUT_WH}
    plain, product, mean, default = (
        AskedTracker.by(tracker, Protocol(preset, score=score, **options))(clip, QUERIES)
        for score in ("visibility", "product", "mean", None)
    )
    assert float((mean.confidence - mean.visibility).abs().max()) > 0.1
    assert torch.equal(plain.visible(0.6), mean.visibility > 0.6)
    assert torch.equal(product.visible(0.6), mean.visibility * mean.confidence > 0.6)
    assert torch.equal(default.confidence, (mean if preset == "own" else product).confidence)


def test_score_of_a_tracker_without_confidence():
    tracker = tiny_published("cotracker2")
    assert papers(tracker).settings()["score"] == "visibility"
    with pytest.raises(ValueError, match="expected visibility, as cotracker2 tells no confidence"):
        papers(tracker, score="product")


def test_settled_values(tiny_tracker):
    def settled(**options):
        return AskedTracker.by(tiny_tracker, Protocol(**options), backward=True).settings()

    own = settled()
    assert (own["input_wh"], own["input_area"], own["support_local"]) == (None, 96 * 64, 0)
    assert (own["score"], own["before_query"]) == ("mean", "tracked backward")
    joint = settled(preset="cotracker")
    assert (joint["input_wh"], joint["input_area"], joint["support_local"]) == ([512, 384], None, 0)
    assert (joint["score"], joint["support_grid"], joint["before_query"]) == ("product", 5, "no answer")
    alone = settled(preset="cotracker", one_by_one=True, support_grid=3)
    assert (alone["support_local"], alone["support_grid"]) == (8, 3)
    assert settled(preset="cotracker", one_by_one=True, support_local=0)["support_local"] == 0
    assert settled(input_wh=INPUT_WH)["input_wh"] == [128, 64]
    assert tiny_tracker.config.input_wh is None  # the caller's tracker stays as it was
    offline = papers(tiny_published("cotracker3-offline")).settings()
    assert offline["before_query"] == "tracked in the same pass"


@pytest.mark.parametrize("protocol", [Protocol("cotracker", input_wh=INPUT_WH), Protocol(one_by_one=True)])
def test_queries_outside_are_refused(protocol, clip, tiny_tracker):
    with pytest.raises(ValueError, match="inside the 80 x 56 image"):
        AskedTracker.by(tiny_tracker, protocol)(clip, Queries([0], [[81.0, 20.0]]))
    with pytest.raises(ValueError, match=r"expected a frame in 0\.\.13, got 14"):
        AskedTracker.by(tiny_tracker, protocol)(clip, Queries([14], [[40.0, 20.0]]))


# The published online predictor asks as the papers' evaluation does, but for 6 x 6 points.


@pytest.mark.slow
@pytest.mark.parametrize(
    "path, case",
    [param for param in cases("predictor") if param.values[1] in (None, "online_queries_support")],
)
def test_joint_run_gives_the_published_answer(path, case):
    tracker = with_rounds(tracker_of(meta_of(path)), 6)  # other tests share it
    with np.load(path) as file:
        video = pointtrack.Video(file["videos/online"])
        golden = {
            name: torch.from_numpy(file[f"{case}/{name}"][0]) for name in ("queries", "tracks", "score")
        }
    queries = Queries.from_txy(golden["queries"])
    tracks = AskedTracker.by(tracker, Protocol("cotracker", support_grid=6))(video, queries)
    counted = torch.arange(len(video))[:, None] >= queries.frame
    assert float((tracks.xy - golden["tracks"]).norm(dim=-1)[counted].max()) < PREDICTOR_PX
    torch.testing.assert_close(tracks.visibility[counted], golden["score"][counted], atol=1e-4, rtol=0)
