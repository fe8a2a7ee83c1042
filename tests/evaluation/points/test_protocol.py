"""The options of the protocol: their mistakes, the report that says them, and resuming it."""

from __future__ import annotations

import json

import pytest
import torch

from evaluation import cli
from evaluation.cli import eval_command
from evaluation.points.example import Example
from evaluation.points.protocol import Protocol
from pointtrack.cli.runner import run_command
from pointtrack.models.checkpoint import save_checkpoint
from pointtrack.types import Queries

QUERIES = Queries([0, 3], [[40.0, 30.0], [60.5, 20.25]])


@pytest.mark.parametrize(
    "options, message",
    [
        ({"preset": "raft"}, "preset: expected one of own, cotracker, locotrack, alltracker, got 'raft'"),
        ({"score": "best"}, "score: expected one of visibility, product, mean, got 'best'"),
        ({"support_grid": -1}, "support_grid: expected 0 or more points per side, got -1"),
        ({"support_local": -2}, "support_local: expected 0 or more"),
        ({"input_wh": (512, 383)}, r"multiples of 4 .* got \[512,383\]"),
        ({"input_wh": (16, 384)}, r"from 32 pixels on, got \[16,384\]"),
        ({"input_wh": (512,)}, r"expected \[width,height\].*got \[512\]"),
    ],
)
def test_mistakes_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        Protocol(**options)


@pytest.fixture
def tracker_file(tmp_path, tiny_tracker, panning, monkeypatch) -> str:
    """A tracker in a file; the command finds one short example."""
    truth = QUERIES.xy.expand(6, 2, 2).double()
    seen = torch.ones(6, 2, dtype=torch.bool)
    after = torch.arange(6)[:, None] > QUERIES.frame
    example = Example("warp/clip", panning(6, (80, 56), (2, 1)), QUERIES, truth, seen, after)
    monkeypatch.setattr(cli, "load_examples", lambda dataset, mode: iter([example]))
    path = tmp_path / "tiny.safetensors"
    save_checkpoint(path, tiny_tracker, half=False)
    return str(path)


def test_report_says_how_points_were_asked_for(tracker_file, tmp_path, capsys):
    out = tmp_path / "report.json"
    typed = ["--datasets", "warp", "--methods", "pointtrack", "--tracker", tracker_file, "--out", str(out)]
    typed += ["--preset", "cotracker", "--one-by-one", "--input-wh", "[128,64]", "--support-local", "2"]
    assert run_command(lambda: eval_command, typed, "evaluation") == 0
    printed = capsys.readouterr().out
    for part in (
        "query mode: badja first visible annotation; others first",
        "visible above: 0.6",
        "(tiny), 6 iterations, input 128x64",
        "protocol: cotracker; one query at a time",
        "2x2 around each query, 50 pixels of the input, on frame 0 and 5x5 over the image, on frame 0",
        "score: visibility x confidence",
        "frames before a query: no answer",
    ):
        assert part in printed
    settings = json.loads(out.read_text())["settings"]
    assert (settings["mode"], settings["threshold"]) == ("first", 0.6)
    own = settings["pointtrack"]
    assert own["tracker"].startswith(f"{tracker_file} sha256:")
    assert (own["preset"], own["one_by_one"], own["iterations"]) == ("cotracker", True, 6)
    assert (own["input_wh"], own["support_grid"], own["support_local"]) == ([128, 64], 5, 2)


def test_defaults_are_the_own_way_and_options_win(tracker_file, capsys):
    eval_command("warp", "pointtrack", tracker_file)
    printed = capsys.readouterr().out
    assert "visible above: 0.5" in printed
    assert "2 iterations, input about 6144 pixels in the video's shape" in printed
    assert (
        "protocol: own; all queries of a video at a time; support grids: 5x5 over the image, on f" in printed
    )
    protocol = Protocol("cotracker", support_grid=0, input_wh=(128, 64))
    eval_command("warp", "pointtrack", tracker_file, 1, threshold=0.7, mode="strided", protocol=protocol)
    printed = capsys.readouterr().out
    assert "visible above: 0.7" in printed
    assert "1 iterations, input 128x64" in printed
    assert "support grids: none" in printed
    assert "no answer, though they count" in printed


@pytest.mark.parametrize(
    "change",
    [
        {"protocol": Protocol(support_grid=4)},
        {"protocol": Protocol(support_local=1)},
        {"protocol": Protocol(input_wh=(64, 64))},
        {"protocol": Protocol(one_by_one=True)},
        {"protocol": Protocol(score="visibility")},
        {"protocol": Protocol("cotracker"), "threshold": 0.5, "iterations": 2},
        {"iterations": 1},
        {"step": 3},
        {"threshold": 0.6},
        {"mode": "strided"},
    ],
)
def test_resume_refuses_another_protocol(change, tracker_file, tmp_path):
    out = tmp_path / "report.json"
    eval_command("warp", "pointtrack", tracker_file, out=out)
    before = out.read_text()
    with pytest.raises(ValueError, match="expected a report made with"):
        eval_command(
            "warp", **{"methods": "pointtrack", "tracker": tracker_file, "out": out} | change, resume=True
        )
    assert out.read_text() == before
    eval_command("warp", "pointtrack", tracker_file, out=out, resume=True)
    assert json.loads(out.read_text())["results"] == json.loads(before)["results"]


def test_resume_adds_other_methods_and_keeps_what_is_known(tracker_file, tmp_path):
    out = tmp_path / "report.json"
    eval_command("warp", "static", out=out)
    assert json.loads(out.read_text())["settings"]["pointtrack"] is None
    eval_command("warp", "pointtrack", tracker_file, out=out, resume=True)
    eval_command("warp", "lk", out=out, resume=True)
    report = json.loads(out.read_text())
    assert {result["method"] for result in report["results"]} == {"static", "pointtrack", "lk"}
    assert report["settings"]["pointtrack"]["support_grid"] == 5
    with pytest.raises(ValueError, match="expected a report made with"):
        eval_command(
            "warp", "pointtrack", tracker_file, out=out, resume=True, protocol=Protocol(support_grid=6)
        )


def test_a_report_of_an_older_version_is_not_resumed(tracker_file, tmp_path):
    out = tmp_path / "report.json"
    out.write_text(
        json.dumps({"settings": {"mode": "first", "threshold": 0.5, "tracker": None}, "results": []})
    )
    with pytest.raises(ValueError, match="expected a report made with"):
        eval_command("warp", "pointtrack", tracker_file, out=out, resume=True)


def test_help_shows_the_protocol(capsys):
    assert run_command(lambda: eval_command, ["--help"], "evaluation") == 0
    shown = capsys.readouterr().out
    for name in ("preset", "one-by-one", "support-grid", "support-local", "input-wh", "score"):
        assert f"--{name}" in shown


@pytest.mark.parametrize(
    "typed, message",
    [
        ("--preset paper", "own, cotracker"),
        ("--score best", "score: expected one of visibility, product, mean, got 'best'"),
        ("--support-grid -1", "support_grid: expected 0 or more points per side, got -1"),
        ("--support-local few", "support_local: expected a whole number, got few"),
        ("--input-wh [512]", "input_wh: expected [width,height]"),
        ("--input-wh 512x384", "input_wh: expected tuple, got 512x384"),
    ],
)
def test_program_explains_mistakes_in_one_line(typed, message, capsys):
    assert run_command(lambda: eval_command, ["--methods", "static", *typed.split()], "evaluation") == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
