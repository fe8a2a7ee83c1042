"""Banks of textures: outlined things and plain photographs beside the textures, all of one size."""

import cv2
import numpy as np
import pytest
import torch

from pointtrack.datasets.object_images import held_out
from train.data.synthetic import SceneConfig, SyntheticClips
from train.data.textures import TextureBank, object_bank, plain_bank, procedural_bank, texture_banks

LEARNT = [name for name in (f"picture{i:02d}" for i in range(40)) if not held_out(name)][:5]
HELD_OUT = next(name for name in (f"picture{i:02d}" for i in range(40)) if held_out(name))


def write_objects(folder, names, hw=(100, 150), classes=("dog", "grass")):
    """Pictures of one grey each with a box of a dog in the middle, and grass at the left."""
    folder.mkdir(parents=True)
    for i, name in enumerate(names):
        ids = np.zeros(hw, np.uint8)
        ids[:, : hw[1] // 5] = 2
        ids[hw[0] // 4 : 3 * hw[0] // 4, hw[1] // 3 : 2 * hw[1] // 3] = 1
        cv2.imwrite(str(folder / f"{name}.jpg"), np.full((*hw, 3), 20 * (i + 1), np.uint8))
        np.savez(folder / f"{name}_masks.npz", ids=ids, classes=np.array(classes))
    return folder


def write_pictures(folder, count, colour=(0, 0, 255)):
    """Red pictures (as BGR), landscapes and portraits of several sizes."""
    folder.mkdir(parents=True)
    for i in range(count):
        hw = ((90, 200), (700, 300), (320, 480))[i % 3]
        cv2.imwrite(str(folder / f"{i}.jpg"), np.full((*hw, 3), colour, np.uint8))
    return folder


def test_things_become_regions_and_stuff_and_held_out_pictures_do_not(tmp_path):
    bank = object_bank(write_objects(tmp_path / "masks", [*LEARNT, HELD_OUT]))
    assert bank.pictures.shape == (5, 3, 320, 480) and bank.labels.shape == (5, 320, 480)
    assert bank.regions.tolist() == [[i, 1, 160, 80, 320, 240] for i in range(5)]
    for i, region in enumerate(bank.regions):
        assert bank.pictures[bank.label_picture[region[0]]].float().mean().sub(20 * (i + 1)).abs() < 2


def test_portraits_are_turned_with_their_outlines(tmp_path):
    bank = object_bank(write_objects(tmp_path / "masks", LEARNT[:1], hw=(150, 100)))
    assert bank.regions.tolist() == [[0, 1, 118, 109, 358, 214]]


@pytest.mark.parametrize(
    ("weight", "outlines", "pictures"), [(0.4, 2, 2), (1.0, 5, 5), (1.6, 8, 5), (2, 10, 5)]
)
def test_a_weight_is_how_often_outlines_are_there(weight, outlines, pictures, tmp_path):
    bank = object_bank(write_objects(tmp_path / "masks", LEARNT), weight)
    assert (len(bank.regions), len(bank.pictures), len(bank.labels)) == (outlines, pictures, pictures)
    counts = bank.regions[:, 0].bincount(minlength=pictures)
    assert counts.min() >= 1 and counts.max() - counts.min() <= 1


def test_no_outline_left_is_said(tmp_path):
    folder = write_objects(tmp_path / "masks", LEARNT[:1])
    with pytest.raises(ValueError, match="expected usable outlines"):
        object_bank(folder, 0.1)
    with pytest.raises(ValueError, match="expected usable outlines"):
        object_bank(write_objects(tmp_path / "other", [HELD_OUT]))


def test_banks_of_everything_join(tmp_path):
    objects = write_objects(tmp_path / "masks", LEARNT)
    pictures = write_pictures(tmp_path / "photos", 3)
    before, others = texture_banks(None)
    bank, same = texture_banks(None, [(objects, 1.0)], [pictures])
    count = len(before.pictures)
    assert len(bank.pictures) == count + 8 and bank.plain.tolist() == [count + 5, count + 6, count + 7]
    assert torch.equal(bank.pictures[:count], before.pictures) and torch.equal(others.pictures, same.pictures)
    assert len(bank.regions) == len(before.regions) + 5 and len(before.plain) == 0
    assert (
        bank.pictures[bank.plain].float().mean(dim=(0, 2, 3)).sub(torch.tensor([254.0, 0, 0])).abs().max() < 3
    )
    assert torch.equal(bank.to("cpu").plain, bank.plain)
    with pytest.raises(FileNotFoundError):
        plain_bank(tmp_path / "nothing")


def test_plain_pictures_are_backgrounds_and_cards(tmp_path, monkeypatch):
    """Red pictures without outlines among grey ones: as they are where nothing is recoloured."""
    monkeypatch.setattr("train.data.synthetic.random_colour", lambda colours, generator: colours)
    monkeypatch.setattr(
        "train.data.synthetic.light", lambda t, layers, generator: torch.ones(len(t), layers, t.shape[1])
    )
    monkeypatch.setattr("train.data.synthetic.degrade", lambda frames, generator: frames)
    grey = object_bank(write_objects(tmp_path / "masks", LEARNT))
    red = plain_bank(write_pictures(tmp_path / "photos", 5))
    scene = SceneConfig(frames=1, sizes=((96, 64),), points=10, motion_blur=0.0)
    seen = {"background": [], "card": []}
    for index in range(20):
        batch = SyntheticClips(TextureBank.join([grey, red]), scene, 4, 0)[index]
        redness = batch.frames[:, 0, 0] - batch.frames[:, 0, 1]
        for one, objects in zip(redness, batch.objects[:, 0], strict=True):
            for number in objects.unique():
                kind = "card" if number else "background"
                seen[kind].append(float(one[objects == number].median() > 0.5))
    assert 0.35 < np.mean(seen["background"]) < 0.65
    assert 0.04 < np.mean(seen["card"]) < 0.2


def test_without_plain_pictures_nothing_more_is_drawn():
    """Clips are as they were before there were plain pictures: sums of a batch of then."""
    bank = procedural_bank(3, torch.Generator().manual_seed(0))
    scene = SceneConfig(frames=3, sizes=((96, 64),), points=20)
    batch = SyntheticClips(bank, scene, 2, 7)[0]
    assert int(batch.frames.long().sum()) == pytest.approx(12_836_432, rel=1e-4)
    assert float(batch.xy.double().sum()) == pytest.approx(9954.034, rel=1e-4)
