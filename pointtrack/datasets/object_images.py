"""Single pictures whose objects people outlined: `<name>.jpg` beside `<name>_masks.npz`."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

# Classes that are no things: where they end is a matter of the picture's frame, and nobody clicks them to follow them.
STUFF = frozenset({"grass", "sky", "water", "road", "building", "tree", "mountain"})
HELD_OUT = 5  # one in so many pictures is held out of training
SMALLEST, LARGEST = 0.004, 0.7  # shares of the picture that an object may have


@dataclass(frozen=True, eq=False)
class ObjectImage:
    """A picture and its objects.

    Attributes:
        name: of its file, without suffix.
        picture: (h, w, 3) uint8 RGB.
        ids: (h, w) uint8, the number of the object at every pixel; 0 for none.
        objects: numbers of its things, none of which is stuff, very small or nearly the whole picture.
    """

    name: str
    picture: np.ndarray
    ids: np.ndarray
    objects: tuple[int, ...]

    def mask(self, number: int) -> np.ndarray:
        """(h, w) bool of one object."""
        return self.ids == number


def held_out(name: str) -> bool:
    """Whether a picture of this name is kept out of training; a matter of the name alone."""
    return zlib.crc32(name.encode()) % HELD_OUT == 0


def read_object_images(folder: str | Path) -> Iterator[ObjectImage]:
    """Every picture of a folder that shows a thing, in the order of the names.

    Raises:
        FileNotFoundError: no such pictures there.
        ValueError: a picture and masks of different sizes.
    """
    paths = sorted(Path(folder).glob("*_masks.npz"))
    if not paths:
        raise FileNotFoundError(f"object images: expected <name>_masks.npz files in {folder}, found none")
    for path in paths:
        name = path.name.removesuffix("_masks.npz")
        with np.load(path) as arrays:
            ids, classes = arrays["ids"], [str(one) for one in arrays["classes"]]
        picture = cv2.imread(str(path.with_name(f"{name}.jpg")))
        if picture is None:
            raise FileNotFoundError(
                f"object images: expected {name}.jpg beside {path}, found none that can be read"
            )
        if picture.shape[:2] != ids.shape:
            raise ValueError(
                f"{path}: expected masks of the picture's size {picture.shape[:2]}, got {ids.shape}"
            )
        share = np.bincount(ids.ravel(), minlength=len(classes) + 1) / ids.size
        things = tuple(
            number
            for number, of in enumerate(classes, start=1)
            if of not in STUFF and SMALLEST < share[number] < LARGEST
        )
        if things:
            yield ObjectImage(name, cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), ids, things)
