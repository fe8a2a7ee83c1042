"""TAP-Vid pickles: DAVIS, RGB-Stacking, Kinetics shards, RoboTAP splits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange

from pointtrack.datasets.clip import ClipInfo, SourceClip, TrueTracks, decode_picture
from pointtrack.datasets.safe_pickle import read_pickle
from pointtrack.io.outside import reading

FPS = 25.0


def tapvid_clips(path: str | Path) -> Iterator[SourceClip]:
    """Yield the videos of a TAP-Vid pickle, or of all pickles in a folder.

    Args:
        path: a dict name -> video (DAVIS, RoboTAP) or a list of videos (RGB-Stacking, Kinetics shards). A
            video is a dict with "video" (t, h, w, 3) uint8 or t JPEG byte strings, "points" (n, t, 2) as
            (x, y) in 0..1 from outer edge to outer edge, "occluded" (n, t) True where hidden.

    Positions become pixels by x * width - 0.5. Only numpy arrays are unpickled, so an untrusted file cannot
    run code. The files do not hold a frame rate; pointtrack assumes 25, as in Kinetics.

    Raises:
        FileNotFoundError: no such file. ValueError: a file of another layout.

    Source: TAP-Vid (Doersch et al., 2022) and RoboTAP (Vecerik et al., 2023).
    """
    path = Path(path)
    paths = sorted(path.glob("*.pkl")) if path.is_dir() else [path]
    if not paths or not paths[0].is_file():
        raise FileNotFoundError(
            f"TAP-Vid: expected a pickle file at {path}; download it from the TAP-Vid page"
        )
    for one in paths:
        content = read_pickle(one, "a TAP-Vid pickle")
        if isinstance(content, list):
            content = {f"{i:04d}": video for i, video in enumerate(content)}
        if not hasattr(content, "items"):
            raise ValueError(f"{one}: expected a dict or a list of videos, got {type(content).__name__}")
        for name, video in content.items():
            yield _read_video(f"{one.stem}/{name}", video)


def _read_video(name: str, content: Any) -> SourceClip:
    keys = {"video", "points", "occluded"}
    if not isinstance(content, dict) or keys - set(content):
        got = sorted(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise ValueError(f"{name}: expected a dict with {sorted(keys)}, got {got}")
    frames = content["video"]
    if not isinstance(frames, np.ndarray) or frames.ndim != 4:
        with reading(name, "frames as JPEG byte strings"):
            if not all(isinstance(frame, bytes | np.bytes_) for frame in frames) or not len(frames):
                raise ValueError("video holds other things")
            frames = [bytes(frame) for frame in frames]
    with reading(name, "points and occluded"):
        points = np.array(content["points"], dtype=np.float64)
        occluded = np.array(content["occluded"], dtype=bool)
    if points.shape != (*occluded.shape, 2) or points.shape[1] != len(frames):
        raise ValueError(
            f"{name}: expected points (n, {len(frames)}, 2) and occluded (n, {len(frames)}), "
            f"got {points.shape} and {occluded.shape}"
        )
    height, width = decode_picture(frames[0], f"{name} frame 0").shape[:2]
    xy = rearrange(points * (width, height) - 0.5, "n t xy -> t n xy")
    return SourceClip(
        name,
        frames,
        ClipInfo(fps=FPS, source=f"TAP-Vid layout, {name}"),
        TrueTracks(torch.from_numpy(xy), torch.from_numpy(rearrange(~occluded, "n t -> t n"))),
    )
