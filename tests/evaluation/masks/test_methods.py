"""Our own mask methods in the harness."""

import numpy as np
import pytest
import torch

from evaluation.masks import methods as mask_methods
from evaluation.masks.methods import build_mask_methods
from evaluation.masks.protocol import FirstPrompt
from tests.support.scenes import ColourSegmenter, squares


def test_memory_answers_for_every_frame_and_object(monkeypatch, tiny_tracker):
    monkeypatch.setattr(mask_methods, "_tracker", lambda looks=1: tiny_tracker)
    scene = squares([[(8 + t, 10) for t in range(5)], [(50, 34 - t) for t in range(5)]])
    prompts = {
        4: FirstPrompt(0, scene.truth[0, 0].numpy()),
        7: FirstPrompt(1, points=torch.tensor([[58.0, 41.0]]), labels=torch.tensor([True])),
    }
    masks = build_mask_methods(["memory"])["memory"](scene.video, prompts)
    assert masks.object_ids.tolist() == [4, 7] and len(masks) == 5
    assert torch.equal(masks.masks[0, 0], scene.truth[0, 0])
    clicked = masks.masks[1, 1].numpy()
    assert clicked[41, 58] and np.mean(clicked) < 0.3


@pytest.mark.parametrize(("name", "looks"), [("points", 1), ("points-exact", 2)])
def test_points_answer_for_masks_and_clicks(monkeypatch, tiny_tracker, name, looks):
    segmenter = ColourSegmenter()
    segmenter.answers = (1,)
    requested = []
    monkeypatch.setattr(mask_methods, "_tracker", lambda looks=1: requested.append(looks) or tiny_tracker)
    monkeypatch.setattr(mask_methods, "_segmenter", lambda: segmenter)
    scene = squares([[(20, 20)] * 4, [(50, 34)] * 4])
    prompts = {
        2: FirstPrompt(0, scene.truth[0, 0].numpy()),
        5: FirstPrompt(0, points=torch.tensor([[58.0, 41.0]]), labels=torch.tensor([True])),
    }
    masks = build_mask_methods([name])[name](scene.video, prompts)
    assert requested == [looks]
    assert masks.object_ids.tolist() == [2, 5] and torch.equal(masks.masks[0], scene.truth[0])


def test_unknown_methods_are_refused():
    with pytest.raises(
        ValueError, match=r"expected some of still, dis, grabcut, memory, points, points-exact, got sam3"
    ):
        build_mask_methods(["sam3"])
