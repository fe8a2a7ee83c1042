"""What the benchmark of local correlation counts. No test asserts a time."""

import json

import pytest
import torch

from benchmarks.correlation import CELLS_WH, Case, bench, ways

CPU = torch.device("cpu")


def test_operations_and_bytes_are_those_of_the_formulas():
    case = Case.random(2, 3, torch.bfloat16, CPU)
    positions, cells, patch = 2 * 3, 8 * 8, 7 * 7
    assert case.operations == 2 * positions * cells * patch * 128
    read = positions * cells * 128 + 3 * patch * 128
    assert case.bytes == 2 * (read + positions * patch * patch) + 4 * 2 * positions


def test_points_lie_on_the_map():
    xy = Case.random(4, 50, torch.float32, CPU).xy
    assert bool((xy >= 0).all()) and bool((xy <= torch.tensor(CELLS_WH) - 1).all())
    assert float(xy[..., 0].max()) > CELLS_WH[1]


def test_every_way_is_timed_and_compared(tmp_path, capsys):
    bench([2], frames=2, device="cpu", repeats=1, out=tmp_path / "x.json")
    (row,) = json.loads((tmp_path / "x.json").read_text())["rows"]
    assert row["way"] == "pytorch" and list(ways(CPU)) == ["pytorch"]
    assert row["largest_difference"] == 0 and row["with_backward"] > 0
    assert "| 2 | pytorch |" in capsys.readouterr().out


def test_no_points_are_told(tmp_path):
    with pytest.raises(ValueError, match="1 point"):
        bench([0], device="cpu", out=tmp_path / "x.json")
