"""Points that something hides: a pillar passes before all of them, see `evaluation/pillar.py`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from evaluation.pillar import FRAMES, Phases, cover
from evaluation.points.example import Example
from evaluation.points.metrics import THRESHOLDS_PX, to_metric_pixels
from pointtrack.tracking.classical import Method
from pointtrack.types import Tracks, Video

MARGIN = (
    0.02  # by how much the pillar is wider than the outermost points on either side, in widths of the frame
)


@dataclass(frozen=True)
class HiddenPoints:
    """One video, all in per cent.

    Attributes:
        example: name of the video.
        noticed: share of the points said to be hidden on the frames on which they are.
        unhidden: δavg on the last frames, on which the points are in view again, of the video without a pillar.
        after: δavg on the same frames of the video with the pillar.
    """

    example: str
    noticed: float
    unhidden: float
    after: float


def hide_points(example: Example, picture: np.ndarray) -> tuple[Example, Example, Phases]:
    """Let a pillar pass before all points of an example that are known on its first frames.

    Args:
        example: a video with known points.
        picture: (h, w, 3) uint8 of any size; the pillar shows the part of it that lies there.

    Returns:
        The first frames of the example without the pillar and with it, and when the points are hidden.
    """
    count = min(len(example.video), FRAMES)
    phases = Phases.of(count)
    kept = example.queries.frame < phases.before.stop
    short = replace(
        example,
        video=Video(np.array(example.video.frames[:count]), fps=example.video.fps),
        queries=example.queries.select(kept),
        truth_xy=example.truth_xy[:count, kept],
        truth_visible=example.truth_visible[:count, kept],
        evaluated=example.evaluated[:count, kept],
        area=None,
    )
    frames = np.array(short.video.frames)
    width = short.video.wh[0]
    left, right = _outermost(short)
    covered, _ = cover(frames, left - MARGIN * width, right + MARGIN * width, picture, phases)
    return short, replace(short, video=Video(covered, fps=example.video.fps)), phases


def _outermost(example: Example) -> tuple[np.ndarray, np.ndarray]:
    """Columns (t,) of the leftmost and the rightmost point; between frames on which a point is known, it moves evenly."""
    columns = torch.where(example.truth_visible, example.truth_xy[..., 0], torch.nan).numpy().T
    frames = np.arange(len(example.video))
    known = [(x, np.isfinite(x)) for x in columns]
    paths = np.stack([np.interp(frames, frames[seen], x[seen]) for x, seen in known if seen.any()])
    return paths.min(0), paths.max(0)


def follow_hidden_points(method: Method, example: Example, picture: np.ndarray) -> HiddenPoints | None:
    """Track the points of an example with and without a pillar before them; None if none is known afterwards."""
    plain, hidden, phases = hide_points(example, picture)
    counted = torch.zeros_like(hidden.evaluated)
    counted[list(phases.after)] = True
    counted &= hidden.evaluated & hidden.truth_visible
    if not bool(counted.any()):
        return None
    unhidden, tracks = (method(one.video, one.queries) for one in (plain, hidden))
    noticed = ~tracks.visible()[list(phases.hidden)]
    return HiddenPoints(
        example.name,
        100 * float(noticed.float().mean()),
        _delta(unhidden, plain, counted),
        _delta(tracks, hidden, counted),
    )


def _delta(tracks: Tracks, example: Example, counted: Tensor) -> float:
    """δavg over some frames of points, in per cent."""
    xy = to_metric_pixels(tracks.xy, example.video.wh)
    error = (xy - to_metric_pixels(example.truth_xy, example.video.wh)).norm(dim=-1)
    return 100 * float(np.mean([float((error[counted] < limit).float().mean()) for limit in THRESHOLDS_PX]))


def mean_hidden(found: Iterable[HiddenPoints]) -> HiddenPoints:
    """The mean over sets of the mean over their videos."""
    sets: dict[str, list[tuple[float, float, float]]] = {}
    for one in found:
        sets.setdefault(one.example.split("/")[0], []).append((one.noticed, one.unhidden, one.after))
    return HiddenPoints("mean over sets", *np.mean([np.mean(rows, 0) for rows in sets.values()], 0).tolist())
