"""What a review accepts is what `pointtrack finetune` takes: the command that the page tells, run as it is told."""

import json
import logging
import shlex
from pathlib import Path

import pytest

from pointtrack.cli.runner import run_command
from tests.support.ui_client import RED
from train.cli_finetune import NOTHING_WRITTEN, finetune_command

SHORT = (
    "--scene.sizes [[64,48]] --scene.frames 6 --scene.points 8 --scene.query_frames 3 --loop.steps 2 --loop.validate_every 1 "
    "--loop.accelerator cpu --loop.bf16 false --limits.clips 1 --limits.margin 100 --batch 1"
)


@pytest.mark.long
def test_the_training_set_is_learnt(client, videos, tiny_tracker_file, monkeypatch, capsys):
    monkeypatch.setattr("train.data.textures.PROCEDURAL", 2)
    monkeypatch.setattr(
        logging.root, "handlers", []
    )  # commands set their own, on the output that is captured here
    mine = str(videos / "squares.mp4")
    client.http.post("/api/review/open", json={"path": str(videos)})
    client.act("points.grid", frame=0, size=3)
    client.act("objects.click", frame=0, points=[RED], labels=[1])
    client.run(direction="both")
    client.http.post("/api/review", json={"path": mine, "verdict": "accepted"})
    told = client.http.post("/api/review/export").json()
    program, command, *arguments = shlex.split(told["command"])
    assert (program, command) == ("pointtrack", "finetune")
    given = [*arguments, "--init", str(tiny_tracker_file), *SHORT.split()]
    code = run_command(lambda: finetune_command, given, "pointtrack finetune")
    printed = capsys.readouterr().out
    out = Path(arguments[arguments.index("--out") + 1])
    report = json.loads((out / "report.json").read_text())
    assert code in (0, NOTHING_WRITTEN) and len(report["checks"]) == 2
    assert "labels" not in printed, "the accepted tracks are learnt, not labels made anew"
    assert (out / "model.safetensors").exists() == report["written"] == (code == 0)
