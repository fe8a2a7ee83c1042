"""TAP-Vid metrics, samplers and PCK-T: against stored official outputs, and by hand."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from evaluation.points.metrics import (
    evaluated_frames,
    pck_t,
    redetection_jaccard,
    sample_queries,
    tapvid_metrics,
    to_metric_pixels,
)

FIXTURE = Path(__file__).parents[4] / "shared/fixtures/dev/tapvid_metrics.npz"
CASES = ["c0_", "c1_", "c2_", "c3_", "c4_"]


@pytest.fixture(scope="module")
def golden():
    if not FIXTURE.is_file():
        pytest.skip(f"reference metrics are not here: {FIXTURE}")
    with np.load(FIXTURE) as data:
        return {name: data[name] for name in data.files}


def mode_of(golden, prefix):
    cases = json.loads(str(golden["meta"]))["cases"]
    return next(case["query_mode"] for case in cases if case["prefix"] == prefix)


def time_first(values):
    """(1, n, t, ...) as the reference stores them -> (t, n, ...)."""
    return torch.from_numpy(values[0]).transpose(0, 1)


@pytest.mark.parametrize("prefix", CASES)
@pytest.mark.parametrize("group", ["metric", "trackwise"])
def test_metrics_agree_with_the_reference(golden, prefix, group):
    case = {name[len(prefix) :]: golden[name] for name in golden if name.startswith(prefix)}
    truth_xy = time_first(case["gt_tracks"])
    query_frame = torch.from_numpy(case["query_points"][0, :, 0]).round().long()
    ours = tapvid_metrics(
        time_first(case["pred_tracks"]),
        ~time_first(case["pred_occluded"]),
        truth_xy,
        ~time_first(case["gt_occluded"]),
        evaluated_frames(query_frame, len(truth_xy), mode_of(golden, prefix)),
        per_track=group == "trackwise",
    )
    names = [name for name in case if name.startswith(f"{group}/")]
    assert {name.split("/")[1] for name in names} == set(ours)
    for name in names:
        np.testing.assert_allclose(ours[name.split("/")[1]], case[name][0], atol=1e-6, rtol=0, err_msg=name)


@pytest.mark.parametrize("prefix", CASES)
def test_samplers_agree_with_the_reference(golden, prefix):
    case = {name[len(prefix) :]: golden[name] for name in golden if name.startswith(prefix)}
    frame, point = sample_queries(time_first(~case["raw_occluded"][None]), mode_of(golden, prefix))
    xy = torch.from_numpy(case["raw_tracks"])[point, frame]
    tyx = torch.stack([frame.float(), xy[:, 1], xy[:, 0]], dim=1)
    assert torch.equal(tyx, torch.from_numpy(case["query_points"][0]))
    assert np.array_equal(case["raw_tracks"][point], case["gt_tracks"][0])
    if "trackgroup" in case:
        assert point.tolist() == case["trackgroup"][0].tolist()


def test_metrics_by_hand():
    truth_xy = torch.zeros(5, 1, 2)
    xy = torch.tensor([50.0, 0.5, 1.0, 3.0, 0.0])[:, None, None] * torch.tensor([1.0, 0.0])
    truth_visible = torch.tensor([True, True, True, True, False])[:, None]
    visible = torch.tensor([True, True, True, False, True])[:, None]
    ours = tapvid_metrics(
        xy, visible, truth_xy, truth_visible, evaluated_frames(torch.tensor([0]), 5, "first")
    )
    assert float(ours["occlusion_accuracy"]) == 2 / 4
    assert float(ours["pts_within_1"]) == pytest.approx(1 / 3)  # exactly 1 px away is not within 1 px
    assert float(ours["pts_within_2"]) == pytest.approx(2 / 3)
    assert float(ours["pts_within_4"]) == 1
    # 3 visible; at 1 px one hit and two false alarms, at 2 px two hits and one false alarm.
    assert float(ours["jaccard_1"]) == pytest.approx(1 / 5)
    assert float(ours["jaccard_2"]) == pytest.approx(2 / 4)
    assert float(ours["average_jaccard"]) == pytest.approx((1 / 5 + 4 * 2 / 4) / 5)


def test_a_lost_prediction_is_a_miss_and_nothing_to_count_is_nan():
    truth_xy, seen = torch.zeros(2, 1, 2), torch.ones(2, 1, dtype=torch.bool)
    xy = torch.full((2, 1, 2), float("nan"))
    counted = evaluated_frames(torch.tensor([0]), 2, "first")
    assert float(tapvid_metrics(xy, ~seen, truth_xy, seen, counted)["average_pts_within_thresh"]) == 0
    nothing = tapvid_metrics(xy, ~seen, truth_xy, ~seen, counted)
    assert torch.isnan(nothing["average_pts_within_thresh"])
    assert float(nothing["occlusion_accuracy"]) == 1


def test_samplers_by_hand():
    visible = torch.zeros(11, 3, dtype=torch.bool)
    visible[3:, 0] = True
    visible[[0, 10], 1] = True
    frame, point = sample_queries(visible, "first")
    assert (frame.tolist(), point.tolist()) == ([3, 0], [0, 1])
    frame, point = sample_queries(visible, "strided")
    assert (frame.tolist(), point.tolist()) == ([0, 5, 10, 10], [1, 0, 0, 1])
    assert evaluated_frames(torch.tensor([1]), 3, "strided").flatten().tolist() == [True, False, True]


def test_metric_pixels_scale_each_axis_by_itself():
    moved = to_metric_pixels(torch.tensor([[10.0, 10.0], [12.0, 14.0]]), (512, 128))
    assert (moved[1] - moved[0]).tolist() == [1.0, 8.0]


def test_pck_t_by_hand():
    truth_xy = torch.zeros(3, 2, 2)
    xy = truth_xy.clone()
    xy[1, 0, 0], xy[1, 1, 0], xy[2, 0, 0] = 1.9, 2.0, 3.9
    evaluated = torch.tensor([[False, False], [True, True], [True, False]])
    area = torch.tensor([float("nan"), 100.0, 400.0])  # radii 2 and 4 px
    assert pck_t(xy, truth_xy, evaluated, area) == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="frame 0"):
        pck_t(xy, truth_xy, ~evaluated, area)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: sample_queries(torch.ones(3, 2, dtype=torch.bool), "last"), "'first' or 'strided'"),
        (lambda: sample_queries(torch.ones(3, 2, dtype=torch.bool), "strided", stride=0), "at least 1"),
        (lambda: evaluated_frames(torch.tensor([0]), 3, "all"), "'first' or 'strided'"),
        (lambda: tapvid_metrics(*[torch.zeros(3, 2, 2)] * 5), "visible"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_what_comes_back_is_scored_from_there_on():
    """One point, away for 1, then 1 (no longer than before), then 5 frames; the prediction is right until the last return."""
    truth_visible = torch.tensor([1, 0, 1, 0, 1, 0, 0, 0, 0, 0, 1, 1]).bool()[:, None]
    truth = torch.zeros(12, 1, 2)
    xy = truth.clone()
    xy[10:, :, 0] = 4.0  # within 4 px by <=
    found = redetection_jaccard(xy, truth_visible, truth, truth_visible)
    late = (0 + 0 + 3) / 5  # of 1, 2, 4, 8 and 16 px
    # From frame 2 on: right on two frames, then wrong on two: two hits of four seen and two false alarms.
    early = (2 * (2 / 6) + 3 * 1) / 5
    assert found["rd_jaccard_1"] == pytest.approx((early + late) / 2)
    assert found["rd_jaccard_4"] == pytest.approx(late)
    assert np.isnan(found["rd_jaccard_16"])
    assert found["average_rd_jaccard"] == pytest.approx(((early + late) / 2 + late) / 2)


def test_a_tracker_that_never_says_visible_again_has_nothing():
    truth_visible = torch.tensor([1, 1, 0, 1, 1]).bool()[:, None]
    truth = torch.zeros(5, 1, 2)
    said = torch.tensor([1, 1, 0, 0, 0]).bool()[:, None]
    assert redetection_jaccard(truth, said, truth, truth_visible)["average_rd_jaccard"] == 0
    assert redetection_jaccard(truth, truth_visible, truth, truth_visible)["average_rd_jaccard"] == 1
    always = torch.ones(5, 1, dtype=torch.bool)
    assert np.isnan(redetection_jaccard(truth, always, truth, always)["average_rd_jaccard"])
