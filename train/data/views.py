"""Numbered training batches of single pictures with outlined objects, seen several times as if the camera had moved."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from torch import Tensor
from torch.utils.data import Dataset

from train.data.batch import ClipBatch
from train.data.photometric import degrade, light, random_colour
from train.data.segments import mask_seen, picture_seen, random_view, read_outlined
from train.data.synthetic import SceneConfig

# How views differ from the first one: logarithms of size and of shape, turns, and shares of the frame by which they move.
# Colours stay: in a video they tell things of one kind apart.
SIZE, SHAPE, TURN, SHIFT = 0.25, 0.12, np.deg2rad(10), 0.15
RECOLOURED = 0.5  # share of the pictures with other colours, the same in all views


class PictureViews(Dataset):
    """Endless numbered batches without points; objects alone are known.

    Args:
        folders: folders of pictures with outlined objects and their weights; pictures held out are left out.
        config: frames and sizes of a batch, as for synthetic clips.
        batch: pictures per batch.
        seed: with the number of the batch, decides everything random.

    Raises:
        FileNotFoundError: a folder without such pictures.
    """

    def __init__(
        self, folders: Sequence[tuple[str | Path, float]], config: SceneConfig, batch: int, seed: int
    ):
        self.config, self.batch, self.seed = config, batch, seed
        self.groups = [[photo.image for photo in read_outlined(path)] for path, _ in folders]
        counts = np.array(
            [weight * len(group) for group, (_, weight) in zip(self.groups, folders, strict=True)]
        )
        self._shares = counts / counts.sum()

    @torch.no_grad()
    def __getitem__(self, index: int) -> ClipBatch:
        random = np.random.default_rng([self.seed, index, 2])
        generator = torch.Generator().manual_seed(int(random.integers(2**31)))
        wh = self.config.sizes[int(random.integers(len(self.config.sizes)))]
        made = [self._views(wh, random, generator) for _ in range(self.batch)]
        frames, objects = (torch.stack([one[i] for one in made]) for i in range(2))
        b, t = objects.shape[:2]
        return ClipBatch(
            frames,
            torch.zeros(b, t, 0, 2),
            torch.zeros(b, t, 0, dtype=torch.bool),
            torch.zeros(b, 0, dtype=torch.int64),
            objects,
        )

    def _views(
        self, wh: tuple[int, int], random: np.random.Generator, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """(t, 3, h, w) uint8 frames of one picture, and (t, h, w) uint8 numbers of its objects."""
        group = self.groups[int(random.choice(len(self.groups), p=self._shares))]
        image = group[int(random.integers(len(group)))]
        shown = image.mask(int(random.choice(image.objects)))
        first = random_view(image.ids.shape, shown, wh, random)  # type: ignore[arg-type]
        views = [first, *(moved(first, wh, random) for _ in range(self.config.frames - 1))]
        pictures = np.stack([picture_seen(image.picture, view, wh) for view in views])
        clean = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
        if random.random() < RECOLOURED:
            wide = random_colour(rearrange(clean, "t c h w -> 1 c (t h) w"), generator)
            clean = rearrange(wide, "1 c (t h) w -> t c h w", t=len(views))
        brightness = light(torch.from_numpy(random.random((1, len(views)))).float(), 1, generator)[0, 0]
        clean = (clean * brightness[:, None, None, None]).clamp(max=1)
        numbers = np.zeros((len(views), wh[1], wh[0]), np.uint8)
        for k, number in enumerate(image.objects, start=1):
            for numbered, view in zip(numbers, views, strict=True):
                numbered[mask_seen(image.mask(number), view, wh)] = k
        return degrade(clean[None], generator)[0], torch.from_numpy(numbers)


def moved(view: np.ndarray, wh: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """Another view: a (2, 3) affine map to an image of size `wh`, after the camera or the object has moved a little."""
    turn, shear = random.normal(0, TURN), random.normal(0, SHAPE)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    linear = (
        np.exp(random.normal(0, SIZE))
        * rotation
        @ np.array([[1, shear], [0, np.exp(random.normal(0, SHAPE))]])
    )
    centre = np.array(wh) / 2
    offset = centre + random.uniform(-SHIFT, SHIFT, 2) * np.array(wh) - linear @ centre
    return np.concatenate([linear @ view[:, :2], (linear @ view[:, 2] + offset)[:, None]], axis=1)
