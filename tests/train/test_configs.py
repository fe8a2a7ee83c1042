"""Every recipe in configs/ is understood, and takes a step (made small enough for a test)."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from pointtrack.cli.runner import build_parser, run_command
from pointtrack.models.checkpoint import load_checkpoint
from train.cli import train_command

# Two recipes have tests of their own in tasks/: what the segmenter's saves is no tracker, and the keys' needs a trunk.
CONFIGS = sorted(
    path
    for path in Path(__file__).parents[2].joinpath("configs").glob("*.yaml")
    if path.stem not in ("small_segmenter", "small_remembering")
)
SMALL = (
    "--scene.sizes [[96,64]] --scene.frames 4 --scene.points 8 --scene.query_frames 2 --scene.objects 2 "
    "--loop.steps 1 --loop.log_every 1 --loop.workers 0 --loop.devices 1 --loop.accelerator cpu --batch 1"
)


def test_there_are_recipes():
    assert CONFIGS


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_recipe_takes_a_step(path, tiny_tracker_file, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("train.cli.HELD_OUT", 1)
    arguments = ["--config", str(path), *SMALL.split(), "--out", str(tmp_path / "run")]
    if path.stem == "small_distilling":
        cv2.imwrite(str(tmp_path / "photograph.jpg"), np.zeros((70, 100, 3), np.uint8))
        arguments += ["--pictures", str(tmp_path)]
    assert run_command(lambda: train_command, [*arguments, "--init", str(tiny_tracker_file)], "train") == 0
    assert f"weights   {tmp_path / 'run' / 'model.safetensors'}\nfigures " in capsys.readouterr().out
    assert load_checkpoint(tmp_path / "run" / "model.safetensors").config.name == "tiny"
    assert (tmp_path / "run" / "log.csv").read_text().count("val_")


def test_a_run_goes_on_with_its_own_settings_only(tiny_tracker_file, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("train.cli.HELD_OUT", 1)
    out = ["--out", str(tmp_path / "run")]

    def train(*more: str) -> tuple[int, str]:
        code = run_command(lambda: train_command, [*SMALL.split(), *out, *more], "train")
        return code, capsys.readouterr().err

    init = ["--init", str(tiny_tracker_file)]
    assert train(*init)[0] == 0
    step = torch.load(tmp_path / "run" / "last.ckpt", weights_only=False)["step"]
    code, said = train("--tracker.name", "another", "--loop.learning_rate", "1")
    assert code == 2 and "expected the settings of the run that is there, got other " in said
    named = said.partition("got other ")[2]
    assert "loop.learning_rate" in named and "init" in named and "tracker" in named and len(named) < 300
    assert train(*init, "--task", "tracking")[1].count("got other task; choose another --out") == 1
    assert train(*init, "--loop.steps", "2", "--loop.save_every", "1")[0] == 0, "more steps continue it"
    assert torch.load(tmp_path / "run" / "last.ckpt", weights_only=False)["step"] == step + 1
    (tmp_path / "run" / "settings.json").unlink()  # as of older versions
    assert train(*init, "--loop.steps", "2", "--loop.learning_rate", "1")[0] == 0


@pytest.mark.parametrize(
    "arguments, message",
    [
        (
            ["--task", "matching", "--out", "x", "--loop.stepz", "3"],
            "error: unrecognized option --loop.stepz; --loop.help shows its settings\n",
        ),
        (["--out", "x", "--loop.steps", "few"], "error: steps: expected a whole number, got few\n"),
        (["--out", "x", "--loop.save-every", "few"], "error: save_every: expected a whole number, got few\n"),
        (["--task", "knitting", "--out", "x"], "knitting"),
        (["--task", "matching", "--out", "x", "--init", "none.safetensors"], "found nothing there"),
        (["--task", "matching", "--out", "x", "--textures", "nowhere"], "expected photographs"),
    ],
)
def test_mistakes_get_one_line(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run_command(lambda: train_command, arguments, "train") == 2
    assert message in capsys.readouterr().err


def test_the_parser_shows_every_setting():
    text = build_parser(train_command, "train").format_help()
    assert "--loop" in text and "--scene" in text and "--textures" in text
