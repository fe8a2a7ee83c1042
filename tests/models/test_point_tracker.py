"""Refinement in bfloat16: near the answers in float32, and no part of what is around it."""

from dataclasses import replace

import pytest
import torch

import pointtrack as pt
from pointtrack.config import InferenceOptions
from pointtrack.models.point_tracker import PointTracker
from pointtrack.models.window_loop import WindowLoop
from pointtrack.tracking.window_stream import WindowStream
from tests.support.streams import track
from tests.support.tracks import moving_video, same, some_queries

WH = (96, 64)


def narrow(tracker: PointTracker) -> PointTracker:
    tracker.inference = InferenceOptions("bfloat16")
    return tracker


@pytest.mark.parametrize("kind", ["patch", "feature"])
def test_answers_in_bfloat16_are_near(tiny_tracker, tiny_config, kind):
    if kind == "feature":
        torch.manual_seed(0)
        # Without "drift", whose fast waves make much of any rounding while weights are random.
        parts = ("correlation", "feature", "asked", "visibility")
        window = replace(tiny_config.window, start="repeat", late="masked")
        config = replace(
            tiny_config, correlation=replace(tiny_config.correlation, kind=kind),
            tokens=replace(tiny_config.tokens, parts=parts), window=window,
        )  # fmt: skip
        tiny_tracker = PointTracker(config).eval().requires_grad_(False)
        torch.nn.init.normal_(tiny_tracker.head.weight, std=0.02)
    video, queries = moving_video(20, WH), some_queries(12, WH)
    exact = track(tiny_tracker, video, queries)
    near = track(narrow(tiny_tracker), video, queries)
    distance = (exact.xy - near.xy).norm(dim=-1)
    assert 0 < distance.median() < 0.1 and near.xy.dtype == torch.float32


def test_features_are_kept_in_bfloat16_and_shown_in_float32(tiny_tracker):
    stream = WindowStream(narrow(tiny_tracker), some_queries(4, WH), WH)
    stream.push(moving_video(9, WH).frames)
    assert stream.features(6, 0).dtype == torch.float32
    kept = stream.state_dict()["groups"][0]["loop"]["_pieces"]
    assert {level.dtype for piece in kept for level in piece} == {torch.bfloat16}


def test_a_stream_in_bfloat16_goes_on_from_its_state(tiny_tracker):
    video, queries = moving_video(20, WH), some_queries(12, WH)
    stream = WindowStream(narrow(tiny_tracker), queries, WH)
    stream.push(video.frames[:11])
    again = WindowStream.from_state_dict(tiny_tracker, stream.state_dict())
    rest, other = (pt.Tracks.concat([x.push(video.frames[11:]), x.finish()]) for x in (stream, again))
    assert same(other, rest)


@pytest.mark.parametrize("around", [False, True])
def test_precision_around_is_left_alone(tiny_tracker, monkeypatch, around):
    """Training sets it around the whole; a tracker without the switch neither sets nor lifts it."""
    seen, forward = [], tiny_tracker.updater.forward

    def spy(*arguments):
        seen.append(torch.is_autocast_enabled("cpu"))
        return forward(*arguments)

    monkeypatch.setattr(tiny_tracker.updater, "forward", spy)
    pyramid = tiny_tracker.encode(torch.rand(1, 8, 3, 64, 96) * 255)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=around):
        WindowLoop(tiny_tracker, torch.tensor([[0]]), torch.tensor([[[20.0, 20.0]]])).push(pyramid)
    assert seen == [around] * tiny_tracker.config.window.iterations
