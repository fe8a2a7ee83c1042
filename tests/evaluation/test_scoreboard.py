"""The one table of all figures."""

import json

import pytest
import torch

from evaluation import scoreboard as goals
from evaluation.points.example import Example
from pointtrack.cli.runner import run_command
from pointtrack.tracking.classical import BASELINES
from pointtrack.types import Queries


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_what_was_before_stands_beside_what_is_now():
    rows = {"warp AJ": {"pointtrack": 80.04, "dis": 70.0}, "x": {"pointtrack": float("nan")}}
    table = [cells(line) for line in goals.goals_table(rows, {"warp AJ": {"pointtrack": 78.5}}).splitlines()]
    assert table[0] == ["", "before", "pointtrack", "dis", "lk"]
    assert table[2] == ["warp AJ", "78.5", "80.0", "70.0", "-"]
    assert table[3] == ["x", "-", "-", "-", "-"]
    assert "before" not in goals.goals_table(rows, {})


@pytest.fixture
def one_clip(monkeypatch, panning):
    """Every set of known tracks is one panning clip, and our own method stands still."""
    video = panning(4, (64, 48), (2, 0))
    xy = torch.tensor([[30.0, 20.0]]) - torch.arange(4)[:, None, None] * torch.tensor([2, 0])
    seen = torch.ones(4, 1, dtype=torch.bool)
    after = torch.arange(4)[:, None] > 0
    example = Example("warp/a", video, Queries([0], [[30.0, 20.0]]), xy.double(), seen, after)
    monkeypatch.setattr(goals, "load_examples", lambda name: iter([example] if name == "warp" else []))
    monkeypatch.setattr(
        goals, "build_methods", lambda _: {"pointtrack": BASELINES["static"], "dis": BASELINES["dis"]}
    )


def test_the_command_reads_what_it_wrote(one_clip, monkeypatch, tmp_path, capsys):
    inside = {"davis_dev points inside": {"pointtrack": 87.0, "dis": 96.0, "lk": 97.0}}
    monkeypatch.setattr(goals, "inside_rows", lambda: inside)
    monkeypatch.setattr(goals, "evaluate_masks", lambda *_: [])
    monkeypatch.setattr(goals, "mask_rows", lambda _: {"davis_dev J&F": {"pointtrack": 70.0}})
    out = tmp_path / "goals.json"
    assert run_command(lambda: goals.goals_command, ["--out", str(out)], "goals") == 0
    written = json.loads(out.read_text(encoding="utf-8"))["rows"]
    # 2, 4 and 6 px off of 64 are 8, 16 and 24 of 256: two of five thresholds, in part.
    assert written["warp δavg"]["pointtrack"] == pytest.approx(100 * (1 / 3) / 5)
    assert written["warp δavg"]["dis"] > 90
    assert written["davis_dev J&F"] == {"pointtrack": 70.0}
    capsys.readouterr()
    again = ["--before", str(out), "--masks", "false"]
    assert run_command(lambda: goals.goals_command, again, "goals") == 0
    table = [cells(line) for line in capsys.readouterr().out.splitlines()]
    row = next(line for line in table if line[0] == "warp δavg")
    assert row[1] == row[2] == "6.7"
    assert not any("J&F" in line[0] for line in table)


def test_earlier_figures_that_are_not_there(tmp_path, capsys):
    missing = ["--before", str(tmp_path / "none.json")]
    assert run_command(lambda: goals.goals_command, missing, "goals") == 2
    assert "none.json" in capsys.readouterr().err


def test_masks_come_from_a_report(tmp_path):
    report = tmp_path / "masks.json"
    jf = {"jf_mean": 0.5, "j_mean": 0.6, "f_mean": 0.4}
    results = [
        {
            "method": name,
            "dataset": dataset,
            "objects": {"1": jf},
            "seconds_per_frame": 1,
            "reached": 0,
            "clicks": 0,
        }
        for name, dataset in (("points", "davis_dev"), ("still", "davis_dev"), ("points", "other"))
    ]
    report.write_text(json.dumps({"results": results}))
    rows = goals.mask_rows(goals._mask_results(report))
    assert rows["davis_dev J"] == {"pointtrack": 60.0} and rows["davis_dev J&F"] == {"pointtrack": 50.0}
