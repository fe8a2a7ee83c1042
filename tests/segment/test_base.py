"""What may be asked of a segmenter, and what is refused before one is asked."""

import numpy as np
import pytest
import torch

from pointtrack.segment.base import Candidates, Embedding, Prompt, check_frame, check_prompt

NAN = float("nan")


def test_prompt_takes_lists():
    prompt = Prompt(points=[[1, 2], [3, 4]], labels=[1, 0], box=(0, 1, 5, 6), mask_logits=np.zeros((4, 6)))
    assert prompt.points.dtype == prompt.box.dtype == prompt.mask_logits.dtype == torch.float32
    assert prompt.labels.tolist() == [True, False] and prompt.labels.dtype == torch.bool
    assert prompt.points.shape == (2, 2) and prompt.box.tolist() == [0, 1, 5, 6]


def test_prompt_fills_what_is_not_given():
    assert Prompt(points=[[1, 2], [3, 4]]).labels.tolist() == [True, True]
    prompt = Prompt(box=[0, 0, 2, 2])
    assert prompt.points.shape == (0, 2) and prompt.labels.shape == (0,) and prompt.mask_logits is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "expected points, a box or mask_logits, got none"),
        ({"points": torch.zeros(0, 2)}, "got none of them"),
        ({"points": [1, 2]}, "prompt points: expected shape"),
        ({"points": [[1, 2, 3]]}, "prompt points: expected shape"),
        ({"points": [[1, NAN]]}, "prompt points: expected finite"),
        ({"points": [[1, 2]], "labels": [1, 0]}, r"one per point \(1,\), got shape \(2,\)"),
        ({"points": [[1, 2]], "labels": [-1]}, r"expected 1 .* or 0 .*, got \[-1\]"),
        ({"labels": [1], "box": [0, 0, 1, 1]}, r"one per point \(0,\)"),
        ({"box": [1, 2, 3]}, "prompt box: expected shape"),
        ({"box": [5, 2, 5, 9]}, r"expected x0 < x1 and y0 < y1, got \[5.0, 2.0, 5.0, 9.0\]"),
        ({"box": [2, 9, 5, 3]}, "expected x0 < x1 and y0 < y1, .*; a box is two opposite corners, not a"),
        ({"box": [2, NAN, 5, 3]}, "prompt box: expected finite"),
        ({"mask_logits": torch.zeros(1, 4, 4)}, "prompt mask_logits: expected shape"),
        ({"mask_logits": torch.full((4, 4), torch.inf)}, "prompt mask_logits: expected finite"),
    ],
)
def test_prompts_that_mean_nothing(given, message):
    with pytest.raises(ValueError, match=message):
        Prompt(**given)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (np.zeros((4, 6, 3), np.float32), "expected uint8 values 0..255, got float32; convert"),
        (np.zeros((2, 4, 6, 3), np.uint8), "one frame of shape"),
        (np.zeros((3, 4, 6), np.uint8), "one frame of shape"),
        (np.zeros((0, 6, 3), np.uint8), "one frame of shape"),
        (torch.zeros((4, 6, 3), dtype=torch.uint8), "got Tensor; convert"),
    ],
)
def test_frames_that_are_refused(frame, message):
    with pytest.raises(ValueError, match=message):
        check_frame(frame)
    assert check_frame(np.zeros((4, 6, 3), np.uint8)) == (6, 4)


EMBEDDING = Embedding(wh=(60, 40), features=torch.zeros(2, 4, 6), made_by="sam")


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt(points=[[0, 0], [59, 39], [59.5, -0.5]]),
        Prompt(box=[0, 0, 60, 40]),
        Prompt(box=[-1, -1, 59, 39]),
        Prompt(mask_logits=torch.zeros(8, 16)),
    ],
)
def test_prompts_within_the_frame(prompt):
    check_prompt(prompt, EMBEDDING, "sam", (16, 8))


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        (
            Prompt(points=[[5, 5], [39, 59]]),
            r"within the 60 x 40 frame, got \[39.0, 59.0\] .* you mean \(59, 39\)\?",
        ),
        (Prompt(points=[[-1, 5]]), "prompt points: expected"),
        (Prompt(box=[0, 0, 62, 40]), r"prompt box: .* within the 60 x 40 frame, got \[0.0, 0.0, 62.0"),
        (Prompt(box=[0, -3, 6, 40]), "clip it to the frame"),
        (Prompt(mask_logits=torch.zeros(16, 8)), r"expected \(8, 16\), .* got \(16, 8\)"),
    ],
)
def test_prompts_that_do_not_fit_the_frame(prompt, message):
    with pytest.raises(ValueError, match=message):
        check_prompt(prompt, EMBEDDING, "sam", (16, 8))


def test_embedding_of_another_segmenter():
    with pytest.raises(ValueError, match="expected one that sam2 made, got one of sam; encode"):
        check_prompt(Prompt(points=[[1, 1]]), EMBEDDING, "sam2", (16, 8))


def test_features_span_the_frame_unless_told_otherwise():
    assert EMBEDDING.extent_wh == (60.0, 40.0)
    with pytest.raises(ValueError, match="embedding features"):
        Embedding(wh=(60, 40), features=torch.zeros(1, 2, 4, 6))


def test_candidates():
    logits = torch.stack([torch.full((4, 6), value) for value in (-1.0, 0.0, 1.0)])
    candidates = Candidates(logits, torch.tensor([0.2, 0.9, 0.5]), torch.zeros(3, 2, 2))
    assert len(candidates) == 3 and candidates.best() == 1
    assert candidates.masks.float().mean(dim=(1, 2)).tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("logits", "scores", "low", "message"),
    [
        ((2, 4, 6), (3,), (2, 2, 2), "candidate scores"),
        ((2, 4, 6), (2,), (1, 2, 2), "candidate low"),
        ((4, 6), (2,), (2, 2, 2), "candidate logits"),
        ((0, 4, 6), (0,), (0, 2, 2), "at least one"),
    ],
)
def test_candidates_that_do_not_fit(logits, scores, low, message):
    with pytest.raises(ValueError, match=message):
        Candidates(torch.zeros(logits), torch.zeros(scores), torch.zeros(low))
