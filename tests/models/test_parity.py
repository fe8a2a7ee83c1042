"""Golden outputs of the published code, on synthetic weights, against ours.

The folder is $POINTTRACK_FIXTURES, by default ../shared/fixtures/dev; whatever files and cases lie there are
walked, see the README beside it. Where it is missing, `test_regression.py` still holds our own numbers fast.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from einops import rearrange
from torch import Tensor

from pointtrack.cotracker import CoTrackerOnlinePredictor, CoTrackerPredictor
from pointtrack.models.window_loop import WindowLoop
from tests.support.golden import (
    FOLDER,
    PREDICTOR_PX,
    cases,
    facts_of,
    golden_of,
    joined,
    meta_of,
    tracker_of,
    with_rounds,
)
from tests.support.probabilities import assert_same_probability

MODEL_PX = 1e-4


@pytest.mark.parametrize("path, case", cases("model"))
def test_model_gives_the_published_answer(path, case):
    meta = meta_of(path)
    tracker = with_rounds(tracker_of(meta), meta["cases"][case]["iters"])
    golden = golden_of(path, case)
    frames = rearrange(torch.from_numpy(golden["video"]), "b t h w c -> b t c h w")
    queries = torch.from_numpy(golden["queries"])
    loop = WindowLoop(tracker, queries[..., 0].long(), queries[..., 1:])
    with torch.inference_mode():
        windows = loop.push(tracker.encode(frames)) + loop.finish()
    ours = joined(windows, golden["visibility"].shape)
    gap = (ours["tracks"] - torch.from_numpy(golden["tracks"])).norm(dim=-1).max()
    assert gap < MODEL_PX, f"tracks: {gap:.2e} px"
    assert_same_probability(ours["visibility"], golden["visibility"], "visibility")
    if "confidence" in golden:
        assert_same_probability(ours["confidence"], golden["confidence"], "confidence")


def assert_same_tracks(
    ours: tuple[Tensor, ...], golden: dict[str, np.ndarray], prefix: str, threshold: float
) -> None:
    """Positions, and visible wherever the score leaves no doubt. `ours` is an answer with scores."""
    tracks, visible, score, _ = ours
    gap = (tracks - torch.from_numpy(golden[f"{prefix}tracks"])).norm(dim=-1).max()
    assert gap < PREDICTOR_PX, f"tracks: {gap:.2e} px"
    frames = tracks.shape[1]
    clear = torch.from_numpy(np.abs(golden["score"][:, :frames] - threshold) > 1e-3)
    if prefix:  # of an earlier chunk no score is stored: ours serves
        clear = (score - threshold).abs() > 1e-3
    assert torch.equal(visible[clear], torch.from_numpy(golden[f"{prefix}visibility"])[clear])


def video_of(path: Path, spec: dict[str, Any]) -> Tensor:
    with np.load(path) as file:
        return rearrange(torch.from_numpy(file[spec["video"]]), "t h w c -> 1 t c h w").float()


@pytest.mark.parametrize("path, case", cases("predictor"))
def test_predictor_gives_the_published_answer(path, case):
    meta = meta_of(path)
    spec, golden = meta["cases"][case], golden_of(path, case)
    arguments: dict[str, Any] = dict(spec["args"])
    if "queries" in golden:
        arguments["queries"] = torch.from_numpy(golden["queries"])
    if "segm_mask" in golden:
        arguments["segm_mask"] = torch.from_numpy(golden["segm_mask"])[None, None].float()
    tracker = with_rounds(tracker_of(meta), 6)
    video = video_of(path, spec)
    if spec["predictor"] == "CoTrackerPredictor":
        answer = CoTrackerPredictor(tracker=tracker)(video, **arguments, return_scores=True)
        assert_same_tracks(answer, golden, "", spec["threshold"])
        return
    predictor = CoTrackerOnlinePredictor(tracker=tracker)
    step = predictor.step
    assert predictor(video[:, : 2 * step], is_first_step=True, **arguments) == (None, None)
    starts = range(0, video.shape[1] - step, step)
    assert len(starts) == spec["n_chunks"]
    for j, start in enumerate(starts):
        answer = predictor(video[:, start : start + 2 * step], return_scores=True)
        score = answer[2] * answer[3] if tracker.tells_confidence else answer[2]
        assert_same_tracks((answer[0], answer[1], score, score), golden, f"chunk{j}_", spec["threshold"])
    assert_same_tracks(answer, golden, "", spec["threshold"])


@pytest.mark.parametrize("path", sorted(FOLDER.glob("cotracker*.npz")), ids=lambda path: path.stem)
def test_weights_and_tables_are_those_of_the_golden_outputs(path):
    meta, facts = meta_of(path), facts_of(meta_of(path))
    assert facts.digest == meta["weights_sha256"]
    assert facts.shapes == {k: list(s) for k, s in meta["shapes"].items()}
    with np.load(path) as file:
        if "buffers/time_emb" in file:
            assert np.array_equal(file["buffers/time_emb"], facts.tables["time_emb"].numpy())
        if "buffers/pos_emb_index" in file:
            index = tuple(file["buffers/pos_emb_index"].T)
            assert np.array_equal(facts.tables["pos_emb"].numpy()[index], file["buffers/pos_emb_value"])
