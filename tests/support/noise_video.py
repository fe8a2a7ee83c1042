"""A video that is new on every frame, and masks on it."""

from __future__ import annotations

import numpy as np
import torch

from pointtrack.types import Video
from tests.support.sam2_library import WH

T = 24  # frames, more than SAM 2 looks back


def make_video(frames=T, wh=WH):
    """Coarse noise, new on every frame."""
    rng = np.random.default_rng(0)
    cells = rng.integers(0, 256, (frames, -(-wh[1] // 4), -(-wh[0] // 4), 3), dtype=np.uint8)
    return Video(cells.repeat(4, 1).repeat(4, 2)[:, : wh[1], : wh[0]])


def box_mask(x0, y0, x1, y1):
    mask = torch.zeros(WH[1], WH[0], dtype=torch.bool)
    mask[y0:y1, x0:x1] = True
    return mask


LEFT, RIGHT = box_mask(5, 8, 25, 30), box_mask(30, 2, 48, 20)
