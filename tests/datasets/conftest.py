"""A clip whose truth is known by construction: a texture that pans behind a textured square that moves otherwise."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from pointtrack.datasets.clip import Clip, ClipInfo, TrueTracks
from pointtrack.types import Video

FRAMES, WH, SIDE = 12, (96, 64), 26
PAN, SLIDE = np.array([2, 1]), np.array([-4, 1])


def texture(wh, seed):
    noise = np.random.default_rng(seed).normal(size=(wh[1], wh[0], 3)).astype(np.float32)
    picture = cv2.GaussianBlur(noise, (0, 0), 1.5)
    return np.clip(128 + 60 * picture / picture.std(), 0, 255).astype(np.uint8)


def build_clip(frames=FRAMES, wh=WH) -> Clip:
    """Points of the texture on a grid, in the image at first or later; the square is object 1."""
    reach = PAN * (frames - 1)
    large = texture((wh[0] + reach[0], wh[1] + reach[1]), 0)
    square = texture((SIDE, SIDE), 1)
    x, y = np.meshgrid(np.arange(3, wh[0], 6), np.arange(3, wh[1], 6))
    start = np.stack([x, y], axis=-1).reshape(-1, 2)
    pictures, labels, xy, visible = [], [], [], []
    for t in range(frames):
        corner = reach - PAN * t
        picture = large[corner[1] : corner[1] + wh[1], corner[0] : corner[0] + wh[0]].copy()
        left, top = np.array([wh[0] // 2, wh[1] // 4]) + SLIDE * t
        label = np.zeros((wh[1], wh[0]), np.uint8)
        rows, columns = slice(max(top, 0), top + SIDE), slice(max(left, 0), max(left + SIDE, 0))
        shown = label[rows, columns].shape
        picture[rows, columns] = square[: shown[0], SIDE - shown[1] :]
        label[rows, columns] = 1
        at = start + PAN * t
        inside = ((at >= 0) & (at < wh)).all(axis=1)
        column, row = at.T.clip(0, [[wh[0] - 1], [wh[1] - 1]])
        visible.append(inside & (label[row, column] == 0))
        for part, value in ((pictures, picture), (labels, label), (xy, at)):
            part.append(value)
    tracks = TrueTracks(
        torch.from_numpy(np.stack(xy)).float(),
        torch.from_numpy(np.stack(visible)),
        object_ids=torch.zeros(len(start), dtype=torch.int64),
    )
    info = ClipInfo(fps=12.0, source="made by a test", licence="any use", objects={1: "square"}, seed=3)
    return Clip("pan", Video(np.stack(pictures), fps=12.0), info, tracks, np.stack(labels))


@pytest.fixture(scope="session")
def clip() -> Clip:
    """12 frames of 96 x 64 with 176 points and one object."""
    return build_clip()


@pytest.fixture(scope="session")
def make_clip():
    """Function (frames, wh) -> Clip."""
    return build_clip
