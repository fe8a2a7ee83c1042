"""Every recipe in configs/ is understood, and takes a step (made small enough for a test)."""

from pathlib import Path

import cv2
import numpy as np
import pytest

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
def test_recipe_takes_a_step(path, tiny_tracker_file, tmp_path, monkeypatch):
    monkeypatch.setattr("train.data.textures.PROCEDURAL", 2)
    monkeypatch.setattr("train.cli.HELD_OUT", 1)
    arguments = ["--config", str(path), *SMALL.split(), "--out", str(tmp_path / "run")]
    if path.stem == "small_distilling":
        cv2.imwrite(str(tmp_path / "photograph.jpg"), np.zeros((70, 100, 3), np.uint8))
        arguments += ["--pictures", str(tmp_path)]
    assert run_command(lambda: train_command, [*arguments, "--init", str(tiny_tracker_file)], "train") == 0
    assert load_checkpoint(tmp_path / "run" / "model.safetensors").config.name == "tiny"
    assert (tmp_path / "run" / "log.csv").read_text().count("val_")


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
