"""Masks in picture files, as drawing tools export them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pointtrack.io.formats.davis import VOID, davis_palette
from pointtrack.io.pictures import indices
from pointtrack.io.storage import reads_anywhere

LOSSY = ("JPEG", "MPO")  # formats whose black is not quite black
HALF = 127
# A picture without black that has more colours than this, some shades each, is a photograph: a mask has a background.
MOST_COLOURS, LEAST_BLACK, BLACK = 64, 0.05, 8


@reads_anywhere
def read_mask(path: str | Path) -> np.ndarray:
    """Read a picture as a (h, w) bool mask.

    | picture | in the mask is |
    |---|---|
    | with an alpha channel that is not opaque everywhere: a shape, a cut-out | what is more opaque than not |
    | with a palette, as DAVIS has them | every index but 0 |
    | of one bit, grey, 16 bit or in colours | what is not black |
    | JPEG, which smears black | what is brighter than half |

    A rotation stored by the camera (EXIF) is applied.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a picture, or a photograph.
    """
    picture, kind = _opened(path)
    if picture.mode == "P" and "transparency" not in picture.info:
        return np.asarray(picture) != 0
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        alpha = np.asarray(picture.convert("RGBA"))[..., 3]
        if alpha.min() < 255:
            return alpha > HALF
        picture = picture if picture.mode == "P" else picture.convert("RGB")
        if picture.mode == "P":
            return np.asarray(picture) != 0
    pixels = np.asarray(picture)
    if _is_photograph(pixels):
        raise ValueError(
            f"mask: expected a picture that is black where the object is not, but {path} looks like a photograph; "
            "paint the object on black, or click on it"
        )
    floor = HALF if kind in LOSSY else 0
    return np.asarray(pixels.max(axis=-1) > floor if pixels.ndim == 3 else pixels > floor)


@reads_anywhere
def read_objects(path: str | Path) -> dict[int, np.ndarray]:
    """The masks of the objects in a picture whose colours are those of DAVIS and PASCAL VOC: index -> (h, w) bool.

    Empty for any other picture. 255 marks pixels that belong to nothing. Raises as `read_mask`.
    """
    picture, _ = _opened(path)
    if picture.mode != "P" or "transparency" in picture.info:
        return {}
    values = np.asarray(picture)
    palette = np.array(picture.getpalette(), np.uint8).reshape(-1, 3)
    used = [int(value) for value in np.unique(values)]
    if used[-1] >= len(palette) or not np.array_equal(palette[used], davis_palette()[used]):
        return {}
    return {value: values == value for value in used if value not in (0, VOID)}


def _is_photograph(pixels: np.ndarray) -> bool:
    """Whether (h, w) or (h, w, 3) values have hardly any black and very many colours."""
    if pixels.dtype != np.uint8:
        return False
    colours = pixels[:: max(len(pixels) // 200, 1), :: max(pixels.shape[1] // 200, 1)].astype(np.int64)
    if colours.ndim == 2:
        shades = colours // 2
    else:
        shades, colours = (colours // 4) @ 64 ** np.arange(colours.shape[-1]), colours.max(axis=-1)
    black = float((colours <= BLACK).mean())
    return black < LEAST_BLACK and len(np.unique(shades)) > MOST_COLOURS


def _opened(path: str | Path) -> tuple[Any, str | None]:
    """A picture as Pillow has it, turned upright, and its format. Raises as `read_mask`."""
    from PIL import ImageOps

    if not Path(path).is_file():
        raise FileNotFoundError(f"mask: expected a picture, found nothing at {path}")
    try:
        with indices(Path(path)) as opened:
            return ImageOps.exif_transpose(opened), opened.format
    except ValueError as error:
        raise ValueError(f"mask: expected a picture, but {path} cannot be decoded ({error})") from error


def check_mask_size(mask: np.ndarray, wh: tuple[int, int], path: str | Path) -> None:
    """Raises ValueError, with the file's name, where the mask read from it does not have the video's size (w, h)."""
    h, w = mask.shape
    if (w, h) != wh:
        raise ValueError(
            f"mask: expected a picture of {wh[0]} x {wh[1]} (width x height) as the video, got {w} x {h} in {path}; "
            "draw it on a frame of the video"
        )


def coverage(mask: np.ndarray) -> str:
    """How much of the image a mask covers, in words.

    >>> coverage(np.array([[True, False], [False, False]]))
    'covers 25 % of the image'
    """
    share = 100 * float(np.asarray(mask).mean())
    return f"covers {share:.0f} % of the image" if share >= 1 else f"covers {share:.2g} % of the image"
