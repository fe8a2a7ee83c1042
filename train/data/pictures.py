"""Batches of crops from photographs, without any labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from pointtrack.io.pictures import read_picture
from train.data.photometric import degrade, random_colour

ZOOM = (0.5, 1.6)  # side of the part of a photograph that a crop shows, relative to the side of the crop
RECOLOURED = 0.3  # share of the batches


@dataclass
class PictureBatch:
    """Pictures of one size: frames (b, 3, h, w) uint8 RGB."""

    frames: Tensor

    def __len__(self) -> int:
        return len(self.frames)

    def to(self, device: torch.device | str) -> PictureBatch:
        """The same batch on another device."""
        return PictureBatch(self.frames.to(device))


def picture_files(folder: Path) -> list[Path]:
    """The .jpg files of a folder, at any depth, ordered by name. Raises FileNotFoundError if there are none."""
    found = sorted(Path(folder).rglob("*.jpg"))
    if not found:
        raise FileNotFoundError(f"pictures: expected .jpg files in {folder}, found none")
    return found


class Pictures(Dataset):
    """Endless numbered batches: batch `i` of a seed is always the same, on any worker.

    Args:
        folders: folders of .jpg files, at any depth.
        sizes: (width, height) of the crops, multiples of 8; every batch has one of them.
        batch: pictures per batch.
        seed: seed of the random choices.

    Raises:
        FileNotFoundError: a folder without pictures.
    """

    def __init__(self, folders: Sequence[Path], sizes: Sequence[Sequence[int]], batch: int, seed: int):
        self.paths = [path for folder in folders for path in picture_files(folder)]
        self.sizes, self.batch, self.seed = sizes, batch, seed

    def __getitem__(self, index: int) -> PictureBatch:
        random = np.random.default_rng([self.seed, index])
        wh = self.sizes[int(random.integers(len(self.sizes)))]
        cuts = [self._cut(wh, random) for _ in range(self.batch)]
        generator = torch.Generator().manual_seed(int(random.integers(2**31)))
        stack = torch.from_numpy(np.stack(cuts)).permute(0, 3, 1, 2).float() / 255
        if random.random() < RECOLOURED:
            stack = random_colour(stack, generator)
        return PictureBatch(degrade(stack[:, None], generator)[:, 0])

    def _cut(self, wh: Sequence[int], random: np.random.Generator) -> np.ndarray:
        """(height, width, 3) uint8 RGB: a random part of a random photograph, reflected at its edges."""
        picture = read_picture(self.paths[int(random.integers(len(self.paths)))])
        width, height = wh
        zoom = float(np.exp(random.uniform(*np.log(ZOOM))))
        zoom = min(zoom, picture.shape[1] / width, picture.shape[0] / height) if zoom > 1 else zoom
        x, y = (
            random.uniform(0, max(0.0, have - zoom * want))
            for have, want in zip(picture.shape[1::-1], wh, strict=True)
        )
        mirrored = random.random() < 0.5
        view = np.array([[zoom, 0, x], [0, zoom, y]])
        if mirrored:
            view[0] = -zoom, 0, x + zoom * (width - 1)
        # To shrink, sample from a smaller copy; otherwise fine texture turns into noise.
        if zoom > 1:
            picture = cv2.resize(picture, None, fx=1 / zoom, fy=1 / zoom, interpolation=cv2.INTER_AREA)
            view /= zoom
        return cv2.warpAffine(
            picture,
            view,
            (width, height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT_101,
        )
