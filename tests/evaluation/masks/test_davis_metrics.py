"""J and F: stored values of the DAVIS benchmark, hand-made cases, statistics, which frames count."""

import json
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from evaluation.masks.davis_metrics import (
    boundary,
    boundary_accuracy,
    counted_frames,
    mean_summary,
    region_similarity,
    score_masks,
    statistics,
)
from pointtrack.types.masks import Masks

FIXTURE = Path(__file__).parents[4] / "shared" / "fixtures" / "dev" / "davis_jf.npz"


def square(t=1, hw=(40, 60), at=(10, 10), side=12):
    masks = np.zeros((t, *hw), bool)
    masks[:, at[0] : at[0] + side, at[1] : at[1] + side] = True
    return masks


@pytest.mark.skipif(not FIXTURE.is_file(), reason=f"no stored values at {FIXTURE}")
def test_agrees_with_the_davis_benchmark():
    with np.load(FIXTURE) as data:
        cases = json.loads(str(data["meta"]))["cases"]
        assert {case["kind"] for case in cases} == {"rand", "void", "edge"}
        for case in cases:

            def stored(name, prefix=case["prefix"], width=case["W"]):
                return np.unpackbits(data[prefix + name], axis=-1, count=width).astype(bool)

            void = stored("void") if case["kind"] == "void" else None
            pair = stored("segmentation"), stored("annotation"), void
            prefix = case["prefix"]
            np.testing.assert_allclose(region_similarity(*pair), data[prefix + "J"], rtol=0, atol=1e-9)
            np.testing.assert_allclose(boundary_accuracy(*pair), data[prefix + "F"], rtol=0, atol=1e-9)
            if void is not None:  # it matters
                assert np.abs(boundary_accuracy(*pair[:2]) - data[prefix + "F"]).max() > 1e-3


def test_empty_and_full_masks():
    none, some, full = np.zeros((1, 40, 60), bool), square(), np.ones((1, 40, 60), bool)
    for masks, truth, j, f in [
        (none, none, 1, 1),
        (none, some, 0, 0),
        (some, none, 0, 0),
        (some, some, 1, 1),
        (full, full, 1, 1),  # neither has a boundary: the border of the image is none
        (full, none, 0, 1),
        (full, some, 144 / 2400, 0),
    ]:
        assert region_similarity(masks, truth) == pytest.approx(j)
        assert boundary_accuracy(masks, truth) == pytest.approx(f)


def test_boundary_lies_on_the_upper_left_side():
    mask = np.zeros((4, 5), bool)
    mask[2:, 2:4] = True
    assert boundary(mask).astype(int).tolist() == [
        [0, 0, 0, 0, 0],
        [0, 1, 1, 1, 0],
        [0, 1, 0, 1, 0],
        [0, 1, 0, 1, 0],
    ]


@pytest.mark.parametrize("shift, expected", [(0, 1), (3, 1), (4, 0)])
def test_tolerance_is_a_disk(shift, expected):
    # Half planes in an image of diagonal 500: the tolerance is ceil(0.006 * 500) = 3 pixels, or more.
    truth, masks = np.zeros((1, 300, 400), bool), np.zeros((1, 300, 400), bool)
    truth[:, :, :200] = True
    masks[:, :, : 200 + shift] = True
    assert boundary_accuracy(masks, truth, bound_th=0.006)[0] == expected
    assert boundary_accuracy(masks, truth, bound_th=4)[0] == 1


def test_statistics():
    values = np.array([1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2])
    found = statistics(values)
    # Quarters of 9 frames: 1..3, 3..5, 5..7, 7..9.
    assert found.mean == pytest.approx(0.6)
    assert found.recall == pytest.approx(5 / 9)  # 0.5 is not above 0.5
    assert found.decay == pytest.approx(0.9 - 0.3)
    long = np.linspace(1, 0, 1001)
    assert statistics(long).decay == pytest.approx(0.75)
    assert np.isnan(statistics(np.zeros(0)).mean)
    assert statistics(np.ones(1)).decay == 0


def test_frames_that_count():
    annotated = torch.tensor([1, 1, 0, 1, 1, 1, 0], dtype=torch.bool)
    counted = counted_frames(annotated, torch.tensor([0, 3]))
    assert counted.T.int().tolist() == [[0, 1, 0, 1, 1, 0, 0], [0, 0, 0, 0, 1, 0, 0]]
    assert not counted_frames(torch.zeros(3, dtype=torch.bool), torch.tensor([0])).any()


def test_objects_are_matched_by_id():
    first, second = square(6), square(6, at=(5, 35))
    truth = Masks(np.stack([first, second], axis=1), object_ids=[1, 2])
    swapped = Masks(np.stack([second, first], axis=1), object_ids=[2, 1])
    counted = counted_frames(torch.ones(6, dtype=torch.bool), torch.zeros(2, dtype=torch.long))
    scores = score_masks(swapped, truth, counted)
    assert [score.object_id for score in scores] == [1, 2]
    assert scores[0].frames.tolist() == [1, 2, 3, 4]
    assert [score.summary()["jf_mean"] for score in scores] == [1, 1]
    scores = score_masks(swapped.select([0]), truth, counted)  # object 1 is missing
    assert [score.summary()["j_mean"] for score in scores] == [0, 1]
    assert mean_summary([score.summary() for score in scores])["jf_mean"] == 0.5


def test_void_pixels_do_not_count_in_scores():
    truth = Masks(square(4)[:, None])
    masks = Masks((square(4) | square(4, at=(28, 40)))[:, None])
    counted = counted_frames(torch.ones(4, dtype=torch.bool), torch.zeros(1, dtype=torch.long))
    assert score_masks(masks, truth, counted)[0].summary()["j_mean"] == 0.5
    (score,) = score_masks(masks, truth, counted, square(4, at=(28, 40)))
    assert score.summary()["j_mean"] == score.summary()["f_mean"] == 1


def test_unknown_values_are_left_out_of_means():
    rows = [{"j_mean": 0.5, "f_mean": None}, {"j_mean": float("nan"), "f_mean": None}]
    assert mean_summary(rows) == {"j_mean": 0.5, "f_mean": None}


@pytest.mark.parametrize(
    "masks, truth, void, message",
    [
        (square(2), square(1), None, "masks: expected shape"),
        (square().astype(np.uint8), square(), None, "masks: expected bool, got uint8"),
        (square()[0], square()[0], None, "truth: expected shape"),
        (square(), square(), square(2), "void: expected shape"),
    ],
)
def test_mistakes_are_named(masks, truth, void, message):
    for metric in (region_similarity, boundary_accuracy):
        with pytest.raises(ValueError, match=message):
            metric(masks, truth, void)
    with pytest.raises(ValueError, match="bound_th"):
        boundary_accuracy(square(), square(), bound_th=0)


def test_answer_of_another_size_is_refused():
    truth = Masks(square(3)[:, None])
    with pytest.raises(ValueError, match="masks: expected shape"):
        score_masks(Masks(square(2)[:, None]), truth, torch.ones(3, 1, dtype=torch.bool))


def test_a_frame_of_480p_is_fast():
    hw = (480, 854)
    masks, truth = square(4, hw, (100, 200), 250), square(4, hw, (110, 190), 250)
    seconds = []
    for _ in range(3):
        start = time.process_time()
        region_similarity(masks, truth), boundary_accuracy(masks, truth)
        seconds.append((time.process_time() - start) / 4)
    assert min(seconds) < 0.05
