"""The report on masks: values, table, file, resuming, and the command."""

import json

import numpy as np
import pytest
import torch

from evaluation import cli_masks as mask_cli
from evaluation.cli_masks import eval_masks_command
from evaluation.masks import methods as mask_methods
from evaluation.masks.baselines import still
from evaluation.masks.datasets import MaskExample
from evaluation.masks.report import Asking, evaluate_masks, format_mask_table, summarise_masks
from pointtrack.cli.plugins import entry_points, load_command
from pointtrack.cli.runner import run_command
from pointtrack.types import Video
from pointtrack.types.masks import Masks


def make_example(name="toy/a", steps=(0,), frames=6):
    """An object per step, 20 x 20, moved down by that many pixels per frame."""
    masks = np.zeros((frames, len(steps), 48, 120), bool)
    for t in range(frames):
        for place, step in enumerate(steps):
            masks[t, place, 2 + step * t : 22 + step * t, 2 + 30 * place : 22 + 30 * place] = True
    generator = np.random.default_rng(0)
    video = Video(generator.integers(0, 255, (frames, 48, 120, 3), dtype=np.uint8))
    start = torch.zeros(len(steps), dtype=torch.int64)
    return MaskExample(
        name, video, Masks(torch.from_numpy(masks)), start, torch.ones(frames, dtype=torch.bool)
    )


def test_values_of_one_example():
    (result,) = evaluate_masks({"still": still}, [make_example(steps=(0, 5))])
    # Frames 1..4 count; 5, 10, 15, 20 rows lower: (20 - d) / (20 + d).
    expected = (15 / 25 + 10 / 30 + 5 / 35 + 0) / 4
    assert result["objects"]["1"]["j_mean"] == 1 and result["objects"]["1"]["f_mean"] == 1
    assert result["objects"]["2"]["j_mean"] == pytest.approx(expected)
    assert result["objects"]["2"]["j_recall"] == 0.25
    assert result["j_mean"] == pytest.approx((1 + expected) / 2)
    assert result["jf_mean"] == pytest.approx((result["j_mean"] + result["f_mean"]) / 2)
    assert (result["frames"], result["wh"], result["clicks"]) == (6, [120, 48], None)


def test_rows_are_means_over_objects_not_videos():
    examples = [make_example("toy/a", (0, 0, 0)), make_example("toy/b", (24,), frames=3)]
    (row,) = summarise_masks(evaluate_masks({"still": still}, examples))
    assert (row["videos"], row["objects"]) == (2, 4)
    assert row["j_mean"] == 0.75  # the fourth object is missed on its one frame that counts
    table = format_mask_table([row]).splitlines()
    assert len({len(line) for line in table}) == 1 and "75.0" in table[2]
    assert "clicks" not in table[0] and "J&F" in table[0]


def test_objects_without_frames_are_left_out_of_means():
    example = make_example("toy/a", (0, 24), frames=3)
    late = MaskExample(
        "toy/a", example.video, example.truth.select([0]), torch.tensor([1]), example.annotated
    )
    with pytest.raises(ValueError, match="scored by a server"):
        evaluate_masks({"still": still}, [late])
    both = MaskExample("toy/b", example.video, example.truth, torch.tensor([1, 0]), example.annotated)
    (result,) = evaluate_masks({"still": still}, [both])
    assert result["objects"]["1"]["j_mean"] is None and result["j_mean"] == 0


def test_first_clicks_and_rounds_are_counted():
    def told(video, prompts):
        assert all(prompt.mask is None for prompt in prompts.values())
        return still(video, prompts)

    (result,) = evaluate_masks({"told": told}, [make_example()], Asking("first-click", clicks=2))
    assert 1 <= result["clicks"] <= 2 and result["reached"] is None
    (result,) = evaluate_masks({"still": still}, [make_example()], Asking("interactive", 3, 0.01))
    assert result["clicks"] == 1 and result["reached"] == 1
    (result,) = evaluate_masks({"still": still}, [make_example(steps=(4,))], Asking("interactive", 2, 0.99))
    assert result["clicks"] == 2 and result["reached"] == 0


def test_answers_of_another_length_are_refused():
    with pytest.raises(ValueError, match="masks: expected shape"):
        evaluate_masks({"short": lambda video, prompts: still(video.clip(0, 2), prompts)}, [make_example()])
    with pytest.raises(ValueError, match="at least one"):
        evaluate_masks({"still": still}, [])


@pytest.fixture
def two_videos(monkeypatch):
    examples = [make_example("toy/a", (2,)), make_example("toy/b", (3,), frames=5)]
    monkeypatch.setattr(mask_cli, "load_mask_examples", lambda dataset: iter(examples))


def test_command_writes_and_resumes(tmp_path, capsys, monkeypatch, two_videos):
    out = tmp_path / "new" / "report.json"
    eval_masks_command("toy", "still", out=out, subset=1)
    assert [r["example"] for r in json.loads(out.read_text())["results"]] == ["toy/a"]
    printed = capsys.readouterr().out
    assert "| still" in printed and "toy 120x48" in printed and torch.__version__ in printed

    runs = []
    method = {"still": lambda video, prompts: runs.append(len(video)) or still(video, prompts)}
    monkeypatch.setattr(mask_methods, "MASK_METHODS", {**mask_methods.MASK_METHODS, **method})
    eval_masks_command("toy", "still", out=out, resume=True)
    assert runs == [5]  # only the video that was not finished
    eval_masks_command("toy", "dis", out=out, subset=1, resume=True)
    kept = {(r["method"], r["example"]) for r in json.loads(out.read_text())["results"]}
    assert kept == {("still", "toy/a"), ("still", "toy/b"), ("dis", "toy/a")}
    with pytest.raises(ValueError, match="made with"):
        eval_masks_command("toy", "still", "first-click", out=out, resume=True)
    eval_masks_command("toy", "still", out=out)
    assert runs[1:] == [6, 5]  # without resume everything runs again


def test_changed_truth_is_run_again():
    done = evaluate_masks({"still": still}, [make_example(steps=(2,))])
    again = evaluate_masks({"still": still}, [make_example(steps=(3,))], done=done)
    assert again[0]["j_mean"] < done[0]["j_mean"]
    kept = evaluate_masks({"still": lambda *_: 1 / 0}, [make_example(steps=(2,))], done=done)
    assert kept == done


@pytest.mark.parametrize(
    "options, message",
    [
        ({"subset": 0}, "at least 1"),
        ({"resume": True}, "--out"),
        ({"methods": "xmem"}, "xmem"),
        ({"datasets": "nothing"}, "nothing"),
        ({"protocol": "magic"}, "magic"),
        ({"clicks": 3}, "clicks: expected"),
        ({"protocol": "first-click", "clicks": 0}, "clicks: expected"),
        ({"protocol": "first-click", "target": 0.8}, "target: expected"),
        ({"protocol": "interactive", "target": 80.0}, "target: expected"),
    ],
)
def test_mistakes_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        eval_masks_command(**options)


def test_program_explains_mistakes_in_one_line(capsys):
    assert run_command(lambda: eval_masks_command, ["--protocol", "first-click", "--clicks", "0"], "x") == 2
    assert "error: clicks: expected" in capsys.readouterr().err


def test_command_is_registered():
    assert load_command("eval-masks", {}, entry_points()) is eval_masks_command
