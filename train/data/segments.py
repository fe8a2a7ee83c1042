"""Training images with object masks: photographs that people outlined, and frames of synthetic clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from pointtrack.checks import check_shape
from pointtrack.datasets.object_images import ObjectImage, held_out, read_object_images
from pointtrack.io.pictures import read_picture
from train.data.photometric import degrade, random_colour
from train.data.synthetic import SyntheticClips

# Smallest and largest share of the picture that an object covers.
SHARES = (0.004, 0.7)
LARGEST_UNION = 5


@dataclass
class SegmentBatch:
    """Images of one size and one object per prompt.

    Attributes:
        frames: (b, 3, h, w) uint8 RGB.
        masks: (m, h, w) bool.
        frame: (m,) int64 image of each mask.
        seed: seed of the batch's prompts.
    """

    frames: Tensor
    masks: Tensor
    frame: Tensor
    seed: int

    def __post_init__(self) -> None:
        sizes = check_shape(self.frames, "b 3 h w", "batch frames")
        found = check_shape(self.masks, f"m {sizes['h']} {sizes['w']}", "batch masks")
        check_shape(self.frame, f"{found['m']}", "batch frame")

    def __len__(self) -> int:
        return len(self.frames)

    def to(self, device: torch.device | str) -> SegmentBatch:
        """The same batch on another device."""
        return SegmentBatch(self.frames.to(device), self.masks.to(device), self.frame.to(device), self.seed)


class Picture(Protocol):
    """A picture (h, w, 3) uint8 RGB from which to draw random objects."""

    picture: np.ndarray

    def draw(self, random: np.random.Generator) -> np.ndarray | None:
        """(h, w) bool of an object, or None if none is suitable."""


@dataclass
class Photo:
    """A picture (h, w, 3) uint8 RGB, and region maps of it that people drew (k, h, w) uint8, ids from 1."""

    picture: np.ndarray
    maps: np.ndarray

    def draw(self, random: np.random.Generator) -> np.ndarray | None:
        """(h, w) bool: an object of one of the maps; see `pick_object`."""
        # A map with few regions has whole objects.
        few = 1 / np.array([one.max() for one in self.maps], dtype=float)
        return pick_object(self.maps[int(random.choice(len(few), p=few / few.sum()))], random)


@dataclass
class OutlinedPhoto:
    """A picture in which people outlined whole objects."""

    image: ObjectImage

    @property
    def picture(self) -> np.ndarray:
        """(h, w, 3) uint8 RGB."""
        return self.image.picture

    def draw(self, random: np.random.Generator) -> np.ndarray | None:
        """(h, w) bool: one of the objects."""
        return self.image.mask(int(random.choice(self.image.objects)))


def read_photos(folder: str | Path, splits: tuple[str, ...]) -> list[Photo]:
    """Read photographs `<split>/*.jpg` with outlines `<split>_segments.npz` (the layout of BSDS500 here).

    Raises FileNotFoundError if the folder lacks a split.
    """
    photos = []
    for split in splits:
        paths = sorted(Path(folder, split).glob("*.jpg"))
        if not paths:
            raise FileNotFoundError(f"textures: expected photographs in {Path(folder, split)}, found none")
        with np.load(Path(folder, f"{split}_segments.npz")) as segments:
            photos += [Photo(read_picture(path), segments[path.stem]) for path in paths]
    return photos


def read_outlined(folder: str | Path, *, validation: bool = False) -> list[OutlinedPhoto]:
    """Read the pictures of a folder of object masks that are for training, or those held out for validation.

    Raises FileNotFoundError if there are none.
    """
    return [OutlinedPhoto(one) for one in read_object_images(folder) if held_out(one.name) == validation]


def weighted_folders(text: str | None) -> list[tuple[str, float]]:
    """Parse "FOLDER,FOLDER=WEIGHT" into folders with their weights, 1 by default.

    Raises ValueError for a weight that is not a positive number.

    >>> weighted_folders("masks/msrc, masks/horses=0.2")
    [('masks/msrc', 1.0), ('masks/horses', 0.2)]
    """
    found = []
    for part in (text or "").split(","):
        folder, _, weight = part.strip().partition("=")
        if not folder:
            continue
        try:
            value = float(weight or 1)
        except ValueError:
            value = 0.0
        if not value > 0:
            raise ValueError(f"objects: expected a positive weight behind {folder}=, got {weight!r}")
        found.append((folder, value))
    return found


def pick_object(regions: np.ndarray, random: np.random.Generator) -> np.ndarray | None:
    """Pick an object of a region map, one region or it and neighbours: (h, w) bool, or None if none is suitable.

    Regions along the picture's border are mostly background, so they are seldom chosen. A region grows
    preferably by neighbours that it nearly encloses.
    """
    ids, area = np.unique(regions, return_counts=True)
    position = np.searchsorted(ids, regions)
    n = len(ids)
    border = np.concatenate([position[0], position[-1], position[:, 0], position[:, -1]])
    on_border = np.bincount(border, minlength=n) / np.sqrt(area)
    share = area / regions.size
    weight = np.sqrt(area) * np.exp(-1.5 * on_border) * (share > SHARES[0] / 2) * (share < SHARES[1])
    if weight.sum() == 0:
        return None
    chosen = [int(random.choice(n, p=weight / weight.sum()))]
    contact = _contact(position, n)
    if random.random() < 0.5:
        edge = contact.sum(axis=1) + np.bincount(border, minlength=n)
        for _ in range(int(random.integers(1, LARGEST_UNION))):
            touching = contact[chosen].sum(axis=0)
            touching[chosen] = 0
            pull = (touching / np.maximum(edge, 1)) * np.exp(-1.5 * on_border)
            if pull.sum() <= 0:
                break
            chosen.append(int(random.choice(n, p=pull / pull.sum())))
    mask = np.isin(position, chosen)
    return mask if SHARES[0] < mask.mean() < SHARES[1] else None


def _contact(position: np.ndarray, n: int) -> np.ndarray:
    """(n, n) pixels of shared border of every two regions."""
    pairs = [(position[:, :-1], position[:, 1:]), (position[:-1], position[1:])]
    joined = np.concatenate([(a[a != b] * n + b[a != b]).ravel() for a, b in pairs])
    counts = np.bincount(joined, minlength=n * n).reshape(n, n)
    return counts + counts.T


class SegmentImages(Dataset):
    """Endless numbered batches of images with objects: batch `i` of a seed is always the same, on any worker.

    Some are photographs with objects that people outlined. The others are frames of synthetic clips, with exact
    outlines of things that cover each other.

    Args:
        photos: groups of pictures with outlined objects, and the weight of each group; if there are none, all
            batches are synthetic.
        clips: source of first frames; the images have its size, number per batch and seed.
        objects: most masks per image.
        synthetic: share of synthetic batches.
        pasted: share of the photographs that get an object of another photograph.
    """

    def __init__(
        self,
        photos: Sequence[tuple[float, Sequence[Picture]]],
        clips: SyntheticClips,
        objects: int = 4,
        synthetic: float = 0.25,
        pasted: float = 0.5,
    ):
        self.photos, self.clips, self.objects, self.pasted = photos, clips, objects, pasted
        self.synthetic = synthetic if photos else 1.0
        weights = np.array([weight for weight, _ in photos])
        self._shares = weights / weights.sum() if photos else weights

    @torch.no_grad()
    def __getitem__(self, index: int) -> SegmentBatch:
        random = np.random.default_rng([self.clips.seed, index])
        if random.random() < self.synthetic:
            frames, masks = self._synthetic(index, random)
        else:
            frames, masks = self._photographs(random)
        frame = torch.tensor([i for i, many in enumerate(masks) for _ in many])
        stack = torch.from_numpy(np.stack([one for many in masks for one in many]))
        return SegmentBatch(frames, stack, frame, self.clips.seed * 1_000_003 + index)

    def _synthetic(self, index: int, random: np.random.Generator) -> tuple[Tensor, list[list[np.ndarray]]]:
        clip = self.clips[index]
        assert clip.objects is not None
        masks = []
        for labels in clip.objects[:, 0].numpy():
            ids, area = np.unique(labels, return_counts=True)
            good = ids[(ids > 0) & (area > SHARES[0] * labels.size)]
            # In an empty scene, the background serves as the object, which is better than none.
            good = good if len(good) else ids[:1]
            chosen = random.permutation(good)[: self.objects]
            masks.append([labels == one for one in chosen])
        return clip.frames[:, 0], masks

    def _photographs(self, random: np.random.Generator) -> tuple[Tensor, list[list[np.ndarray]]]:
        sizes = self.clips.config.sizes
        wh = sizes[int(random.integers(len(sizes)))]
        pictures: list[np.ndarray] = []
        masks: list[list[np.ndarray]] = []
        while len(pictures) < self.clips.batch:
            photo = self._photo(random)
            objects = self._different(photo, random)
            if not objects:
                continue
            view = random_view(photo.picture.shape[:2], objects[0], wh, random)
            seen = [mask_seen(one, view, wh) for one in objects]
            picture = picture_seen(photo.picture, view, wh)
            if random.random() < self.pasted:
                picture, seen = self._paste(picture, seen, random)
            large = [one for one in seen if SHARES[0] < one.mean() < 0.9]
            if large:
                pictures.append(picture)
                masks.append(large[-self.objects :])
        generator = torch.Generator().manual_seed(int(random.integers(2**31)))
        stack = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
        if random.random() < 0.6:
            stack = random_colour(stack, generator)
        return degrade(stack[:, None], generator)[:, 0], masks

    def _different(self, photo: Picture, random: np.random.Generator) -> list[np.ndarray]:
        """Masks of objects in a photograph, without duplicates."""
        objects: list[np.ndarray] = []
        for _ in range(self.objects):
            mask = photo.draw(random)
            if mask is not None and not any(np.array_equal(mask, one) for one in objects):
                objects.append(mask)
        return objects

    def _paste(
        self, picture: np.ndarray, masks: list[np.ndarray], random: np.random.Generator
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        """Paste an object of another photograph in front: unlike outlines that people drew, its edge is exact."""
        photo = self._photo(random)
        mask = photo.draw(random)
        if mask is None:
            return picture, masks
        wh = (picture.shape[1], picture.shape[0])
        view = random_view(photo.picture.shape[:2], mask, wh, random)
        view[:, 2] += random.uniform(-0.3, 0.3, 2) * wh
        in_front = mask_seen(mask, view, wh)
        soft = cv2.GaussianBlur(in_front.astype(np.float32), (0, 0), float(random.uniform(0.4, 1.2)))[
            ..., None
        ]
        mixed = soft * picture_seen(photo.picture, view, wh) + (1 - soft) * picture
        return mixed.astype(np.uint8), [*(one & ~in_front for one in masks), in_front]

    def _photo(self, random: np.random.Generator) -> Picture:
        group = self.photos[int(random.choice(len(self.photos), p=self._shares))][1]
        return group[int(random.integers(len(group)))]


def random_view(
    hw: tuple[int, int], mask: np.ndarray, wh: tuple[int, int], random: np.random.Generator
) -> np.ndarray:
    """(2, 3) affine map from a photograph to an image of size `wh` that shows one of its objects.

    The scale lies between filling the image with the picture and a close view. The view may be mirrored and turns a
    little.
    """
    cover = max(wh[0] / hw[1], wh[1] / hw[0])
    scale = cover * float(np.exp(random.uniform(np.log(1.0), np.log(2.2))))
    ys, xs = np.nonzero(mask)
    centre = np.array([xs.mean(), ys.mean()]) if random.random() < 0.5 else np.array([hw[1], hw[0]]) / 2
    centre = centre + random.uniform(-0.2, 0.2, 2) * np.array(wh) / scale
    # Keep the view within the picture where possible: a mirrored border teaches nothing.
    reach = 0.5 * np.array(wh) / scale
    size = np.array([hw[1], hw[0]])
    centre = np.clip(centre, np.minimum(reach, size / 2), np.maximum(size - reach, size / 2))
    angle = np.deg2rad(random.normal(0, 6))
    mirror = -1.0 if random.random() < 0.5 else 1.0
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = linear @ np.diag([mirror, 1.0])
    return np.concatenate([linear, (np.array(wh) / 2 - linear @ centre)[:, None]], axis=1)


def picture_seen(picture: np.ndarray, view: np.ndarray, wh: tuple[int, int]) -> np.ndarray:
    """(h, w, 3) view of a picture."""
    return cv2.warpAffine(
        _smooth(picture, view), view, wh, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )


def mask_seen(mask: np.ndarray, view: np.ndarray, wh: tuple[int, int]) -> np.ndarray:
    """(h, w) bool view of a mask."""
    return cv2.warpAffine(mask.astype(np.uint8), view, wh, flags=cv2.INTER_AREA) > 0


def _smooth(picture: np.ndarray, view: np.ndarray) -> np.ndarray:
    """Blur before shrinking, so that fine texture does not alias."""
    scale = float(np.sqrt(abs(np.linalg.det(view[:, :2]))))
    return cv2.GaussianBlur(picture, (0, 0), 0.45 / scale) if scale < 0.8 else picture
