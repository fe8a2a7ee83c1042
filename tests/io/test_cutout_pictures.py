"""Folders of PNGs with alpha."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

import pointtrack as pt
from pointtrack.io.mask_writers import mask_writer
from pointtrack.types import Masks, Video

WH = 64, 48


def scene(objects: int) -> tuple[Video, Masks]:
    y, x = np.mgrid[: WH[1], : WH[0]]
    frames = np.stack([np.stack([60 + 2 * x, 200 - 2 * y, 90 + x + y + t], -1) for t in range(4)])
    pixels = np.zeros((2, objects, WH[1], WH[0]), bool)
    pixels[:, 0, 10:30, 12:40] = True
    pixels[1, 1:, 32:45, 44:60] = True
    return Video(frames.astype(np.uint8), 10), Masks(pixels, np.array([2, 5][:objects]), first_frame=1)


def read(path):
    return cv2.cvtColor(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), cv2.COLOR_BGRA2RGBA)


@pytest.mark.parametrize("objects", [1, 2])
def test_a_picture_for_every_frame_and_of_several_objects_for_each(tmp_path, objects):
    video, masks = scene(objects)
    folder = pt.save_masks(tmp_path / "new" / "cut", masks, format="cutout-png", video=video)
    each = ["object_2", "object_5"] if objects == 2 else []
    names = [f"{place}{t:05d}.png" for place in ("", *(f"{one}/" for one in each)) for t in (1, 2)]
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png")) == sorted(names)
    for t in (1, 2):
        row = masks.masks[t - 1].numpy()
        for name, inside in (("", row.any(0)), *zip((f"{one}/" for one in each), row, strict=bool(each))):
            rgba = read(folder / f"{name}{t:05d}.png")
            alpha = rgba[..., 3].astype(float) / 255
            core = cv2.erode(inside.astype(np.uint8), np.ones((3, 3))).astype(bool)
            beyond = ~cv2.dilate(inside.astype(np.uint8), np.ones((3, 3))).astype(bool)
            assert (alpha[core] > 0.95).all() and not alpha[beyond].any(), (t, name)
            off = abs(rgba[core][:, :3].astype(int) - video.frames[t][core])
            assert off.size == 0 or off.max() <= 6
            assert not rgba[beyond].any(), "nothing of the frame is left in transparent pixels"


def test_pieces_make_the_same_pictures_as_all_at_once(tmp_path):
    video, masks = scene(2)
    whole = pt.save_masks(tmp_path / "whole", masks, format="cutout-png", video=video)
    like = pt.open_video(video)
    with mask_writer("cutout-png", tmp_path / "a", like, [2, 5]) as append:
        for t in (1, 2):
            append(masks.clip(t - 1, t), [(video.frames[t], t / 10)])
    names = [path.relative_to(whole) for path in whole.rglob("*.png")]
    assert len(names) == 6
    for name in names:
        assert (tmp_path / "a_cutout" / name).read_bytes() == (whole / name).read_bytes()


def test_a_mask_can_be_prompted_with_one(tmp_path):
    from pointtrack.io.mask_pictures import read_mask

    video, masks = scene(1)
    folder = pt.save_masks(tmp_path / "cut", masks, format="cutout-png", video=video)
    differs = read_mask(folder / "00001.png") != masks.masks[0, 0].numpy()
    assert differs.sum() <= 4, "corners are rounded"


def test_what_does_not_fit_is_refused(tmp_path):
    video, masks = scene(1)
    with pytest.raises(ValueError, match="expected the video too"):
        pt.save_masks(tmp_path / "cut", masks, format="cutout-png")
    with pytest.raises(ValueError, match="expected 3 frames or more as the masks are for, got 2"):
        pt.save_masks(tmp_path / "cut", masks, format="cutout-png", video=video.clip(0, 2))
    small = Video(np.zeros((4, 20, 30, 3), np.uint8))
    with pytest.raises(ValueError, match="frames of 64 x 48 pixels as the masks are for, got 30 x 20"):
        pt.save_masks(tmp_path / "cut2", masks, format="cutout-png", video=small)
    assert not (tmp_path / "cut2").exists()
