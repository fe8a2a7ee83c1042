"""Clicks on later frames, answered with and without what the first frame tells."""

import json

import pytest
import torch

from evaluation import cli_later_prompts
from evaluation.masks.datasets import MaskExample
from evaluation.masks.later_prompts import KNOWN, LaterPrompt, mean_overlaps, prompt_later
from pointtrack.cli.runner import run_command
from pointtrack.objects.point_engine import PointEngine
from pointtrack.types.masks import Masks
from tests.support.exact import TRACKER, use_exact_tracks
from tests.support.scenes import ColourSegmenter
from tests.support.square_session import SCENE


@pytest.fixture
def example():
    masks = Masks(SCENE.truth, object_ids=torch.tensor([3, 5]))
    every = torch.ones(len(SCENE.video), dtype=torch.bool)
    return MaskExample("made/squares", SCENE.video, masks, torch.zeros(2).long(), every)


@pytest.fixture
def engine(monkeypatch):
    """A segmenter that takes every click for one on the whole frame, unless it is told of a square."""
    use_exact_tracks(monkeypatch, SCENE)
    return PointEngine(TRACKER, ColourSegmenter())


def test_a_known_mask_says_what_is_meant(engine, example):
    found = list(prompt_later(engine, example, every=5))
    assert [(one.frame, one.object_id) for one in found] == [(5, 3), (10, 3), (5, 5), (10, 5)]
    assert all(tuple(one.overlaps) == KNOWN for one in found)
    assert all(one.overlaps["nothing"] < 0.1 and one.overlaps["its mask"] == 1 for one in found)
    (boxed,) = prompt_later(engine, example, every=9, most=1, boxes=True)
    assert boxed.object_id == 3 and all(0.4 < value < 0.6 for value in boxed.overlaps.values()), (
        "all of its box"
    )


def test_the_mean_is_over_videos():
    clicks = [
        LaterPrompt(name, 1, 1, dict.fromkeys(KNOWN, value), dict.fromkeys(KNOWN, 0.5))
        for name, value in (("a", 0.2), ("a", 0.4), ("b", 0.9))
    ]
    rows = mean_overlaps(clicks)
    assert rows["a"]["nothing"] == pytest.approx(30) and rows["mean"]["its mask"] == pytest.approx(60)
    assert rows["error of the score"]["one click"] == pytest.approx(30)
    assert mean_overlaps([]) == {}


def test_the_command_prints_a_table_and_writes_values(engine, example, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cli_later_prompts, "load_mask_examples", lambda dataset: iter([example]))
    monkeypatch.setattr(cli_later_prompts, "PointEngine", lambda *networks: engine)
    out = tmp_path / "values.json"
    run = lambda *arguments: run_command(  # noqa: E731
        lambda: cli_later_prompts.eval_later_prompts_command, arguments, "evaluation.cli_later_prompts"
    )
    assert run("--every", "6", "--objects", "1", "--out", str(out)) == 0
    assert "made/squares" in capsys.readouterr().out
    written = json.loads(out.read_text())
    assert (
        set(written["rows"]) == {"made/squares", "mean", "error of the score"}
        and len(written["results"]) == 2
    )
    for arguments, message in (
        (["--every", "0"], "every: expected 1 or more, got 0"),
        (["--every", "99"], "expected objects on first frames and 99 frames later, got none"),
    ):
        assert run(*arguments) == 2
        assert message in capsys.readouterr().err
