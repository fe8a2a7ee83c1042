"""Single pictures with objects outlined by people: `<name>.jpg` beside `<name>_masks.npz`."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pointtrack.io.pictures import read_picture

# Classes that are not things: the picture's edge cuts them off, and nobody clicks them to follow them.
STUFF = frozenset({"grass", "sky", "water", "road", "building", "tree", "mountain"})
HELD_OUT = 5  # one in this many pictures is held out of training
SMALLEST, LARGEST = 0.004, 0.7  # shares of the picture that an object may have


@dataclass(frozen=True, eq=False)
class ObjectImage:
    """A picture and its objects.

    Attributes:
        name: name of its file, without suffix.
        picture: (h, w, 3) uint8 RGB.
        ids: (h, w) uint8, the number of the object at every pixel; 0 for none.
        objects: numbers of its things, without stuff and without things that are very small or nearly fill the picture.
    """

    name: str
    picture: np.ndarray
    ids: np.ndarray
    objects: tuple[int, ...]

    def mask(self, number: int) -> np.ndarray:
        """(h, w) bool of one object."""
        return self.ids == number


def held_out(name: str) -> bool:
    """Whether a picture is held out of training, decided by its name alone."""
    return zlib.crc32(name.encode()) % HELD_OUT == 0


def read_object_images(folder: str | Path) -> Iterator[ObjectImage]:
    """Yield every picture of a folder that shows a thing, sorted by name.

    Raises:
        FileNotFoundError: the folder has no such pictures.
        ValueError: a picture cannot be read, or differs in size from its masks.
    """
    paths = sorted(Path(folder).glob("*_masks.npz"))
    if not paths:
        raise FileNotFoundError(f"object images: expected <name>_masks.npz files in {folder}, found none")
    for path in paths:
        name = path.name.removesuffix("_masks.npz")
        with np.load(path) as arrays:
            ids, classes = arrays["ids"], [str(one) for one in arrays["classes"]]
        file = path.with_name(f"{name}.jpg")
        if not file.is_file():
            raise FileNotFoundError(f"object images: expected {name}.jpg beside {path}, found none")
        picture = read_picture(file)
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
            yield ObjectImage(name, picture, ids, things)
