"""The example clips that come with pointtrack, with exact tracks of some points."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pointtrack.io.video import read_video
from pointtrack.types import Video

ASSETS = Path(__file__).parents[1] / "assets"
# Name -> file of the frames, file of the tracks.
CLIPS = {"easy": ("easy.mp4", "easy_tracks.npz"), "hard": ("clip.mp4", "clip_tracks.npz")}


def example_video(name: str = "easy") -> Video:
    """A short clip that comes with pointtrack.

    Args:
        name: "easy": patterned things slide over a floor (640 x 360, 60 frames); "hard": rendered, with blur, sudden
            turns and lookalikes (854 x 480, 72 frames).

    Raises:
        ValueError: the name is neither of these.
    """
    return read_video(example_path(name))


def example_path(name: str) -> Path:
    """The file of a clip. Raises what `example_video` raises."""
    return ASSETS / _files(name)[0]


def example_tracks(name: str) -> tuple[Tensor, Tensor, Tensor]:
    """Exact tracks of a clip: (t, n, 2) pixels, (t, n) bool visible, (n,) query frames. Raises what `example_video` raises."""
    with np.load(ASSETS / _files(name)[1]) as file:
        xy, visible, frame = (torch.from_numpy(file[key]) for key in ("xy", "visible", "query_frame"))
    return xy.float(), visible.bool(), frame.long()


def _files(name: str) -> tuple[str, str]:
    if name not in CLIPS:
        raise ValueError(f"example: expected one of {', '.join(CLIPS)}, got {name!r}")
    return CLIPS[name]
