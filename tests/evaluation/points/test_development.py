"""The development sets, and the table that decides what ships."""

import json

import cv2
import numpy as np
import pytest
import torch

from evaluation.points.datasets import load_examples
from evaluation.points.development import development_table, figure, interval, measure
from evaluation.points.development_sets import boxes_dev_examples, labelled_example, points_dev_examples
from pointtrack.types import Tracks, Video


def grey(frames=6, wh=(256, 256)):
    return Video(np.full((frames, wh[1], wh[0], 3), 128, np.uint8))


def moving(frames=6, points=2, step=20.0):
    xy = torch.full((frames, points, 2), 40.0, dtype=torch.float64)
    xy[..., 0] += step * torch.arange(frames, dtype=torch.float64)[:, None]
    return xy


def staying(video, queries):
    xy = queries.xy.float().expand(len(video), -1, -1).clone()
    ones = torch.ones(xy.shape[:2])
    return Tracks(xy, ones, ones, queries, video.wh)


def results(step, name="set/video"):
    xy = moving(step=step)
    return measure(staying, [labelled_example(name, grey(), xy, torch.ones(xy.shape[:2], dtype=torch.bool))])


def test_a_point_that_stays_right_and_one_that_is_left_behind():
    (still,), (left,) = results(0.0), results(20.0)
    assert still["scored"] == [5, 5] and still["delta"] == [5, 5] and still["after"] == [0, 0]
    assert left["delta"] == [0, 0]
    assert left["after"] == [4, 4] and left["returned"] == [0, 0]


def test_coming_back_counts_only_after_a_failure():
    xy = moving(step=0.0, points=1)
    xy[2] += 50  # the point is away for a frame: it fails there, and is right on the three frames after it
    (result,) = measure(
        staying, [labelled_example("set/video", grey(), xy, torch.ones(6, 1, dtype=torch.bool))]
    )
    assert (result["after"], result["returned"]) == ([3], [3])
    assert result["within_16"] == [4]


def test_unlabelled_frames_do_not_count():
    xy, visible = moving(step=0.0, points=1), torch.ones(6, 1, dtype=torch.bool)
    xy[3], visible[3] = torch.nan, False
    (result,) = measure(staying, [labelled_example("set/video", grey(), xy, visible)])
    assert result["scored"] == [4]


def test_sets_weigh_the_same_and_low_rates_stand_apart():
    many = [*results(0.0, "bees/a"), *results(0.0, "bees/b"), *results(20.0, "house/a")]
    assert figure(many, "delta") == pytest.approx(0.5)
    with_low = [*many, *results(20.0, "dlc_openfield/a")]
    assert figure(with_low, "delta") == pytest.approx(0.5)
    table = development_table(with_low)
    assert "dlc_openfield (low frame rate)" in table and "mean δavg: 50.0" in table


def test_interval_of_a_rise_is_of_the_same_videos_and_points():
    before = [*results(20.0, "bees/a"), *results(20.0, "house/a")]
    after = [*results(0.0, "bees/a"), *results(0.0, "house/a")]
    assert interval(after, "delta", before) == (1.0, 1.0)
    assert "rise of it: +100.0, 95 % interval +100.0 to +100.0" in development_table(after, before)
    with pytest.raises(ValueError, match="before: expected the videos"):
        interval(after, "delta", results(20.0, "bees/a"))


def test_the_files_of_the_sets(tmp_path):
    for folder in ("points_dev/bees/one", "boxes_dev/otb_crossing"):
        (tmp_path / folder / "frames").mkdir(parents=True)
        for i in range(4):
            write_picture(tmp_path / folder / "frames" / f"{i:05d}.png")
    points = np.full((3, 2, 2), np.nan, np.float32)
    points[:, 0] = 5
    visible = np.isfinite(points).all(-1)
    np.savez(
        tmp_path / "points_dev/bees/one/points.npz",
        frames=np.array([0, 1, 3]), points=points, visible=visible, size=np.array([64, 48]),
    )  # fmt: skip
    boxes = np.tile(np.array([10, 20, 8, 16], np.float32), (4, 1))
    np.savez(tmp_path / "boxes_dev/otb_crossing/boxes.npz", boxes=boxes, size=np.array([64, 48]))
    (labelled,) = points_dev_examples(tmp_path / "points_dev")
    assert labelled.name == "bees/one" and labelled.evaluated[:, 0].tolist() == [False, True, False, True]
    assert len(labelled.queries) == 1  # the other point is never labelled
    (boxed,) = boxes_dev_examples(tmp_path / "boxes_dev")
    assert boxed.name == "otb/crossing"
    assert boxed.queries.xy.tolist() == [[13.5, 23.5], [13.5, 27.5], [13.5, 31.5]]


def write_picture(path):
    cv2.imwrite(str(path), np.full((48, 64, 3), 90, np.uint8))


def test_missing_sets_are_explained(tmp_path, monkeypatch):
    monkeypatch.setenv("POINTTRACK_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"expected folders with points\.npz under"):
        list(load_examples("points_dev"))


def test_the_sets_that_are_there(evaluation_data):
    found = {example.name: example for example in load_examples("points_dev")}
    assert len(found) == 8
    assert int(found["cmu_house/house"].evaluated.sum()) == 3300  # 30 corners on 110 frames after the first
    assert json.dumps(measure(staying, [found["dlc_openfield/m4s1"]]))
