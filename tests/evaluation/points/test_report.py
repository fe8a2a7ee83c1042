"""The report: values, table, file, and resuming."""

import json

import pytest
import torch

from evaluation import cli
from evaluation.cli import eval_command
from evaluation.points.example import Example
from evaluation.points.report import evaluate, format_table, summarise
from pointtrack.cli.runner import run_command
from pointtrack.tracking.classical import static
from pointtrack.types import Queries

SHIFT = (2, 0)


@pytest.fixture
def example(panning):
    return lambda *args, **options: make_example(panning, *args, **options)


def make_example(panning, name, frames=4, **options):
    video = panning(frames, (64, 48), SHIFT)
    xy = torch.tensor([[30.0, 20.0]]) - torch.arange(frames)[:, None, None] * torch.tensor(SHIFT)
    seen = torch.ones(frames, 1, dtype=torch.bool)
    after = torch.arange(frames)[:, None] > 0
    return Example(name, video, Queries([0], [[30.0, 20.0]]), xy.double(), seen, after, **options)


def test_values_of_one_example(example):
    (result,) = evaluate({"static": static}, [example("warp/a")])
    # 2, 4, 6 px off in a 64 px wide video are 8, 16, 24 px of the 256 px wide metric image.
    assert result["pts_within_8"] == 0
    assert result["pts_within_16"] == pytest.approx(1 / 3)
    assert result["occlusion_accuracy"] == 1
    assert result["pck_t"] is None
    assert result["wh"] == [64, 48]


def test_badja_has_rows_per_sequence_and_no_visibility_metrics(example):
    area = torch.full((4,), 625.0)  # radius 5 px: the joint is lost on the last frame
    examples = [
        example("badja/bear", visibility_known=False),
        example("badja/camel", area=area, visibility_known=False),
        example("warp/a"),
        example("warp/b", frames=2),
    ]
    rows = summarise(evaluate({"static": static}, examples))
    assert [row["dataset"] for row in rows] == ["badja/bear", "badja/camel", "badja mean", "warp"]
    assert [row["videos"] for row in rows] == [1, 1, 2, 2]
    assert rows[0]["average_jaccard"] is None and rows[0]["pck_t"] is None
    assert rows[1]["pck_t"] == rows[2]["pck_t"] == pytest.approx(2 / 3)
    assert rows[3]["pts_within_16"] == pytest.approx((1 / 3 + 1) / 2)
    table = format_table(rows).splitlines()
    assert len({len(line) for line in table}) == 1
    assert table[0].split("|")[1].strip() == "method" and "66.7" in table[3]


def test_wrong_shapes_are_named(example):
    with pytest.raises(ValueError, match="warp/a: expected tracks"):
        evaluate({"short": lambda video, queries: static(video.clip(1), queries)}, [example("warp/a")])
    with pytest.raises(ValueError, match="at least one"):
        evaluate({"static": static}, [])


@pytest.fixture
def two_videos(monkeypatch, example):
    monkeypatch.setattr(
        cli, "load_examples", lambda dataset, mode: iter([example("warp/a"), example("warp/b", 3)])
    )


def test_command_writes_and_resumes(tmp_path, capsys, monkeypatch, two_videos):
    out = tmp_path / "new" / "report.json"
    eval_command("warp", "static", out=out, subset=1)
    assert [r["example"] for r in json.loads(out.read_text())["results"]] == ["warp/a"]
    printed = capsys.readouterr().out
    assert "| static | warp" in printed and "64x48" in printed and torch.__version__ in printed

    runs = []
    monkeypatch.setattr(
        cli,
        "build_methods",
        lambda names, *_, **__: {name: lambda v, q: runs.append(len(v)) or static(v, q) for name in names},
    )
    eval_command("warp", "static", out=out, resume=True)
    assert runs == [3]  # only the video that was not finished
    eval_command("warp", "lk", out=out, subset=1, resume=True)
    report = json.loads(out.read_text())
    assert {(r["method"], r["example"]) for r in report["results"]} == {
        ("static", "warp/a"),
        ("static", "warp/b"),
        ("lk", "warp/a"),
    }
    with pytest.raises(ValueError, match="made with"):
        eval_command("warp", "static", out=out, mode="strided", resume=True)
    eval_command("warp", "static", out=out)
    assert runs[2:] == [4, 3]  # without resume everything runs again


def test_changed_input_is_run_again(example):
    done = evaluate({"static": static}, [example("warp/a")])
    again = evaluate({"static": static}, [example("warp/a", frames=3)], done=done)
    assert again[0]["frames"] == 3


def test_own_tracker_is_loaded_by_name(tmp_path, monkeypatch, two_videos, tiny_tracker):
    requested = []
    monkeypatch.setattr(
        "evaluation.points.methods.load_tracker",
        lambda name="default", **_: requested.append(name) or tiny_tracker,
    )
    monkeypatch.setattr(
        "evaluation.points.run_tracker.track_video",
        lambda tracker, video, queries, *_: static(video, queries),
    )
    weights = tmp_path / "mine.safetensors"
    weights.write_bytes(b"weights")
    eval_command("warp", "pointtrack", tracker=str(weights), out=tmp_path / "r.json")
    eval_command("warp", "pointtrack", mode="strided")
    assert requested == [str(weights), "default"]
    settings = json.loads((tmp_path / "r.json").read_text())["settings"]
    assert "mine.safetensors sha256:" in settings["pointtrack"]["tracker"]


@pytest.mark.parametrize(
    "options, message",
    [
        ({"subset": 0}, "at least 1"),
        ({"resume": True}, "--out"),
        ({"methods": "raft"}, "raft"),
        ({"datasets": "nothing", "methods": "static"}, "nothing"),
    ],
)
def test_mistakes_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        eval_command(**options)


def test_a_file_that_is_no_report_is_not_resumed(tmp_path):
    (tmp_path / "x.json").write_text("[]")
    with pytest.raises(ValueError, match="report"):
        eval_command(methods="static", out=tmp_path / "x.json", resume=True)


@pytest.mark.parametrize("arguments", [["--resume"], ["--resume", "--subset", "1"], ["--resume", "true"]])
def test_program_explains_mistakes_in_one_line(arguments, capsys):
    assert run_command(lambda: eval_command, ["--methods", "static", *arguments], "evaluation") == 2
    assert "error: resume: expected" in capsys.readouterr().err
