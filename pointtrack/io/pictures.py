"""Pictures from files and bytes: how large they say they are is checked before anything is decoded."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

LARGEST_PIXELS = 178_956_970  # where Pillow stops too: a gigabyte as RGBA
_SAMPLES = 16  # pictures of a folder that tell how many bits are in use


def decode(item: Path | bytes | np.ndarray, flags: int, what: str) -> np.ndarray:
    """The pixels of a picture file or of its bytes, as OpenCV gives them (BGR).

    Args:
        item: the file, or its content.
        flags: of `cv2.imdecode`.
        what: is expected, for messages: begins with the name of the file.

    Raises:
        ValueError: no picture, a damaged one, or one of more than `LARGEST_PIXELS`.
    """
    data = np.fromfile(item, np.uint8) if isinstance(item, Path) else np.frombuffer(item, np.uint8)
    wh = picture_wh(data.tobytes()) if len(data) else None
    if wh is None:
        raise ValueError(f"{what}, but it cannot be decoded; remove or replace the file")
    if wh[0] * wh[1] > LARGEST_PIXELS:
        raise ValueError(f"{what} of at most {LARGEST_PIXELS} pixels, got {wh[0]} x {wh[1]}")
    try:
        picture = cv2.imdecode(data, flags)
    except cv2.error:
        picture = None
    if picture is None:
        raise ValueError(f"{what}, but it cannot be decoded; remove or replace the file")
    return np.asarray(picture)


@contextmanager
def indices(path: Path) -> Iterator[Any]:
    """A picture as Pillow opens it, with its palette; ValueError for a file that is none, a damaged or too large one."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(path)
        with image:
            if image.width * image.height > LARGEST_PIXELS:
                raise ValueError(f"expected at most {LARGEST_PIXELS} pixels")
            image.load()
            yield image
    except FileNotFoundError:
        raise
    except (OSError, SyntaxError, EOFError, struct.error, zlib.error, Image.DecompressionBombError) as error:
        raise ValueError(f"{path}: expected a picture, but {error}") from error


def picture_wh(data: bytes) -> tuple[int, int] | None:
    """Size as (width, height) that the head of a picture file claims; None where it is none."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data)) as image:
                return int(image.width), int(image.height)
    except Image.DecompressionBombError:
        return LARGEST_PIXELS, 2
    except Exception:  # a damaged head raises anything
        return _tiff_wh(data)


def is_single(path: Path, suffixes: Sequence[str]) -> bool:
    """A file of one picture, by its suffix and content: a PNG may be a film too."""
    from PIL import Image

    if path.suffix.lower() not in suffixes or not path.is_file():
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                return not getattr(image, "is_animated", False)
    except Exception:  # whatever it is, it is told when it is read
        return True


def read_picture(path: Path, bits: int = 0) -> np.ndarray:
    """(h, w, 3) uint8 RGB; EXIF rotation applied.

    Args:
        path: the file.
        bits: that pictures of 16 bits use, see `bits_used`: their levels are brought to 8 bits. 0 for those of 8 bits.

    Raises:
        ValueError: a file that is no picture, or too large a one.
    """
    what = f"{path}: expected a picture"
    if bits == 0:
        return cv2.cvtColor(decode(path, cv2.IMREAD_COLOR, what), cv2.COLOR_BGR2RGB)
    picture = decode(path, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH, what)
    if picture.dtype == np.uint16:
        picture = np.minimum(picture >> (bits - 8), 255).astype(np.uint8)
    elif picture.dtype != np.uint8:
        picture = decode(path, cv2.IMREAD_COLOR, what)
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def bits_used(pictures: Sequence[Path]) -> int:
    """0 for pictures of 8 bits a channel; of 16 bits, how many of them hold something: 12 for many cameras.

    Some of the pictures are looked at, evenly spread.
    """
    if _depth(pictures[0]) != np.uint16:
        return 0
    highest = 255
    for i in np.unique(np.linspace(0, len(pictures) - 1, min(len(pictures), _SAMPLES)).round().astype(int)):
        what = f"{pictures[i]}: expected a picture"
        highest = max(highest, int(decode(pictures[i], cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH, what).max()))
    return max(highest.bit_length(), 8)


def _depth(path: Path) -> np.dtype:
    """Type of the pixels; 8 bits where a file cannot be read, which is told when it is."""
    try:
        if path.suffix.lower() not in (".png", ".tif", ".tiff"):
            return np.dtype(np.uint8)
        return decode(path, cv2.IMREAD_UNCHANGED, f"{path}: expected a picture").dtype
    except (ValueError, OSError):
        return np.dtype(np.uint8)


def _tiff_wh(data: bytes) -> tuple[int, int] | None:
    """The size of a TIFF whose kind of pixels Pillow does not know, as 16-bit colour."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None:
        return None
    try:
        (at,) = struct.unpack_from(order + "I", data, 4)
        (count,) = struct.unpack_from(order + "H", data, at)
        found = {}
        for i in range(min(count, 200)):
            tag, kind = struct.unpack_from(order + "HH", data, at + 2 + 12 * i)
            if tag in (256, 257):
                found[tag] = struct.unpack_from(order + ("H" if kind == 3 else "I"), data, at + 10 + 12 * i)[
                    0
                ]
    except struct.error:
        return None
    return (found[256], found[257]) if len(found) == 2 else None
