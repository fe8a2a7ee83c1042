"""Videos, points and comparisons of tracks that many tests share."""

from __future__ import annotations

import numpy as np
import torch

from pointtrack.types import Queries, Tracks, Video


def moving_video(frames: int, wh: tuple[int, int], seed: int = 0) -> Video:
    """Smooth random texture that pans by two pixels per frame."""
    rng = np.random.default_rng(seed)
    w, h = wh
    coarse = rng.integers(0, 255, (h // 4 + 2, (w + 2 * frames) // 4 + 2, 3))
    texture = np.kron(coarse, np.ones((4, 4, 1))).astype(np.uint8)
    return Video(np.stack([texture[:h, 2 * t : 2 * t + w] for t in range(frames)]), fps=10)


def some_queries(frames: int, wh: tuple[int, int], n: int = 7) -> Queries:
    generator = torch.Generator().manual_seed(3)
    xy = torch.rand(n, 2, generator=generator) * (torch.tensor(wh) - 1.0)
    return Queries(torch.arange(n) % frames, xy)


def same(a: Tracks, b: Tracks) -> bool:
    return all(
        torch.equal(torch.nan_to_num(getattr(a, name), -9e9), torch.nan_to_num(getattr(b, name), -9e9))
        for name in ("xy", "visibility", "confidence")
    )
