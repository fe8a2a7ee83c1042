"""The development sets of points: joints of bees, corners of a model house, a mouse, a pedestrian in boxes.

Rules and thresholds are chosen on these and on BADJA, never on the sets with reported figures.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from evaluation.points.example import Example, onto_image
from evaluation.points.metrics import evaluated_frames, sample_queries
from pointtrack.io.video import read_video
from pointtrack.types import Queries, Video

# Heights of the queries in a box, from its top: on the middle line of a pedestrian, where the person fills the box.
HEIGHTS_IN_BOX = (0.25, 0.5, 0.75)


def points_dev_examples(root: Path) -> Iterator[Example]:
    """Points that people labelled: queried at the first label, scored at later ones; "points_dev" of the data folder.

    A point without a label on a frame does not count there, since it need not be hidden.

    Args:
        root: folder with one folder per set, which has one per video: `frames/` and `points.npz`.

    Yields:
        Examples named "set/video".

    Raises:
        FileNotFoundError: no such folder, or no videos in it. ValueError: labels that do not fit their frames.
    """
    for path in _files(root, "points.npz"):
        video, name = _frames(path), f"{path.parts[-3]}/{path.parts[-2]}"
        with np.load(path) as data:
            rows = torch.from_numpy(data["frames"]).long()
            points = torch.from_numpy(data["points"]).double()
            labelled = torch.from_numpy(data["visible"]) & torch.isfinite(points).all(-1)
        if len(rows) and int(rows.max()) >= len(video):
            raise ValueError(f"{path}: expected labels of frames 0..{len(video) - 1}, got {int(rows.max())}")
        xy = torch.full((len(video), points.shape[1], 2), torch.nan, dtype=torch.float64)
        visible = torch.zeros(xy.shape[:2], dtype=torch.bool)
        xy[rows], visible[rows] = points, labelled
        yield labelled_example(name, video, xy, visible)


def boxes_dev_examples(root: Path) -> Iterator[Example]:
    """Points on the middle line of a box (x, y, w, h): they should stay at the same share of later boxes.

    These points are only as exact as the boxes, so the finer thresholds mean little.

    Args:
        root: folder with one folder per video: `frames/` and `boxes.npz`.

    Yields:
        Examples named "set/video", where a folder "otb_crossing" is the video "crossing" of the set "otb".

    Raises:
        FileNotFoundError: no such folder, or no videos in it. ValueError: boxes that do not fit their frames.
    """
    for path in _files(root, "boxes.npz"):
        video, name = _frames(path), path.parts[-2].replace("_", "/", 1)
        with np.load(path) as data:
            boxes = torch.from_numpy(data["boxes"]).double()
        if len(boxes) != len(video):
            raise ValueError(f"{path}: expected {len(video)} boxes, one per frame, got {len(boxes)}")
        share = torch.tensor([(0.5, y) for y in HEIGHTS_IN_BOX], dtype=torch.float64)
        # A box covers the pixels x .. x + w - 1, whose centres are whole numbers.
        xy = boxes[:, None, :2] + share * boxes[:, None, 2:] - 0.5
        visible = torch.isfinite(xy).all(-1)
        yield labelled_example(name, video, xy, visible)


def labelled_example(
    name: str, video: Video, xy: torch.Tensor, visible: torch.Tensor, area: torch.Tensor | None = None
) -> Example:
    """An example of points that count only where they are labelled.

    Args:
        name: "set/video".
        video: t frames.
        xy: (t, n, 2) pixels, NaN where unlabelled.
        visible: (t, n) bool, where labelled. Points without any label are left out.
        area: (t,) pixels of the object.
    """
    frame, point = sample_queries(visible, "first")
    xy, visible = xy[:, point], visible[:, point]
    requested = onto_image(xy[frame, torch.arange(len(point))], video.wh)
    counted = evaluated_frames(frame, len(video), "first") & visible
    return Example(
        name, video, Queries(frame, requested, ids=point), xy, visible, counted, area, visibility_known=False
    )


def _files(root: Path, name: str) -> list[Path]:
    found = sorted(root.rglob(name))
    if not found:
        raise FileNotFoundError(f"evaluation data: expected folders with {name} under {root}, found none")
    return found


def _frames(path: Path) -> Video:
    """The frames beside a file of truth, in the size that the file states."""
    video = read_video(path.parent / "frames")
    with np.load(path) as data:
        wh = tuple(data["size"].tolist())
    if video.wh != wh:
        raise ValueError(f"{path}: expected frames of {wh}, got {video.wh}")
    return video
