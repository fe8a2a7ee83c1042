"""Smaller copies of what training reads: read like the originals, which stay as they are."""

import cv2
import numpy as np
import pytest
import torch

from pointtrack.cli.runner import run_command
from pointtrack.datasets.clip import Clip, TrueTracks
from pointtrack.datasets.format import read_clip, write_clip
from pointtrack.datasets.object_images import read_object_images
from pointtrack.io.pictures import read_picture
from pointtrack.types import Video
from train.data.pictures import picture_files
from train.data.segments import read_photos
from train.data.textures import photo_bank
from train.pack import pack

RANDOM = np.random.default_rng(0)


def noisy(h, w):
    """A picture that JPEG can make smaller."""
    coarse = RANDOM.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    smooth = cv2.resize(coarse, (w, h), interpolation=cv2.INTER_CUBIC).astype(int)
    return (smooth + RANDOM.integers(-9, 9, (h, w, 3))).clip(0, 255).astype(np.uint8)


@pytest.fixture
def originals(tmp_path):
    folder = tmp_path / "data"
    for name in ("textures/train", "masks/dogs", "photos/deep", "labels/a/frames"):
        (folder / name).mkdir(parents=True)
    cv2.imwrite(str(folder / "textures/train/one.jpg"), noisy(321, 481))
    maps = np.ones((3, 321, 481), np.uint16)
    maps[:, 100:200, 50:200] = 2
    np.savez(folder / "textures/train_segments.npz", one=maps)
    ids = np.zeros((300, 400), np.uint8)
    ids[100:200, 100:300] = 1
    cv2.imwrite(str(folder / "masks/dogs/dog.jpg"), noisy(300, 400))
    np.savez(folder / "masks/dogs/dog_masks.npz", ids=ids, classes=np.array(["dog"]))
    cv2.imwrite(str(folder / "photos/deep/large.jpg"), noisy(400, 200))
    cv2.imwrite(str(folder / "photos/small.jpg"), noisy(60, 80))
    cv2.imwrite(str(folder / "labels/a/frames/00000.jpg"), noisy(90, 120))
    (folder / "labels/a/clip.json").write_text("{}")
    return folder


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def words(originals, out, *more):
    folders = ["--textures", originals / "textures", "--objects", f"{originals / 'masks/dogs'}=0.2"]
    folders += ["--pictures", originals / "photos", "--labels", originals / "labels"]
    return [str(out), *map(str, folders), "--side", "200", "--quality", "70", *more]


@pytest.mark.parametrize("more", [(), ("--webp",)])
def test_copies_are_read_like_the_originals(more, originals, tmp_path, capsys):
    out, before = tmp_path / "pack", contents(originals)
    for _ in range(2):  # a second time replaces the first
        assert run_command(lambda: pack, words(originals, out, *more), "train.pack") == 0
    assert contents(originals) == before
    assert f"{out}   0." in capsys.readouterr().out and not list(out.rglob("*.part*"))

    bank, wanted = photo_bank(out / "textures"), photo_bank(originals / "textures")
    assert (bank.labels == wanted.labels).all() and bank.regions.tolist() == wanted.regions.tolist()
    assert (bank.pictures.float() - wanted.pictures.float()).abs().mean() < 8
    assert read_photos(out / "textures", ("train",))[0].maps.shape == (2, 321, 481)

    (dog,) = read_object_images(out / "objects" / "dogs")
    assert dog.picture.shape == (150, 200, 3) and dog.objects == (1,)
    assert np.argwhere(dog.ids).min(axis=0).tolist() == [50, 50] and dog.ids.sum() == 50 * 100

    shapes = [read_picture(path).shape for path in picture_files(out / "pictures" / "photos")]
    assert shapes == [(200, 100, 3), (60, 80, 3)]
    assert contents(out / "labels") == contents(originals / "labels")


def test_frames_of_labels_keep_their_size(originals, tmp_path):
    pack(tmp_path / "pack", labels=originals / "labels", label_quality=30, side=20)
    copied, wanted = contents(tmp_path / "pack" / "labels"), contents(originals / "labels")
    assert copied.keys() == wanted.keys() and copied["a/clip.json"] == wanted["a/clip.json"]
    assert len(copied["a/frames/00000.jpg"]) < len(wanted["a/frames/00000.jpg"])
    assert read_picture(tmp_path / "pack/labels/a/frames/00000.jpg").shape == (90, 120, 3)


def test_mistakes_are_said(originals, tmp_path):
    out = tmp_path / "pack"
    for message, options in {
        "got none of them": {},
        "expected sides above 0": {"pictures": str(originals / "photos"), "quality": 0},
        "found none at": {"pictures": str(originals / "nothing")},
        "different names": {"pictures": f"{originals / 'photos'},{originals / 'labels' / '..' / 'photos'}"},
        "expected <name>_masks.npz": {"objects": str(originals / "photos")},
        "expected train_segments.npz": {"textures": originals / "photos"},
    }.items():
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            pack(out, **options)


@pytest.mark.parametrize("where", ["photos", ".", "photos/new"])
def test_originals_are_never_replaced(where, originals):
    """OUT as an input, and outputs that are the inputs or lie in them."""
    (originals / "pictures").symlink_to(originals, target_is_directory=True)
    before = contents(originals)
    with pytest.raises(ValueError, match="expected an output"):
        pack(originals / where, pictures=str(originals / "photos"))
    assert contents(originals) == before


@pytest.mark.parametrize("webp", [False, True])
def test_clips_become_smaller_and_points_stay_on_their_pixels(tmp_path, monkeypatch, webp):
    """A white dot that moves is where the track says, in the copy too."""
    frames = np.full((3, 96, 128, 3), 40, np.uint8)
    xy = np.array([[[20.0, 30.0]], [[60.0, 40.0]], [[100.0, 70.0]]], np.float32)
    for frame, ((x, y),) in zip(frames, xy.astype(int), strict=True):
        frame[y - 3 : y + 4, x - 3 : x + 4] = 255
    tracks = TrueTracks(torch.from_numpy(xy), torch.ones(3, 1, dtype=torch.bool))
    write_clip(tmp_path / "sets" / "one", Clip("one", Video(frames, 12.0), tracks=tracks))
    encoded, imencode = [], cv2.imencode
    monkeypatch.setattr(
        cv2, "imencode", lambda suffix, *more: encoded.append(suffix) or imencode(suffix, *more)
    )
    for _ in range(2):  # a second time replaces the first
        pack(tmp_path / "pack", clips=str(tmp_path / "sets"), clip_side=64, quality=95, webp=webp)
    assert encoded == 6 * [".webp" if webp else ".jpg"], "each frame once in each run"
    copied = read_clip(tmp_path / "pack" / "clips" / "sets" / "one")
    assert copied.video.wh == (64, 48) and copied.labels is None
    for frame, place in zip(copied.video.frames, copied.tracks.xy[:, 0].numpy(), strict=True):
        bright = np.argwhere(frame[..., 0] > 150).mean(0)[::-1]
        np.testing.assert_allclose(place, bright, atol=0.6)
