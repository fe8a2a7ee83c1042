"""Masks that people draw or export: what is meant by them."""

import cv2
import numpy as np
import pytest
from PIL import Image

from pointtrack.io.formats.davis import davis_palette
from pointtrack.io.mask_pictures import coverage, read_mask, read_objects

SHAPE = (60, 100)


def disk() -> np.ndarray:
    return cv2.circle(np.zeros(SHAPE, np.uint8), (50, 30), 20, 255, -1)


def with_alpha(colors: np.ndarray) -> Image.Image:
    return Image.fromarray(np.dstack([colors, disk()]))


def photo() -> np.ndarray:
    return np.random.default_rng(0).integers(1, 255, (*SHAPE, 3), np.uint8)


def palette() -> Image.Image:
    picture = Image.fromarray((disk() > 0).astype(np.uint8))
    picture.putpalette([0, 0, 0, 128, 0, 0] + [0] * 762)
    return picture


def white_palette() -> Image.Image:
    """Index 0 is white: the index says what it is, not the colour."""
    picture = Image.fromarray((disk() > 0).astype(np.uint8))
    picture.putpalette([255, 255, 255, 0, 0, 0] + [0] * 762)
    return picture


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("white.png", lambda: with_alpha(np.full((*SHAPE, 3), 255, np.uint8))),
        ("cutout.png", lambda: with_alpha(photo())),
        ("black.png", lambda: with_alpha(np.zeros((*SHAPE, 3), np.uint8))),
        ("cutout.webp", lambda: with_alpha(photo())),
        ("grey_alpha.png", lambda: Image.fromarray(np.dstack([disk() * 0 + 90, disk()]), "LA")),
        ("opaque.png", lambda: Image.fromarray(np.dstack([np.dstack([disk()] * 3), disk() * 0 + 255]))),
        ("davis.png", palette),
        ("white_palette.png", white_palette),
        ("onebit.png", lambda: Image.fromarray(disk() > 0)),
        ("grey.png", lambda: Image.fromarray(disk())),
        ("ids.png", lambda: Image.fromarray((disk() > 0).astype(np.uint8) * 2)),
        ("deep.png", lambda: Image.fromarray((disk() > 0).astype(np.uint16) * 300)),
        ("color.bmp", lambda: Image.fromarray(np.dstack([disk(), disk() * 0, disk() * 0]))),
    ],
)
def test_the_shape_is_found(tmp_path, name, make):
    make().save(tmp_path / name)
    np.testing.assert_array_equal(read_mask(tmp_path / name), disk() > 0)


def test_jpeg_is_near_and_rotation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned a quarter to the right
    Image.fromarray(disk()).save(tmp_path / "a.jpg", quality=60)
    mask = read_mask(tmp_path / "a.jpg")
    assert (mask & (disk() > 0)).sum() / (mask | (disk() > 0)).sum() > 0.97
    Image.fromarray(disk()[:, :60]).save(tmp_path / "b.png", exif=exif)
    np.testing.assert_array_equal(read_mask(tmp_path / "b.png"), np.rot90(disk()[:, :60] > 0, -1))


def test_what_is_no_picture_is_refused(tmp_path):
    (tmp_path / "a.png").write_text("no")
    with pytest.raises(ValueError, match=r"expected a picture, but .*a\.png cannot be decoded"):
        read_mask(tmp_path / "a.png")
    with pytest.raises(FileNotFoundError, match="found nothing at"):
        read_mask(tmp_path / "b.png")
    assert coverage(disk() > 0) == "covers 21 % of the image"


def indexed(path, values: list[int], palette: np.ndarray) -> None:
    picture = Image.fromarray(np.array([values], np.uint8))
    picture.putpalette(palette.tobytes())
    picture.save(path)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_photograph_is_refused_and_an_object_cut_out_of_one_is_not(tmp_path, mode):
    for kind in ("png", "jpg"):
        Image.fromarray(photo()).convert(mode).save(tmp_path / f"photo.{kind}")
        with pytest.raises(ValueError, match=f"photo.{kind} looks like a photograph; paint"):
            read_mask(tmp_path / f"photo.{kind}")
    Image.fromarray(photo() * (disk() > 0)[..., None]).convert(mode).save(tmp_path / "cut.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "cut.png"), disk() > 0)


def test_objects_are_told_by_the_colours_of_davis(tmp_path):
    indexed(tmp_path / "davis.png", [0, 3, 3, 7, 255], davis_palette())
    found = read_objects(tmp_path / "davis.png")
    assert {number: mask.tolist() for number, mask in found.items()} == {
        3: [[False, True, True, False, False]],
        7: [[False, False, False, True, False]],
    }
    grey = np.arange(256, dtype=np.uint8)[:, None].repeat(3, 1)  # a drawing with soft edges, say
    indexed(tmp_path / "grey.png", [0, 3, 3, 7, 255], grey)
    Image.new("RGB", (4, 3)).save(tmp_path / "plain.png")
    assert read_objects(tmp_path / "grey.png") == read_objects(tmp_path / "plain.png") == {}
