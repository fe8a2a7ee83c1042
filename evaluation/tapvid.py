"""Read TAP-Vid pickles: DAVIS, RGB-Stacking, Kinetics shards, RoboTAP splits."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from einops import rearrange

from evaluation.example import Example, sampled_example
from evaluation.metrics import QueryMode
from pointtrack.types import Video

FPS = 25.0
_ALLOWED = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
    *(
        (f"numpy.{core}.{module}", name)
        for core in ("core", "_core")
        for module, name in (
            ("multiarray", "_reconstruct"),
            ("multiarray", "scalar"),
            ("numeric", "_frombuffer"),
        )
    ),
}


class _ArrayUnpickler(pickle.Unpickler):
    """Unpickle containers and numpy arrays, nothing that could run code."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"holds {module}.{name}, expected only numpy arrays and containers")
        return super().find_class(module, name)


def tapvid_examples(path: str | Path, mode: QueryMode = "first") -> Iterator[Example]:
    """Yield one example per video of a TAP-Vid pickle.

    Args:
        path: a dict name -> video (DAVIS, RoboTAP) or a list of videos (RGB-Stacking, Kinetics shards). A
            video is a dict with "video" (t, h, w, 3) uint8 or t JPEG byte strings, "points" (n, t, 2) as
            (x, y) in 0..1 from outer edge to outer edge, "occluded" (n, t) True where hidden.
        mode: query mode, see `sample_queries`.

    Positions become pixels by x * width - 0.5. Only numpy arrays are unpickled, so a file from elsewhere
    cannot run code. Videos without a visible point are left out, as their metrics are not defined.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file of another layout.

    Source: TAP-Vid (Doersch et al., 2022) and RoboTAP (Vecerik et al., 2023).
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"TAP-Vid: expected a pickle file at {path}; download it from the TAP-Vid page"
        )
    try:
        with path.open("rb") as file:
            content = _ArrayUnpickler(file).load()
    except (pickle.UnpicklingError, EOFError, AttributeError) as error:
        raise ValueError(f"{path}: expected a TAP-Vid pickle, but {error}") from error
    if isinstance(content, list):
        content = {f"{i:04d}": video for i, video in enumerate(content)}
    if not hasattr(content, "items"):
        raise ValueError(f"{path}: expected a dict or a list of videos, got {type(content).__name__}")
    for name, video in content.items():
        example = _read_video(f"{path.stem}/{name}", video, mode)
        if len(example.queries):
            yield example


def _read_video(name: str, content: Any, mode: QueryMode) -> Example:
    keys = {"video", "points", "occluded"}
    if not isinstance(content, dict) or keys - set(content):
        got = sorted(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise ValueError(f"{name}: expected a dict with {sorted(keys)}, got {got}")
    video = Video(_decode(name, content["video"]), fps=FPS)
    points = torch.from_numpy(np.array(content["points"], dtype=np.float64))
    occluded = torch.from_numpy(np.array(content["occluded"], dtype=bool))
    if points.shape != (*occluded.shape, 2) or points.shape[1] != len(video):
        raise ValueError(
            f"{name}: expected points (n, {len(video)}, 2) and occluded (n, {len(video)}), "
            f"got {tuple(points.shape)} and {tuple(occluded.shape)}"
        )
    truth_xy = rearrange(points * torch.tensor(video.wh) - 0.5, "n t xy -> t n xy")
    truth_visible = rearrange(~occluded, "n t -> t n")
    return sampled_example(name, video, truth_xy, truth_visible, mode)


def _decode(name: str, frames: Any) -> np.ndarray:
    """Frames as stored, raw or one JPEG each -> (t, h, w, 3) uint8 RGB."""
    if isinstance(frames, np.ndarray) and frames.ndim == 4:
        return frames
    images = []
    for frame in frames:
        image = cv2.imdecode(np.frombuffer(frame, np.uint8), cv2.IMREAD_COLOR)
        if image is None:
            raise ValueError(f"{name}: expected JPEG frames, got bytes that do not decode")
        images.append(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
    return np.stack(images)
