"""A pillar passes before all points: when they are hidden, which count, and what the command says."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from evaluation.cli_hidden_points import hidden_points_command
from evaluation.pillar import Phases
from evaluation.points.example import Example
from evaluation.points.hiding import HiddenPoints, follow_hidden_points, hide_points, mean_hidden
from pointtrack.cli.runner import run_command
from pointtrack.types import Queries, Tracks, Video

T, W, H = 24, 200, 60
PICTURE = np.full((30, 40, 3), 255, np.uint8)


def made(name="made/two"):
    """Two points that move right; the second is not known on odd frames, a third one begins when they are hidden."""
    xy = torch.tensor([[20.0, 20], [50, 30], [30, 40]]) + torch.arange(T)[:, None, None] * torch.tensor(
        [2.0, 0]
    )
    visible = torch.ones(T, 3, dtype=torch.bool)
    visible[1::2, 1] = False
    visible[:9, 2] = False
    first = torch.tensor([0, 0, 9])
    later = torch.arange(T)[:, None] > first
    queries = Queries(first, xy[first, torch.arange(3)])
    return Example(name, Video(np.full((T, H, W, 3), 90, np.uint8)), queries, xy, visible, visible & later)


def answers(example, xy, shown):
    sure = torch.where(shown, 1.0, 0.0)
    return Tracks(xy, sure, sure, example.queries, example.video.wh)


def test_the_points_are_shown_hidden_and_shown_again():
    plain, hidden, phases = hide_points(made(), PICTURE)
    assert phases == Phases.of(T)
    assert len(hidden.queries) == 2, "who begins later is not asked for"
    white = (hidden.video.frames == 255).all(-1)
    for t in range(T):
        x, y = hidden.truth_xy[t].round().long().unbind(-1)
        covered = torch.from_numpy(white[t])[y, x].tolist()
        if t in phases.hidden:
            assert covered == [True, True]
        if t in phases.before or t in phases.after:
            assert covered == [False, False]
    assert not (plain.video.frames == 255).any()
    assert np.array_equal(plain.video.frames[:4], hidden.video.frames[:4])


def test_what_is_right_and_what_is_not():
    example = made()

    def right(video, queries):
        shown = torch.from_numpy(~(video.frames == 255).any((1, 2, 3)))[:, None].expand(-1, 2)
        return answers(replace_queries(example, queries), example.truth_xy[:, :2], shown)

    def still(video, queries):
        return answers(
            replace_queries(example, queries),
            queries.xy.expand(T, -1, -1),
            torch.ones(T, 2, dtype=torch.bool),
        )

    def replace_queries(one, queries):
        assert queries.frame.tolist() == [0, 0]
        return replace(
            one, queries=queries, truth_xy=one.truth_xy[:, :2], truth_visible=one.truth_visible[:, :2],
            evaluated=one.evaluated[:, :2],
        )  # fmt: skip

    assert follow_hidden_points(right, example, PICTURE) == HiddenPoints("made/two", 100, 100, 100)
    assert follow_hidden_points(still, example, PICTURE) == HiddenPoints("made/two", 0, 0, 0)
    unknown = replace(example, truth_visible=example.truth_visible & (torch.arange(T) < 12)[:, None])
    assert follow_hidden_points(right, unknown, PICTURE) is None


def test_the_mean_is_over_sets():
    found = [
        HiddenPoints("a/1", 100, 10, 0),
        HiddenPoints("a/2", 50, 20, 10),
        HiddenPoints("b/1", 25, 35, 45),
    ]
    assert mean_hidden(found) == HiddenPoints("mean over sets", 50, 25, 25)


def test_the_command(monkeypatch, tmp_path, capsys):
    gone = replace(made("made/gone"), truth_visible=made().truth_visible & (torch.arange(T) < 12)[:, None])
    monkeypatch.setattr("evaluation.cli_hidden_points.load_examples", lambda _: iter([made("made/a"), gone]))
    report = tmp_path / "report.json"
    arguments = ["--method", "static", "--datasets", "badja", "--out", str(report)]
    assert run_command(lambda: hidden_points_command, arguments, "hidden-points") == 0
    printed = capsys.readouterr()
    assert "mean over sets" in printed.out and "made/gone: no point is known" in printed.err
    assert [row["example"] for row in json.loads(report.read_text())["results"]] == ["made/a"]


@pytest.mark.parametrize("count", [1, 2])
def test_nothing_to_measure(monkeypatch, capsys, count):
    gone = replace(made("made/gone"), truth_visible=made().truth_visible & (torch.arange(T) < 12)[:, None])
    monkeypatch.setattr(
        "evaluation.cli_hidden_points.load_examples", lambda _: iter([replace(gone) for _ in range(count)])
    )
    arguments = ["--method", "static", "--datasets", "badja"]
    assert run_command(lambda: hidden_points_command, arguments, "hidden-points") == 2
    expected = "two videos or more, got 1" if count == 1 else "known at its end, got none"
    assert expected in capsys.readouterr().err
