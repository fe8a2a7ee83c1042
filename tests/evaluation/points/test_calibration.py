"""Scores of points against how often they hold, and their correction by other sets."""

import numpy as np
import pytest
import torch

from evaluation.points.calibration import (
    BINS,
    calibrated,
    calibration_table,
    counted_by_score,
    expected_error,
    fitted,
    middles,
)
from pointtrack.types import Queries, Tracks


def test_scores_are_counted_where_the_truth_is_known():
    xy = torch.zeros(2, 3, 2)
    visibility = torch.tensor([[1.0, 0.5, 0.5], [1.0, 1.0, 0.0]])
    queries = Queries(torch.zeros(3, dtype=torch.int64), torch.zeros(3, 2))
    tracks = Tracks(xy, visibility, visibility, queries, (64, 48))
    truth = torch.zeros(2, 3, 2, dtype=torch.float64)
    truth[1, 0, 0] = 9.0  # farther than 8 pixels
    counted = torch.tensor([[False, True, True], [True, True, False]])
    found = counted_by_score(tracks, truth, counted)
    assert found["answers"][BINS // 2] == 2 and found["answers"][-1] == 2 and sum(found["answers"]) == 4
    assert found["near_truth"][BINS // 2] == 2 and found["near_truth"][-1] == 1


def test_what_holds_as_often_as_it_says_is_not_changed():
    said = np.full(BINS, 100.0)
    assert expected_error(said, said * middles(), middles()) == pytest.approx(0)
    assert fitted(said, said * middles()) == pytest.approx((1, 0), abs=1e-4)


def test_too_sure_scores_are_corrected():
    said = np.full(BINS, 1000.0)
    truth = calibrated(middles(), (0.5, -1.0))
    held = said * truth
    assert expected_error(said, held, middles()) > 0.15
    parameters = fitted(said, held)
    assert parameters == pytest.approx((0.5, -1.0), abs=1e-3)
    assert expected_error(said, held, calibrated(middles(), parameters)) < 1e-3


def test_a_set_has_no_part_in_its_own_correction():
    said = [100] * BINS
    sure = [round(100 * x) for x in calibrated(middles(), (0.5, -1.0))]
    exact = [round(100 * x) for x in middles()]
    results = [
        {"set": "a", "answers": said, "near_truth": sure},
        {"set": "b", "answers": said, "near_truth": exact},
    ]
    lines = calibration_table(results).splitlines()
    a, b = ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:4])
    assert a[0] == "a" and a[3] == a[4]  # b asks for no correction
    assert [float(x) for x in a[5:]] == pytest.approx([1, 0], abs=0.02)
    assert float(b[5]) == pytest.approx(0.5, abs=0.02)
    assert lines[-1].split("|")[2].strip() == str(4 * 100)
