"""A pillar passes before an object: what is covered, when, and what counts."""

import json

import numpy as np
import pytest
import torch

from evaluation.cli_hiding import eval_hiding_command
from evaluation.masks.datasets import MaskExample
from evaluation.masks.hiding import Hiding, follow_hidden, hide, mean_hiding
from evaluation.pillar import Phases, with_pictures
from pointtrack.cli.runner import run_command
from pointtrack.types import Video
from pointtrack.types.masks import Masks

T, W, H = 24, 200, 60
PHASES = Phases(range(1, 4), range(7, 13), range(16, 24))


def made(name="made/square"):
    """A red square that moves right, a larger green one that leaves, and a small blue one, on grey."""
    frames = np.full((T, H, W, 3), 90, np.uint8)
    masks = torch.zeros(T, 3, H, W, dtype=torch.bool)
    for t in range(T):
        for o, (size, x, y, colour) in enumerate(
            [(20, 2 * t, 20, (220, 0, 0)), (30, 100, 0, (0, 220, 0)), (6, 180, 50, (0, 0, 220))]
        ):
            if o != 1 or t < 10:
                frames[t, y : y + size, x : x + size] = colour
                masks[t, o, y : y + size, x : x + size] = True
    every = torch.ones(T, dtype=torch.bool)
    truth = Masks(masks, object_ids=torch.tensor([3, 5, 9]))
    return MaskExample(name, Video(frames), truth, torch.zeros(3).long(), every)


@pytest.fixture
def hidden():
    return hide(made(), np.full((30, 40, 3), 255, np.uint8))


def test_the_object_is_shown_hidden_and_shown_again(hidden):
    example, phases = hidden
    assert phases == PHASES
    assert example.truth.object_ids.tolist() == [3]  # the largest that stays in view
    areas = example.truth.masks[:, 0].sum((1, 2)).tolist()
    assert areas[:4] == [400] * 4 and areas[16:] == [400] * 8
    assert 400 > areas[4] > areas[5] > areas[6] > 0 and 0 < areas[13] < areas[14] < areas[15] < 400
    assert areas[7:13] == [0] * 6


def test_the_pillar_is_before_the_object_from_top_to_bottom(hidden):
    example, _ = hidden
    frames = example.video.frames
    assert (frames[9, :, 16:40] == 255).all() and (frames[9, :, 42:] != 255).any(-1).all()
    assert not ((frames == (220, 0, 0)).all(-1) & ~example.truth.masks[:, 0].numpy()).any()
    assert np.array_equal(frames[:4], made().video.frames[:4])


def test_long_videos_are_cut():
    phases = Phases.of(45)
    assert phases == Phases(range(1, 8), range(13, 25), range(30, 45))


def test_what_is_right_and_what_is_not(hidden):
    example, phases = hidden
    right = follow_hidden(lambda *_: example.truth, example, phases)
    assert right == Hiding("made/square", 100, 100, 100)
    still = Masks(example.truth.masks[:1].expand(T, -1, -1, -1).clone())
    stays = follow_hidden(lambda *_: still, example, phases)
    assert stays.empty == 0 and 60 < stays.before < 100 and stays.after < 20
    assert mean_hiding([right, stays]).empty == 50


def test_every_pillar_is_of_another_video():
    examples = [made(name) for name in "abc"]
    for example, shade in zip(examples, (10, 20, 30), strict=True):
        example.video.frames[0] = shade
    pairs = [(example.name, int(picture[0, 0, 0])) for example, picture in with_pictures(iter(examples))]
    assert pairs == [("b", 10), ("c", 20), ("a", 30)]


def test_nothing_to_hide():
    example = made()
    masks = example.truth.masks.clone()
    masks[5] = False
    gone = MaskExample("made/gone", example.video, Masks(masks), example.first_frames, example.annotated)
    assert hide(gone, np.zeros((4, 4, 3), np.uint8)) is None


def test_the_command(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("evaluation.cli_hiding.load_mask_examples", lambda _: iter([made("a"), made("b")]))
    report = tmp_path / "report.json"
    arguments = ["--methods", "still,dis", "--out", str(report)]
    assert run_command(lambda: eval_hiding_command, arguments, "eval-hiding") == 0
    printed = capsys.readouterr().out
    assert "still: empty" in printed and "mean" in printed
    rows = json.loads(report.read_text())["results"]["still"]
    assert [row["example"] for row in rows] == ["b", "a", "mean"] and rows[0]["empty"] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--subset", "1"], "two videos or more, got 1"), (["--subset", "0"], "expected at least 1 video")],
)
def test_mistakes(monkeypatch, capsys, arguments, message):
    monkeypatch.setattr("evaluation.cli_hiding.load_mask_examples", lambda _: iter([made("a"), made("b")]))
    assert run_command(lambda: eval_hiding_command, arguments, "eval-hiding") == 2
    assert message in capsys.readouterr().err
