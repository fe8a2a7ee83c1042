"""The plain yardstick: it loads the published layout, and gives the answers of the engine and of the published code."""

from __future__ import annotations

import functools

import pytest
import torch
from einops import rearrange

from benchmarks.plain.models import PLAIN
from benchmarks.plain.windows import Stream, Tracked, track_video
from pointtrack.config import InferenceOptions
from pointtrack.models.point_tracker import PointTracker
from pointtrack.models.published import PUBLISHED, from_published
from pointtrack.models.window_loop import WindowLoop
from tests.support.golden import cases, golden_of, joined, meta_of
from tests.support.regression import clip, points, rule_of
from tests.support.synthetic_weights import published_state_dict

PX, PROBABILITY = 1e-3, 1e-3
ROUNDS = 2


@functools.lru_cache(maxsize=1)
def plain_and_engine(name: str):
    """Both models on the same weights, made by a rule."""
    weights = published_state_dict(name, rule_of(name))
    plain = PLAIN[name]().eval().requires_grad_(False)
    plain.load_state_dict(weights)
    engine = PointTracker(PUBLISHED[name].config).eval().requires_grad_(False)
    engine.inference = InferenceOptions(iterations=ROUNDS, strict_parity=True)
    engine.load_state_dict(from_published(weights, engine, "the rule"))
    return plain, engine


@torch.inference_mode()
def engine_answer(
    engine: PointTracker, video: torch.Tensor, queries: torch.Tensor
) -> dict[str, torch.Tensor]:
    loop = WindowLoop(engine, queries[..., 0].long(), queries[..., 1:])
    windows = loop.push(engine.encode(video)) + loop.finish()
    return joined(windows, (1, video.shape[1], queries.shape[1]))


def assert_same(plain: Tracked, engine: dict[str, torch.Tensor]) -> None:
    assert (plain.xy - engine["tracks"]).norm(dim=-1).max() < PX
    assert (plain.visibility - engine["visibility"]).abs().max() < PROBABILITY
    assert (plain.confidence - engine["confidence"]).abs().max() < PROBABILITY


def requested() -> torch.Tensor:
    frame, xy = points()
    return torch.cat([frame[..., None].float(), xy], dim=-1)


@pytest.mark.long
def test_late_points_among_64_are_the_published_mistake():
    plain, engine = plain_and_engine("cotracker2")
    queries = requested().repeat(1, 13, 1)[:, :64]
    assert int((queries[..., 0] >= 8).sum()) > 0
    assert_same(track_video(plain, clip(), queries, ROUNDS), engine_answer(engine, clip(), queries))


# CoTracker2.1 is CoTracker2 with longer windows. The race in `test_yardstick.py` asks that they agree, too.
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.long)
        for name in ("cotracker2", "cotracker3-online", "cotracker3-offline")
    ],
)
def test_plain_agrees_with_the_engine(name):
    plain, engine = plain_and_engine(name)
    answer = track_video(plain, clip(), requested(), ROUNDS)
    assert_same(answer, engine_answer(engine, clip(), requested()))
    assert (answer.xy[0] - requested()[0, :, 1:]).abs().max() > 0.5, (
        "points that stand still would test nothing"
    )
    if plain.length is None:
        return
    video = clip(2 * plain.length + 3)
    stream = Stream(plain, requested(), ROUNDS)
    for start in range(0, video.shape[1] - stream.step, stream.step):
        answer = stream.push(video[:, start : start + stream.length])
    assert_same(answer, engine_answer(engine, video, requested()))


# Long: it follows from the agreement above and from `tests/models/test_parity.py`.
@pytest.mark.long
@pytest.mark.parametrize("path, case", cases("model"))
def test_plain_gives_the_published_answer(path, case):
    meta, golden = meta_of(path), golden_of(path, case)
    name = {"cotracker2v1": "cotracker2.1"}.get(meta["model"], meta["model"].replace("_", "-"))
    plain = PLAIN[name]().eval().requires_grad_(False)
    plain.load_state_dict(published_state_dict(name, meta["rule"]))
    video = rearrange(torch.from_numpy(golden["video"]), "b t h w c -> b t c h w").float()
    queries = torch.from_numpy(golden["queries"])
    answer = track_video(plain, video, queries, meta["cases"][case]["iters"])
    assert (answer.xy - torch.from_numpy(golden["tracks"])).norm(dim=-1).max() < PX
    assert (answer.visibility - torch.from_numpy(golden["visibility"])).abs().max() < PROBABILITY
    if "confidence" in golden:
        assert (answer.confidence - torch.from_numpy(golden["confidence"])).abs().max() < PROBABILITY
