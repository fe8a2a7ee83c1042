"""Textures of synthetic clips: photographs with or without outlines that people drew, or procedural patterns.

A bank is a stack of equally sized RGB pictures and a list of regions, each an outline of something in
one picture. It lives on any device as two uint8 tensors, so a GPU cuts layers out of it in one gather.
`object_bank` adds pictures with outlined objects, `plain_bank` photographs without outlines.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pointtrack.datasets.object_images import held_out, read_object_images
from pointtrack.io.pictures import read_picture
from train.data.pictures import picture_files

log = logging.getLogger(__name__)

PICTURE_HW = (320, 480)
PEOPLE = 2  # number of people whose outlines of a photograph are used: further ones largely agree
PROCEDURAL = 30  # patterns, in addition to photographs if there are any


@dataclass
class TextureBank:
    """Pictures and outlines.

    Attributes:
        pictures: (p, 3, h, w) uint8 RGB.
        labels: (m, h, w) uint8 region maps.
        label_picture: (m,) picture that each map belongs to.
        regions: (r, 6) int64 rows (map, region id, x0, y0, x1, y1): an outline and its box in pixels.
        plain: (n,) int64 pictures without outlines: for backgrounds, and for cards cut by outlines of other pictures.
    """

    pictures: Tensor
    labels: Tensor
    label_picture: Tensor
    regions: Tensor
    plain: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))

    def to(self, device: torch.device | str) -> TextureBank:
        tensors = (self.pictures, self.labels, self.label_picture, self.regions, self.plain)
        return TextureBank(*(x.to(device) for x in tensors))

    @classmethod
    def join(cls, banks: list[TextureBank]) -> TextureBank:
        """Join several banks into one."""
        regions, label_picture, plain, maps, pictures = [], [], [], 0, 0
        for bank in banks:
            moved = bank.regions.clone()
            moved[:, 0] += maps
            regions.append(moved)
            label_picture.append(bank.label_picture + pictures)
            plain.append(bank.plain + pictures)
            maps, pictures = maps + len(bank.labels), pictures + len(bank.pictures)
        return cls(
            torch.cat([bank.pictures for bank in banks]),
            torch.cat([bank.labels for bank in banks]),
            torch.cat(label_picture),
            torch.cat(regions),
            torch.cat(plain),
        )


def photo_bank(folder: str | Path, splits: tuple[str, ...] = ("train",)) -> TextureBank:
    """Read photographs `<split>/*.jpg` with human outlines `<split>_segments.npz` (the layout of BSDS500 here).

    Portraits are turned on their side. Raises FileNotFoundError if the folder lacks a split.
    """
    pictures, labels, label_picture = [], [], []
    for split in splits:
        paths = sorted(Path(folder, split).glob("*.jpg"))
        if not paths:
            raise FileNotFoundError(f"textures: expected photographs in {Path(folder, split)}, found none")
        with np.load(Path(folder, f"{split}_segments.npz")) as segments:
            for path in paths:
                picture, maps = read_picture(path), segments[path.stem]
                if picture.shape[0] > picture.shape[1]:
                    picture, maps = np.rot90(picture).copy(), np.rot90(maps, axes=(1, 2)).copy()
                h, w = PICTURE_HW
                pictures.append(picture[:h, :w])
                for one in maps[:PEOPLE, :h, :w]:
                    labels.append(one.astype(np.uint8))
                    label_picture.append(len(pictures) - 1)
    label_stack = torch.from_numpy(np.stack(labels))
    return TextureBank(
        torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous(),
        label_stack,
        torch.tensor(label_picture),
        find_regions(label_stack),
    )


def object_bank(folder: str | Path, weight: float = 1.0) -> TextureBank:
    """Read pictures `<name>.jpg` and the outlines of their objects, `<name>_masks.npz`, except those held out.

    Args:
        folder: folder of outlined objects, as `read_object_images` takes it.
        weight: how often an outline is in the bank: 0.2 keeps one in five, 2 has every one twice. Pictures without a
            kept or usable outline are left out.

    Raises:
        FileNotFoundError: the folder has no such pictures.
        ValueError: no usable outline is left.
    """
    pictures, labels = [], []
    for image in read_object_images(folder):
        if not held_out(image.name):
            things = np.where(np.isin(image.ids, image.objects), image.ids, 0).astype(np.uint8)
            pictures.append(_fitted(image.picture))
            labels.append(_fitted(things, cv2.INTER_NEAREST_EXACT))
    found = find_regions(torch.from_numpy(np.stack(labels))) if labels else torch.zeros(0, 6)
    kept = round(weight * len(found))
    if kept == 0:
        raise ValueError(f"objects: expected usable outlines in {folder}, got none with weight {weight:g}")
    order = torch.randperm(len(found), generator=torch.Generator().manual_seed(0))
    regions = found[order[torch.arange(kept) % len(found)].sort().values]
    used, regions[:, 0] = regions[:, 0].unique(return_inverse=True)
    return TextureBank(
        torch.from_numpy(np.stack([pictures[i] for i in used])).permute(0, 3, 1, 2).contiguous(),
        torch.from_numpy(np.stack([labels[i] for i in used])),
        torch.arange(len(used)),
        regions,
    )


def plain_bank(folder: str | Path) -> TextureBank:
    """Read the .jpg files of a folder, at any depth, without outlines. Raises FileNotFoundError if there are none."""
    pictures = np.stack([_fitted(read_picture(path)) for path in picture_files(Path(folder))])
    return TextureBank(
        torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous(),
        torch.zeros((0, *PICTURE_HW), dtype=torch.uint8),
        torch.zeros(0, dtype=torch.int64),
        torch.zeros((0, 6), dtype=torch.int64),
        torch.arange(len(pictures)),
    )


def _fitted(picture: np.ndarray, interpolation: int | None = None) -> np.ndarray:
    """(h, w[, 3]) -> (*PICTURE_HW[, 3]): turn a portrait on its side, resize to cover that size, crop the middle."""
    if picture.shape[0] > picture.shape[1]:
        picture = np.rot90(picture)
    h, w = PICTURE_HW
    scale = max(h / picture.shape[0], w / picture.shape[1])
    wh = max(w, round(scale * picture.shape[1])), max(h, round(scale * picture.shape[0]))
    if interpolation is None:
        interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    resized = cv2.resize(np.ascontiguousarray(picture), wh, interpolation=interpolation)
    x, y = (wh[0] - w) // 2, (wh[1] - h) // 2
    return np.ascontiguousarray(resized[y : y + h, x : x + w])


def procedural_bank(count: int, generator: torch.Generator) -> TextureBank:
    """Generate pictures: layered noise, cells and stripes in random colours, with blob outlines."""
    h, w = PICTURE_HW
    pictures, labels = [], []
    for i in range(count):
        pictures.append(_pattern(("noise", "cells", "stripes")[i % 3], generator))
        # Outlines are level sets of smooth noise; every connected band of values is a region.
        smooth = _noise((4, 6), generator)[0]
        labels.append((smooth * 5).floor().clamp(0, 4).to(torch.uint8) + 1)
    label_stack = torch.stack(labels)
    return TextureBank(torch.stack(pictures), label_stack, torch.arange(count), find_regions(label_stack))


def find_regions(labels: Tensor, smallest: float = 0.01, largest: float = 0.6) -> Tensor:
    """(m, h, w) region maps -> (r, 6) rows (map, region id, x0, y0, x1, y1) of the usable regions.

    A usable region covers between `smallest` and `largest` of the picture, and is at least 28 pixels wide and high, so
    that a layer made of it is not a blur.
    """
    rows = []
    for m, one in enumerate(labels.numpy()):
        for region in np.unique(one):
            mask = one == region
            share = mask.mean()
            if region == 0 or not smallest < share < largest:
                continue
            ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            box = (xs[0], ys[0], xs[-1] + 1, ys[-1] + 1)
            if box[2] - box[0] >= 28 and box[3] - box[1] >= 28:
                rows.append((m, int(region), *map(int, box)))
    return torch.tensor(rows, dtype=torch.int64).reshape(-1, 6)


def texture_banks(
    textures: Path | None,
    objects: Sequence[tuple[str | Path, float]] = (),
    pictures: Sequence[str | Path] = (),
) -> tuple[TextureBank, TextureBank]:
    """Textures to train on, and others to validate on.

    Args:
        textures: folder of photographs with train, test and val; without one, patterns alone.
        objects: folders of outlined objects with their weights (`object_bank`), to train on too.
        pictures: folders of photographs without outlines (`plain_bank`), to train on too.
    """
    learnt = [procedural_bank(PROCEDURAL, torch.Generator().manual_seed(5))]
    if textures is None:
        others = procedural_bank(PROCEDURAL, torch.Generator().manual_seed(6))
    else:
        learnt.insert(0, photo_bank(textures, ("train", "test")))
        others = photo_bank(textures, ("val",))
    learnt += [object_bank(folder, weight) for folder, weight in objects]
    learnt += [plain_bank(folder) for folder in pictures]
    return TextureBank.join(learnt), others


def _noise(cells: tuple[int, int], generator: torch.Generator, channels: int = 1) -> Tensor:
    """(channels, h, w) smooth noise in [0, 1] with the given number of bumps per side."""
    coarse = torch.rand(1, channels, *cells, generator=generator)
    fine = F.interpolate(coarse, PICTURE_HW, mode="bicubic", align_corners=True)[0]
    low, high = fine.amin(dim=(1, 2), keepdim=True), fine.amax(dim=(1, 2), keepdim=True)
    return (fine - low) / (high - low).clamp(min=1e-6)


def _pattern(kind: str, generator: torch.Generator) -> Tensor:
    """One (3, h, w) uint8 picture."""
    h, w = PICTURE_HW
    y, x = torch.meshgrid(torch.arange(h).float(), torch.arange(w).float(), indexing="ij")
    octaves = [_noise((2 + 2**k, 3 + 2**k), generator, 3) / 1.6**k for k in range(2, 8)]
    picture = sum(octaves) / sum(1 / 1.6**k for k in range(2, 8))
    if kind == "cells":
        seeds = torch.rand(60, 2, generator=generator) * torch.tensor([w, h])
        nearest = ((x[..., None] - seeds[:, 0]) ** 2 + (y[..., None] - seeds[:, 1]) ** 2).argmin(-1)
        colours = torch.rand(60, 3, generator=generator)
        picture = 0.5 * picture + 0.5 * colours[nearest].permute(2, 0, 1)
    if kind == "stripes":
        angle, period = torch.rand(2, generator=generator).tolist()
        wave = torch.sin((x * np.cos(3.14 * angle) + y * np.sin(3.14 * angle)) * (0.1 + 0.6 * period))
        picture = picture * (0.75 + 0.25 * torch.sign(wave + _noise((5, 7), generator) - 0.5))
    contrast = (picture - picture.mean(dim=(1, 2), keepdim=True)) * 1.8 + torch.rand(  # type: ignore[union-attr]
        3, 1, 1, generator=generator
    )
    return (contrast.clamp(0, 1) * 255).to(torch.uint8)
