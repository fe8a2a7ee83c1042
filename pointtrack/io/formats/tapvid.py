"""Tracks in the layout of the TAP-Vid data sets: .npz of one video, .pkl as TAP-Vid-DAVIS."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import torch
from einops import rearrange

from pointtrack.checks import counted
from pointtrack.io.atomic import atomic_path
from pointtrack.io.formats.text import size_needed
from pointtrack.io.npz import write_npz
from pointtrack.io.outside import read_arrays
from pointtrack.types import Queries, Tracks, Video


def write(path: Path, tracks: Tracks, video: Video | None) -> None:
    """Write "points" (n, t, 2), "occluded" (n, t), "query_points" (n, 3), and "video" (t, h, w, 3) if given.

    Positions are (x, y) in 0..1 from outer edge to outer edge, (x + 0.5) / width; query points are (t, y, x), with
    y and x in the same units. A .pkl holds a dict that uses the stem of the path as the video's name.

    Raises:
        ValueError: a .pkl without the video, or tracks that do not fit the video.
    """
    pickled = path.suffix.lower() == ".pkl"
    if pickled and video is None:
        raise ValueError(f"{path}: expected the video too, as TAP-Vid pickles hold it; give video=")
    if video is not None and (len(video), video.wh) != (len(tracks), tracks.wh):
        raise ValueError(
            f"video: expected {counted(len(tracks), 'frame')} of {tracks.wh} as in the tracks, got {len(video)} of {video.wh}"
        )
    size = np.array(tracks.wh, dtype=np.float64)
    requested = (tracks.queries.xy.double().numpy() + 0.5) / size
    frame = tracks.queries.frame.numpy()[:, None] - tracks.first_frame
    content = {
        "points": rearrange((tracks.xy.double().numpy() + 0.5) / size, "t n xy -> n t xy"),
        "occluded": rearrange(~(tracks.visible() & tracks.in_frame()).numpy(), "t n -> n t"),
        "query_points": np.concatenate([frame, requested[:, ::-1]], axis=1),
        **({} if video is None else {"video": np.ascontiguousarray(video.frames)}),
    }
    if pickled:
        with atomic_path(path) as part, part.open("wb") as file:
            pickle.dump({path.stem: content}, file, protocol=4)
    else:
        write_npz(path, content)


def read(path: Path, wh: tuple[int, int] | None, fps: float) -> Tracks:
    """Read an .npz file; if it holds a video, the size is that of the video.

    Raises:
        ValueError: a .pkl file, which may hold many videos, or an .npz file of another layout.
    """
    if path.suffix.lower() == ".pkl":
        raise ValueError(
            "a pickle may hold many videos: read it with pointtrack.datasets.tapvid.tapvid_clips"
        )
    data = read_arrays(path, "tracks in the format tapvid", ("points", "occluded"))
    points, occluded = data["points"].astype(np.float64), data["occluded"].astype(bool)
    requested = data.get("query_points")
    shape = data["video"].shape if "video" in data else None
    size = size_needed(wh) if shape is None else (int(shape[2]), int(shape[1]))
    if points.shape != (*occluded.shape, 2):
        raise ValueError(f"its points are {points.shape}, its occluded {occluded.shape}")
    xy = rearrange(points * size - 0.5, "n t xy -> t n xy")
    visible = rearrange(~occluded, "n t -> t n") & np.isfinite(xy).all(axis=-1)
    probability = torch.from_numpy(visible).float()
    queries = (
        _first_visible(xy, visible)
        if requested is None
        else Queries(torch.from_numpy(requested[:, 0]), torch.from_numpy(requested[:, :0:-1] * size - 0.5))
    )
    return Tracks(torch.from_numpy(xy), probability, probability, queries, size, fps=fps)


def _first_visible(xy: np.ndarray, visible: np.ndarray) -> Queries:
    """The query mode "first" of TAP-Vid."""
    if not visible.any(axis=0).all():
        raise ValueError("it holds points that are never visible, and does not say where they were asked for")
    frame = visible.argmax(axis=0)
    return Queries(torch.from_numpy(frame), torch.from_numpy(xy[frame, np.arange(xy.shape[1])]))
