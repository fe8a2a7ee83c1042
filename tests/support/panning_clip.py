"""A clip with known tracks and labels."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from pointtrack.datasets.clip import Clip, TrueTracks
from pointtrack.types import Video

WH = (120, 90)


def panning(frames=14, labels=True, seed=0):
    """A smooth texture that moves by (2, -1) a frame, with a bright square that is object 1 and moves along."""
    noise = (
        np.random.default_rng(seed).normal(size=(WH[1] + frames, WH[0] + 2 * frames, 3)).astype(np.float32)
    )
    large = cv2.GaussianBlur(noise, (0, 0), 4)
    large = np.clip(110 + 40 * large / large.std(), 0, 200).astype(np.uint8)
    large[40:60, 50:80] = 255
    x, y = np.meshgrid(np.arange(2, WH[0], 7), np.arange(2, WH[1], 7))
    start = np.stack([x, y], axis=-1).reshape(-1, 2)
    pictures, xy = [], []
    for t in range(frames):
        left, top = 2 * (frames - t), t
        pictures.append(large[top : top + WH[1], left : left + WH[0]])
        xy.append(start + np.array([2, -1]) * t)
    pictures, xy = np.stack(pictures), np.stack(xy)
    tracks = TrueTracks(torch.from_numpy(xy).float(), torch.from_numpy(((xy >= 0) & (xy < WH)).all(axis=2)))
    known = (pictures == 255).all(axis=3).astype(np.uint8) if labels else None
    return Clip("pan", Video(pictures, fps=10), tracks=tracks, labels=known)
