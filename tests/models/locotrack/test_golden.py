"""LocoTrack's answers against those of the published code, on weights made from a rule."""

from __future__ import annotations

import functools

import pytest
import torch

from pointtrack.models.locotrack.clip import predict_clip, track_clip
from pointtrack.models.locotrack.network import Guess, LocoTrack
from pointtrack.models.locotrack.weights import build, from_published, published_shapes, recognise
from tests.support.engine_fixtures import cases, gap, golden_of, meta_of, models, videos_of, weights_of

TRACK_PX, LOGIT = 2e-4, 1e-4


@functools.lru_cache(maxsize=2)  # all there are, with what their layers keep of their weights
def network_of(model: str) -> LocoTrack:
    weights = weights_of(model)
    network = build(recognise(weights))
    network.load_state_dict(from_published(weights, network, model), assign=True)
    return network.eval().requires_grad_(False)


@functools.lru_cache(maxsize=2)
def answer(model: str, case: str) -> list[Guess]:
    spec = meta_of(model)["cases"][case]
    queries = torch.from_numpy(golden_of(model, case)["queries"])
    sizes = spec["args"].get("refinement_resolutions")
    sizes = None if sizes is None else [(w, h) for h, w in sizes]
    xy = queries[..., [2, 1]] - 0.5  # there a pixel's centre is half a pixel further on
    with torch.inference_mode():
        return track_clip(network_of(model), videos_of(spec), queries[..., 0], xy, sizes)


@pytest.mark.parametrize("model, case", cases("locotrack", "forward"))
def test_tracks_are_the_published_ones(model, case):
    golden, ours = golden_of(model, case), answer(model, case)
    for i, guess in enumerate(ours):
        last = i == len(ours) - 1
        tracks, occluded, wrong = (
            golden[key] if last else golden[f"unrefined_{key}"][i]
            for key in ("tracks", "occlusion", "expected_dist")
        )
        assert gap((guess.xy + 0.5).transpose(1, 2), tracks) < TRACK_PX, f"round {i}"
        assert gap(guess.occluded_logit.transpose(1, 2), occluded) < LOGIT, f"round {i}"
        assert gap(guess.wrong_logit.transpose(1, 2), wrong) < LOGIT, f"round {i}"


@pytest.mark.parametrize("model, case", cases("locotrack", "inference"))
def test_predictions_are_the_published_ones(model, case):
    spec, golden = meta_of(model)["cases"][case], golden_of(model, case)
    height, width = spec["args"]["resolution"]
    columns = [spec["args"]["query_format"].index(letter) for letter in "txy"]
    frame, x, y = torch.from_numpy(golden["queries"])[..., columns].unbind(-1)
    xy = torch.stack([x, y], dim=-1) - 0.5
    with torch.inference_mode():
        ours = predict_clip(network_of(model), videos_of(spec), frame, xy, (width, height))
    assert gap((ours.xy + 0.5).transpose(1, 2), golden["tracks"]) < TRACK_PX
    occluded, wrong = (x.transpose(1, 2) for x in (ours.occluded_logit, ours.wrong_logit))
    assert gap(occluded, golden["occlusion_logit"]) < LOGIT
    assert gap(wrong, golden["expected_dist_logit"]) < LOGIT
    hidden = (1 - occluded.sigmoid()) * (1 - wrong.sigmoid()) < 0.5
    assert torch.equal(hidden, torch.from_numpy(golden["occluded"]))


@pytest.mark.parametrize("model", models("locotrack"))
def test_the_file_is_that_of_the_published_model(model):
    shapes = meta_of(model)["shapes"]
    network = network_of(model)
    assert {name: list(shape) for name, shape in published_shapes(network).items()} == shapes
    wrapped = {f"model.{name}": x for name, x in weights_of(model).items()}
    assert recognise(wrapped) == network.config
    same = from_published(wrapped, network, model)
    assert all(torch.equal(same[name], x) for name, x in network.state_dict().items())
