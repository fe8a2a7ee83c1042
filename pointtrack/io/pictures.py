"""Pictures from files and bytes; the size they claim is checked before decoding."""

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

LARGEST_PIXELS = 178_956_970  # Pillow's limit too: almost a gigabyte as RGBA
_SAMPLES = 16  # pictures of a folder to inspect for the number of bits in use


def decode(item: Path | bytes | np.ndarray, flags: int, what: str) -> np.ndarray:
    """Decode a picture file, or its bytes, to pixels as OpenCV gives them (BGR).

    Args:
        item: the file, or its content.
        flags: flags of `cv2.imdecode`.
        what: what was expected, for messages; begins with the name of the file.

    Raises:
        ValueError: not a picture, a damaged one, or one of more than `LARGEST_PIXELS`.
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
    """Open a picture with Pillow, keeping its palette; ValueError if it is not a picture, damaged, or too large."""
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
    """The size that a picture file's header claims, as (width, height); None if it is not a picture."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data)) as image:
                return int(image.width), int(image.height)
    except Image.DecompressionBombError:
        return LARGEST_PIXELS, 2
    except Exception:  # a damaged header can raise anything
        return _tiff_wh(data)


def is_single(path: Path, suffixes: Sequence[str]) -> bool:
    """Whether suffix and content say that a file holds one picture; a PNG may be animated."""
    from PIL import Image

    if path.suffix.lower() not in suffixes or not path.is_file():
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                return not getattr(image, "is_animated", False)
    except Exception:  # reading the file reports what is wrong
        return True


def read_picture(path: Path, bits: int = 0) -> np.ndarray:
    """Read a picture as (h, w, 3) uint8 RGB, with its EXIF rotation applied.

    Args:
        path: the file.
        bits: how many bits 16-bit pictures use (`bits_used`), to scale their levels to 8 bits; 0 for 8-bit pictures.

    Raises:
        ValueError: the file is not a picture, or too large.
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
    """How many bits 16-bit pictures use: 12 for many cameras. 0 for pictures of 8 bits per channel.

    Inspects a few evenly spread pictures.
    """
    if _depth(pictures[0]) != np.uint16:
        return 0
    highest = 255
    for i in np.unique(np.linspace(0, len(pictures) - 1, min(len(pictures), _SAMPLES)).round().astype(int)):
        what = f"{pictures[i]}: expected a picture"
        highest = max(highest, int(decode(pictures[i], cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH, what).max()))
    return max(highest.bit_length(), 8)


def _depth(path: Path) -> np.dtype:
    """Type of the pixels; 8 bits for an unreadable file, which raises when it is read."""
    try:
        if path.suffix.lower() not in (".png", ".tif", ".tiff"):
            return np.dtype(np.uint8)
        return decode(path, cv2.IMREAD_UNCHANGED, f"{path}: expected a picture").dtype
    except (ValueError, OSError):
        return np.dtype(np.uint8)


def _tiff_wh(data: bytes) -> tuple[int, int] | None:
    """The size of a TIFF whose pixel type Pillow does not support, such as 16-bit colour."""
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
