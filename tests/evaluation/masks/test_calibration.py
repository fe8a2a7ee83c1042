"""What masks say of themselves: weights are fitted on other videos than those they judge; pictures are asked about as people do."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from evaluation import cli_calibrate
from evaluation.masks.calibration import (
    Followed,
    figures,
    fit,
    follow,
    largest,
    left_out,
    qualities_by,
    sign_names,
)
from evaluation.masks.datasets import MaskExample
from evaluation.masks.images import ask_about, mean_rows, picture_examples
from pointtrack.datasets.object_images import held_out
from pointtrack.objects.answer import ObjectOptions
from pointtrack.objects.memory import Recollection
from pointtrack.objects.object_state import ObjectState
from pointtrack.objects.point_engine import PointEngine
from pointtrack.objects.quality import (
    OFFSET,
    WEIGHTS,
    Signs,
    agreement_of_memory,
    change_of_size,
    known_again,
    quality,
)
from pointtrack.types import Video
from pointtrack.types.masks import Masks
from tests.support.exact import TRACKER, use_exact_tracks
from tests.support.scenes import ColourSegmenter, squares


def rows_of(name, count, seed, sign=1.0):
    """Frames whose true overlap follows from what the segmenter predicts."""
    rng = np.random.default_rng(seed)
    rows = []
    for frame in range(count):
        predicted = float(rng.random())
        j = 1 / (1 + np.exp(-sign * (6 * predicted - 3)))
        rows.append(Followed(name, "mask", frame, float(j), float(j), 0.5, Signs(predicted=predicted).row()))
    return rows


def test_weights_are_found_and_say_the_overlap():
    rows = rows_of("a", 200, 0) + rows_of("b", 200, 1)
    said = qualities_by(rows, *fit(rows, pull=1e-4))
    told = figures(rows, said)
    assert told["error"] < 4 and told["precision"] > 85 and told["recall"] > 85
    assert qualities_by([rows[0]], 0.0, [0.0] * len(sign_names())) == 0.5


def test_a_video_is_judged_by_weights_of_the_others():
    """In the last video everything is the other way round; weights that knew it would not be so wrong there."""
    rows = rows_of("a", 100, 0) + rows_of("b", 100, 1) + rows_of("c", 100, 2, sign=-1.0)
    mine = np.arange(200, 300)
    wrong = figures([rows[i] for i in mine], left_out(rows)[mine])["error"]
    assert wrong > 40
    absent = Followed("a", "mask", 0, 0.0, 0.0, 0.9, None)
    assert left_out([absent, *rows])[0] == 0.9


def test_the_largest_objects_that_are_there_early_are_chosen():
    masks = torch.zeros(9, 4, 40, 50, dtype=torch.bool)
    masks[:, 0, 5:15, 5:15] = True
    masks[2:, 1, 20:38, 5:45] = True
    masks[3:, 2, :18, 20:] = True  # too late
    masks[:, 3, 0, :3] = True  # tiny
    truth = Masks(masks, torch.tensor([4, 7, 8, 9]), torch.ones(9, 4))
    video = Video(np.zeros((9, 40, 50, 3), np.uint8))
    example = MaskExample(
        "one/two", video, truth, torch.tensor([0, 2, 3, 0]), torch.ones(9, dtype=torch.bool)
    )
    assert largest(example, 3) == [7, 4] and largest(example, 1) == [7]


def test_a_stronger_pull_says_less_of_the_signs():
    rows = rows_of("a", 200, 0) + rows_of("b", 200, 1)
    weights = [fit(rows, pull)[1][sign_names().index("predicted")] for pull in (1e-4, 1e-2, 1)]
    assert weights[0] > 2 * weights[1] > 4 * weights[2] > 0


def test_quality_is_a_probability_and_goes_with_its_signs():
    assert len(WEIGHTS) == len(sign_names()) and np.isfinite(OFFSET)
    best, worst = quality(Signs()), quality(Signs(0, 0, 0, 0, 2, 0, 1, 0, 0, 1))
    assert 0 < worst < 0.5 < best < 1
    assert quality(Signs(first=0.3)) < best and quality(Signs(), -1.0, [0.0] * len(WEIGHTS)) < 0.5


def test_signs_of_size_and_memory():
    mask = torch.zeros(8, 8, dtype=torch.bool)
    mask[:4] = True
    assert change_of_size(mask, [32, 32]) == 0 and change_of_size(mask, []) == 0
    assert change_of_size(mask, [16, 16]) == pytest.approx(np.log(2)) == change_of_size(mask, [64])
    assert change_of_size(mask, [1]) == 2
    cells = mask.float()
    assert agreement_of_memory(None, cells) == (1, 0)
    assert agreement_of_memory(cells, cells) == (1, 0)
    assert agreement_of_memory(torch.full((8, 8), 0.5), cells) == (0.5, 0.5)
    assert agreement_of_memory(torch.ones(8, 8), cells)[1] == 1


def test_a_mask_is_known_again_both_ways():
    """The given object covered two of four cells; here it is where the third and fourth are."""
    told = Recollection(
        share=torch.zeros(1, 1, 4),
        similarity=torch.ones(1, 4),
        certain=torch.tensor([[[0.0, 0.0, 1.0, 1.0]]]),
        to_given=torch.eye(4)[[2, 3, 0, 1]],
        given=torch.tensor([[1.0], [1.0], [0.0], [0.0]]),
    )
    assert known_again(told, torch.tensor([[0.0, 0.0, 1.0, 1.0]])) == pytest.approx(1)
    assert known_again(told, torch.tensor([[1.0, 1.0, 0.0, 0.0]])) == pytest.approx(0)
    # Half of the mask is like the object, all of which is in it; then the other way round.
    assert known_again(told, torch.ones(1, 4)) == pytest.approx(2 / 3)
    assert known_again(told, torch.tensor([[0.0, 0.0, 0.0, 1.0]])) == pytest.approx(2 / 3)
    assert known_again(replace(told, certain=None), torch.ones(1, 4)) == 1  # nobody said what it looks like


def test_what_is_known_again_is_held_against_the_first_frames():
    state = ObjectState()
    assert state.faded(0.5, note=False) == 0 and not state.known
    assert [state.faded(known, note=True) for known in (0.8, 0.6, 0.7)] == pytest.approx([0, 0.1, 0])
    assert state.faded(0.2, note=True) == pytest.approx(0.5) and len(state.known) == 3


@pytest.mark.parametrize("prompt", ["mask", "1", "mask-back", "2-back"])
def test_objects_are_followed_and_measured(monkeypatch, prompt):
    scene = squares([[(2 + 3 * t, 4 + t) for t in range(8)]])
    use_exact_tracks(monkeypatch, scene)
    segmenter = ColourSegmenter()
    segmenter.answers = (1,)
    truth = Masks(scene.truth, torch.tensor([1]), torch.ones(8, 1))
    example = MaskExample(
        "squares/one", scene.video, truth, torch.tensor([0]), torch.ones(8, dtype=torch.bool)
    )
    rows = list(follow(PointEngine(TRACKER, segmenter), example, prompt))
    assert [row.frame for row in rows] == list(range(1, 8)) and all(row.j == row.f == 1 for row in rows)
    assert all(row.signs is not None and 0.5 < row.stated < 1 for row in rows)
    with pytest.raises(ValueError, match="expected mask, a number of clicks"):
        list(follow(PointEngine(TRACKER, segmenter), example, "box"))


def test_the_command_follows_with_a_weak_memory_too(monkeypatch, tmp_path, capsys):
    scene = squares([[(2 + 3 * t, 4 + t) for t in range(8)]])
    use_exact_tracks(monkeypatch, scene)
    segmenter, priors = ColourSegmenter(), []
    segmenter.answers = (1,)
    truth = Masks(scene.truth, torch.tensor([1]), torch.ones(8, 1))
    examples = [
        MaskExample(f"squares/{name}", scene.video, truth, torch.tensor([0]), torch.ones(8, dtype=torch.bool))
        for name in ("one", "two")
    ]

    def engine(tracker, segmenter, options):
        priors.append((options or ObjectOptions()).prior)
        return PointEngine(tracker, segmenter, options)

    monkeypatch.setattr(cli_calibrate, "load_mask_examples", lambda dataset: iter(examples))
    monkeypatch.setattr(cli_calibrate, "load_tracker", lambda *_, **__: TRACKER)
    monkeypatch.setattr(cli_calibrate, "load_segmenter", lambda *_, **__: segmenter)
    monkeypatch.setattr(cli_calibrate, "PointEngine", engine)
    strong, weak = tmp_path / "strong.json", tmp_path / "weak.json"
    cli_calibrate.calibrate_command(prompts="mask,1-back", out=strong)
    cli_calibrate.calibrate_command(prompts="mask", out=weak, weak=True)
    cli_calibrate.calibrate_command(given=f"{strong},{weak}", fit_only=True)
    assert priors[0] == 1 and 0 < priors[1] < 0.1
    printed = capsys.readouterr().out.splitlines()[-20:]
    ways = {line.split("|")[1].strip() for line in printed if line.startswith("| ")}
    assert {"mask", "1-back", "mask-weak", "all"} <= ways and "all, learnt elsewhere" not in "".join(printed)
    cli_calibrate.calibrate_command(given=str(strong), learnt_from=str(weak), fit_only=True, pull=0.1)
    printed = capsys.readouterr().out
    assert printed.count("all, learnt elsewhere") == 3 and "fitted on all that it learnt from" in printed
    with pytest.raises(ValueError, match="output|input|replace"):
        cli_calibrate.calibrate_command(given=str(strong), learnt_from=str(weak), fit_only=True, out=weak)


def test_held_out_pictures_are_asked_about(tmp_path):
    folder = tmp_path / "masks" / "horses"
    folder.mkdir(parents=True)
    held = [name for name in (f"horse{i}" for i in range(40)) if held_out(name)]
    names = [*held[:2], "horse0"]
    for name in names:
        ids = np.zeros((60, 80), np.uint8)
        ids[20:40, 30:60] = 1
        np.savez(folder / f"{name}_masks.npz", ids=ids, classes=np.array(["horse"]))
        cv2.imwrite(str(folder / f"{name}.jpg"), np.where(ids[..., None] == 1, 220, 40).repeat(3, axis=2))
    examples = list(picture_examples(Path(tmp_path), "horses"))
    assert [one.name for one in examples] == sorted({name for name in names if held_out(name)})
    segmenter = ColourSegmenter()
    results = [result for example in examples for result in ask_about(segmenter, example)]
    assert len(results) == len(examples) and all(one.oracle1 > 0.99 for one in results)
    row = mean_rows(results)["horses"]
    assert row["objects"] == len(results) and row["oracle1"] > 99 and 0 <= row["error1"] <= 100
    with pytest.raises(ValueError, match="expected bsds, msrc"):
        picture_examples(tmp_path, "cats")
