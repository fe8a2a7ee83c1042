"""Cells of later frames read from the first frame's masks: what moves is recalled, what leaves does not count."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from evaluation.cli_recall import eval_recall_command
from evaluation.masks.datasets import MaskExample
from evaluation.masks.recall import Recall, mean_recalls, recall
from pointtrack.cli.runner import run_command
from pointtrack.types import Video
from pointtrack.types.masks import Masks

T = 9


@pytest.fixture
def example():
    """A red square that moves right and a green one that leaves after 4 frames, on grey."""
    frames = np.full((T, 96, 160, 3), 90, np.uint8)
    masks = torch.zeros(T, 2, 96, 160, dtype=torch.bool)
    for t in range(T):
        frames[t, 16:48, 8 * t : 8 * t + 32] = (220, 20, 20)
        masks[t, 0, 16:48, 8 * t : 8 * t + 32] = True
        if t < 5:
            frames[t, 64:96, 112:144] = (20, 220, 20)
            masks[t, 1, 64:96, 112:144] = True
    every = torch.ones(T, dtype=torch.bool)
    return MaskExample(
        "made/squares",
        Video(frames),
        Masks(masks, object_ids=torch.tensor([3, 5])),
        torch.zeros(2).long(),
        every,
    )


def colours(frame):
    """Mean colours of cells of 8 pixels, as features."""
    pixels = torch.from_numpy(frame.copy()).permute(2, 0, 1)[None].float() / 255 - 0.35
    return F.avg_pool2d(pixels, 8)[0]


def test_what_moves_is_recalled_and_what_left_does_not_count(example):
    found = list(recall(colours, example, every=2))
    assert [(one.frame, one.object_id) for one in found] == [(2, 3), (2, 5), (4, 3), (4, 5), (6, 3), (8, 3)]
    assert all(one.anywhere > 0.9 for one in found)
    assert [one.object_id for one in recall(colours, example, every=4, most=1)] == [3, 3]


def test_features_that_say_nothing_are_bad(example):
    noise = torch.randn(3, 12, 20, generator=torch.Generator().manual_seed(0))
    found = list(recall(lambda frame: noise.roll(int(frame.sum()) % 7, 2), example, every=4))
    assert np.mean([one.anywhere for one in found]) < 0.7


def test_the_mean_is_over_videos():
    rows = mean_recalls(
        [Recall("a", 1, 1, 0.2, 0.4), Recall("a", 2, 1, 0.4, 0.4), Recall("b", 1, 1, 0.9, 1.0)]
    )
    assert rows["a"] == pytest.approx({"nearby": 30, "anywhere": 40})
    assert rows["mean"] == pytest.approx({"nearby": 60, "anywhere": 70})
    assert mean_recalls([]) == {}


def test_the_command_prints_a_table_and_writes_values(
    example, tiny_tracker_file, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("evaluation.cli_recall.load_mask_examples", lambda dataset: iter([example]))
    out = tmp_path / "values.json"
    arguments = ["--tracker", str(tiny_tracker_file), "--every", "4", "--out", str(out)]
    assert run_command(lambda: eval_recall_command, arguments, "evaluation.cli_recall") == 0
    printed = capsys.readouterr().out
    assert "made/squares" in printed and "nearby" in printed
    (rows,) = json.loads(out.read_text())["rows"].values()
    assert set(rows) == {"made/squares", "mean"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--every", "0"], "every: expected 1 or more, got 0"),
        (["--objects", "0"], "objects: expected 1 or more, got 0"),
        (["--tracker", ","], "tracker: expected a name or a file, got none"),
    ],
)
def test_mistakes_get_one_line(arguments, message, capsys):
    assert run_command(lambda: eval_recall_command, arguments, "evaluation.cli_recall") == 2
    assert message in capsys.readouterr().err
