"""AllTracker's answers against those of the published code, on weights made from a rule."""

from __future__ import annotations

import functools

import cv2
import numpy as np
import pytest
import torch

from pointtrack.models.alltracker.clip import flow_of_clip, windows_of_clip
from pointtrack.models.alltracker.network import AllTracker, Flow
from pointtrack.models.alltracker.paper import VISIBLE, demonstration_wh, dense_tracks, sparse_tracks
from pointtrack.models.alltracker.upsampling import upsample, upsample_at
from pointtrack.models.alltracker.weights import build, from_published, published_shapes, recognise
from tests.support.engine_fixtures import (
    cases,
    gap,
    golden_of,
    make_video,
    meta_of,
    models,
    video_digest,
    videos_of,
    weights_of,
)
from tests.support.probabilities import assert_same_probability

FLOW_PX, LOGIT = 3e-4, 3e-4


@functools.lru_cache(maxsize=1)
def network_of(model: str) -> AllTracker:
    weights = weights_of(model)
    network = build(recognise(weights))
    network.load_state_dict(from_published(weights, network, model), assign=True)
    return network.eval().requires_grad_(False)


@functools.lru_cache(maxsize=1)
def windows_of(
    model: str, seed: int, frames: int, wh: tuple[int, int], options: tuple
) -> list[tuple[int, Flow]]:
    """Two cases of each video differ in who answers for a frame only."""
    video = torch.from_numpy(make_video(frames, wh[1], wh[0], seed)).movedim(-1, 1)
    with torch.inference_mode():
        return list(windows_of_clip(network_of(model), video, **dict(options)))


@pytest.mark.long
@pytest.mark.parametrize("model, case", cases("alltracker", "forward", "forward_sliding"))
def test_flow_is_the_published_one(model, case):
    spec, golden = meta_of(model)["cases"][case], golden_of(model, case)
    arguments, frames, wh = spec["args"], spec["T"], (spec["W"], spec["H"])
    names = {"iters": "iterations", "window_len": "length", "stride": "step"}
    options = tuple((ours, arguments[theirs]) for theirs, ours in names.items() if theirs in arguments)
    for item, seed in enumerate(spec["video_seed"]):
        windows = windows_of(model, seed, frames, wh, options)
        with torch.inference_mode():
            latest = arguments["mode"] == "forward"
            move, logits = flow_of_clip(network_of(model), windows, frames, wh, latest)
        move, logits = (x[:, :, golden["ys"]][..., golden["xs"]] for x in (move, logits))
        flow, scores = (golden[key][item].reshape(move.shape) for key in ("flow", "visconf"))
        assert gap(move, flow) < FLOW_PX
        assert_same_probability(logits.sigmoid(), scores, "scores", LOGIT)


@pytest.mark.long
@pytest.mark.parametrize("model, case", cases("alltracker", "eval"))
def test_sparse_tracks_are_those_of_the_published_evaluation(model, case):
    spec, golden = meta_of(model)["cases"][case], golden_of(model, case)
    (video,) = videos_of(spec)
    frame, xy = torch.from_numpy(golden["query_frames"]), torch.from_numpy(golden["query_xy"])
    with torch.inference_mode():
        tracks, scores = sparse_tracks(network_of(model), video, frame, xy, spec["args"]["iters"])
    assert gap(tracks, golden["tracks"]) < FLOW_PX
    after = frame < torch.arange(spec["T"])[:, None]  # before, there are none
    assert_same_probability(scores[after], golden["visconf"][after.numpy()], "scores", LOGIT)
    clear = torch.from_numpy(np.abs(golden["visconf"].prod(axis=-1) - VISIBLE) > 1e-3)
    visible = scores.prod(dim=-1) >= VISIBLE
    assert torch.equal(visible[clear], torch.from_numpy(golden["visible"])[clear])


@pytest.mark.long
@pytest.mark.parametrize("model, case", cases("alltracker", "demo"))
def test_dense_tracks_are_those_of_the_published_demonstration(model, case):
    spec, golden = meta_of(model)["cases"][case], golden_of(model, case)
    (video,) = videos_of(spec)
    arguments = spec["args"]
    wh = demonstration_wh((spec["W"], spec["H"]), arguments["image_size"])
    assert list(wh) == spec["resized"][::-1]
    pictures = [
        cv2.resize(frame.movedim(0, -1).numpy(), wh, interpolation=cv2.INTER_LINEAR) for frame in video
    ]
    assert np.abs(pictures[0].astype(int) - golden["resized_frame0"]).max() <= 1
    if video_digest(np.stack(pictures)) != spec["resized_sha256"]:
        pytest.skip("this OpenCV resizes otherwise than the one of the golden outputs")
    resized = torch.from_numpy(np.stack(pictures)).movedim(-1, 1)
    with torch.inference_mode():
        tracks, scores = dense_tracks(
            network_of(model), resized, arguments["query_frame"], arguments["iters"]
        )
    assert gap(tracks[None, ..., 1::5, 2::5], golden["traj_rate4"]) < FLOW_PX
    assert_same_probability(scores[None, ..., 1::5, 2::5], golden["visconf_rate4"], "scores", LOGIT)


@pytest.mark.parametrize("model", models("alltracker"))
def test_the_file_is_that_of_the_published_model(model):
    network = network_of(model)
    shapes = {name: list(shape) for name, shape in published_shapes(network).items()}
    assert shapes == meta_of(model)["shapes"]
    assert recognise(weights_of(model)) == network.config
    table = AllTracker(network.config).time_table  # by the formula
    assert torch.equal(table, network.time_table)


@pytest.mark.parametrize("model", models("alltracker"))
def test_some_pixels_are_those_of_the_whole_map(model):
    network = network_of(model)
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 4, 6, 128, generator=generator)
    values = torch.randn(2, 4, 4, 6, generator=generator)
    row, column = torch.tensor([0, 31, 13, 8]), torch.tensor([0, 47, 21, 7])
    with torch.inference_mode():
        some = upsample_at(values, features, network.weight_head, column, row)
        for i in range(2):
            weights = network.weight_head(features[i].movedim(-1, 0)[None])[0]
            whole = upsample(values[i], weights)
            assert gap(some[i], whole[:, row, column].T.numpy()) < 1e-4
