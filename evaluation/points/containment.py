"""Measure whether points stay on their object, without true tracks: `python -m evaluation.points.containment`."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from itertools import islice

import cv2
import numpy as np
import torch

from evaluation.masks.datasets import MaskExample, load_mask_examples
from evaluation.points.methods import build_methods
from evaluation.tables import markdown_table, split_names
from pointtrack.cli.runner import run_command
from pointtrack.tracking.classical import Method
from pointtrack.types import Queries, Tracks

Figures = dict[str, float]

INSET_PX = 4  # least distance of a point from the outline of the first mask
SLACK_PX = 2  # allowed distance outside a later mask, since people draw the outlines


def inside_queries(example: MaskExample, object_id: int, count: int) -> Queries:
    """Points spread over an object's mask on its first frame, always the same for an example.

    Args:
        example: a video with masks.
        object_id: id of the object.
        count: most points; fewer if the mask has fewer pixels. They stay 4 px off its outline if it is wide enough.
    """
    frame = example.starts()[object_id]
    mask = example.true_mask(object_id, frame)
    core = cv2.erode(mask.astype(np.uint8), _disk(INSET_PX), borderValue=0) > 0
    pixels = np.argwhere(core if core.any() else mask)
    chosen = np.random.default_rng(object_id).permutation(len(pixels))[:count]
    xy = torch.from_numpy(pixels[chosen][:, ::-1].copy()).float()
    return Queries(torch.full((len(xy),), frame), xy)


def inside_figures(tracks: Tracks, example: MaskExample, object_id: int) -> Figures:
    """Measure how well points stay on their object, on the annotated frames after its first that show it.

    A mask shows where the object is, not where its points are, so a point that slides over the object goes unnoticed.

    Args:
        tracks: tracks of points on the object (`inside_queries`), over all frames of the video.
        example: the video with masks.
        object_id: id of the object.

    Returns:
        In percent: "inside", share of the points tracked as visible that are on the object or within 2 px of it;
        "visible", share of points tracked as visible; "anywhere", share of all points, visible or not, that lie on it.
        NaN if there is nothing to count.
    """
    counted = example.annotated.clone()
    counted[: example.starts()[object_id] + 1] = False
    shown, lies = [], []
    visible = tracks.visible()
    for frame in counted.nonzero()[:, 0].tolist():
        mask = example.true_mask(object_id, frame)
        if not mask.any():
            continue
        near = cv2.dilate(mask.astype(np.uint8), _disk(SLACK_PX)) > 0
        x, y = tracks.xy[frame].round().long().unbind(-1)
        w, h = example.video.wh
        in_frame = (x >= 0) & (x < w) & (y >= 0) & (y < h)
        on = torch.from_numpy(near[y.clamp(0, h - 1).numpy(), x.clamp(0, w - 1).numpy()])
        shown.append(visible[frame])
        lies.append(on & in_frame)
    if not shown:
        return dict.fromkeys(("inside", "visible", "anywhere"), math.nan)
    seen, on_object = torch.stack(shown), torch.stack(lies)
    return {
        "inside": 100 * float(on_object[seen].float().mean()),  # the mean of nothing is NaN
        "visible": 100 * float(seen.float().mean()),
        "anywhere": 100 * float(on_object.float().mean()),
    }


def measure_inside(
    methods: dict[str, Method], examples: Iterable[MaskExample], points: int
) -> dict[str, dict[str, Figures]]:
    """Example -> method -> means over its objects of the figures of `inside_figures`."""
    found: dict[str, dict[str, Figures]] = {}
    for example in examples:
        for name, method in methods.items():
            each = []
            for object_id in example.starts():
                tracks = method(example.video, inside_queries(example, object_id, points))
                each.append(inside_figures(tracks, example, object_id))
            found.setdefault(example.name, {})[name] = mean_figures(each)
    return found


def mean_figures(rows: list[Figures]) -> Figures:
    """The mean of every figure, over the rows in which it is known."""
    means = {}
    for name in rows[0]:
        known = [row[name] for row in rows if not math.isnan(row[name])]
        means[name] = sum(known) / len(known) if known else math.nan
    return means


def inside_command(
    datasets: str = "davis_dev",
    methods: str = "pointtrack,dis,lk",
    tracker: str | None = None,
    points: int = 100,
    subset: int | None = None,
) -> None:
    """Track points on an object from its first frame, and print the shares of them that stay on it.

    inside: of the points tracked as visible; visible: tracked as visible; anywhere: of all points. In percent.

    Args:
        datasets: comma-separated, as for `pointtrack eval-masks`.
        methods: comma-separated: pointtrack, dis, lk, static.
        tracker: name or checkpoint file of the tracker that pointtrack loads; its default if left out.
        points: points per object.
        subset: only the first so many videos of each dataset.

    Raises:
        ValueError: an unknown method or dataset, no points. FileNotFoundError: a dataset is missing.
    """
    if points < 1:
        raise ValueError(f"points: expected at least 1 per object, got {points}")
    built = build_methods(split_names(methods), tracker)
    examples = (e for name in split_names(datasets) for e in islice(load_mask_examples(name), subset))
    found = measure_inside(built, examples, points)
    lines = [["method", "video", "inside", "visible", "anywhere"]]
    for name in built:
        rows = {video: of[name] for video, of in found.items()}
        rows["mean"] = mean_figures(list(rows.values()))
        lines += [[name, video, *(f"{v:.1f}" for v in row.values())] for video, row in rows.items()]
    print(markdown_table(lines))


def _disk(radius: int) -> np.ndarray:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))


if __name__ == "__main__":
    sys.exit(run_command(lambda: inside_command, sys.argv[1:], "evaluation.points.containment"))
