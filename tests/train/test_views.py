"""Single pictures seen several times: objects move as their pixels do, colours stay, batches can be made again."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from pointtrack.datasets.object_images import held_out
from train.data.synthetic import SceneConfig
from train.data.views import PictureViews

NAMES = [name for name in (f"picture{i:02d}" for i in range(40)) if not held_out(name)][:3]
SCENE = SceneConfig(frames=5, sizes=((128, 96),))


@pytest.fixture
def folder(tmp_path) -> Path:
    """Grey pictures with a bright box of a dog and a dark one of a cat, and a sky, which is no thing."""
    for name in NAMES:
        ids = np.zeros((120, 160), np.uint8)
        ids[:20], ids[50:90, 30:70], ids[50:80, 100:130] = 3, 1, 2
        picture = np.array([110, 220, 20, 110], np.uint8)[ids]
        cv2.imwrite(str(tmp_path / f"{name}.jpg"), picture[..., None].repeat(3, axis=2))
        np.savez(tmp_path / f"{name}_masks.npz", ids=ids, classes=np.array(["dog", "cat", "sky"]))
    return tmp_path


def test_masks_lie_on_the_objects_and_views_differ(folder):
    views = PictureViews([(folder, 1.0)], SCENE, 2, seed=0)
    seen = 0
    for i in range(6):
        batch = views[i]
        assert batch.frames.shape == (2, 5, 3, 96, 128) and batch.frames.dtype == torch.uint8
        assert batch.objects.shape == (2, 5, 96, 128) and batch.xy.shape == (2, 5, 0, 2)
        assert not torch.equal(batch.objects[0, 0], batch.objects[0, 1])
        grey = batch.frames.float().mean(2)
        for clip, numbers in zip(grey, batch.objects, strict=True):
            for frame, number in zip(clip, numbers, strict=True):
                if (number == 1).sum() > 200 and (number == 2).sum() > 200:
                    seen += 1
                    assert (
                        frame[number == 1].median()
                        > frame[number == 0].median()
                        > frame[number == 2].median()
                    )
    assert seen > 5


def test_colours_are_the_same_in_all_views(folder):
    views = PictureViews([(folder, 1.0)], SCENE, 1, seed=1)
    for i in range(6):
        batch = views[i]
        on = batch.objects[0] == 1
        hues = [
            frame[:, mask].float().mean(1)
            for frame, mask in zip(batch.frames[0], on, strict=True)
            if mask.sum() > 200
        ]
        shares = torch.stack([hue / hue.sum() for hue in hues])
        assert (shares - shares[0]).abs().max() < 0.04


def test_a_batch_can_be_made_again(folder):
    first, again = (PictureViews([(folder, 1.0)], SCENE, 1, seed=3)[4] for _ in range(2))
    other = PictureViews([(folder, 1.0)], SCENE, 1, seed=3)[5]
    assert torch.equal(first.frames, again.frames) and torch.equal(first.objects, again.objects)
    assert not torch.equal(first.frames, other.frames)


def test_pictures_held_out_are_never_seen(folder):
    name = next(name for name in (f"picture{i:02d}" for i in range(40)) if held_out(name))
    for suffix in (".jpg", "_masks.npz"):
        (folder / f"{NAMES[0]}{suffix}").rename(folder / f"{name}{suffix}")
    (group,) = PictureViews([(folder, 1.0)], SCENE, 1, seed=0).groups
    assert [image.name for image in group] == NAMES[1:]
