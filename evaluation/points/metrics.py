"""Point metrics: TAP-Vid (AJ, δ, OA) with its query samplers, PCK-T of BADJA, AJ_RD of TAPNext++, and jitter.

Arrays are (t, n) as everywhere in pointtrack. TAP-Vid distances are in pixels of a 256 x 256 image,
whatever the size of the video: `to_metric_pixels` converts to these.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor

from pointtrack.checks import check_shape
from pointtrack.geometry import rescale_points

QueryMode = Literal["first", "strided"]

THRESHOLDS_PX = (1, 2, 4, 8, 16)
METRIC_WH = (256, 256)
STRIDE = 5
PCK_SHARE = 0.2
ABSENCES = (1, 4, 16, 64, 256)  # frames out of sight


def to_metric_pixels(xy: Tensor, wh: tuple[int, int]) -> Tensor:
    """(..., 2) pixels of a video of size `wh` -> (..., 2) float64 pixels of the 256 x 256 metric image.

    Outer edges map onto outer edges (factor 256 / w), as in tapnet; CoTracker uses 255 / (w - 1).
    """
    return rescale_points(xy.double(), wh, METRIC_WH, rule="edges")


def evaluated_frames(query_frame: Tensor, frames: int, mode: QueryMode) -> Tensor:
    """(n,) query frames -> (t, n) bool, which frames count.

    "first": those after the query frame. "strided": all but the query frame.

    Raises:
        ValueError: an unknown mode.

    >>> evaluated_frames(torch.tensor([1]), 4, "first").flatten().tolist()
    [False, False, True, True]
    """
    _check_mode(mode)
    frame = torch.arange(frames)[:, None]
    query_frame = torch.as_tensor(query_frame)[None]
    return frame > query_frame if mode == "first" else frame != query_frame


def sample_queries(visible: Tensor, mode: QueryMode, stride: int = STRIDE) -> tuple[Tensor, Tensor]:
    """Choose the query frames of annotated points.

    Args:
        visible: (t, n) bool, whether each annotated point is in view.
        mode: "first": every point on the first frame on which it is visible; points that are never visible are
            left out. "strided": on frames 0, stride, 2 * stride, ... every point that is visible there, so points
            repeat.
        stride: frames between two query frames of "strided".

    Returns:
        frame: (q,) query frames; point: (q,) index of the annotated point each query is about.

    Raises:
        ValueError: an unknown mode, or a stride below 1.

    Source: TAP-Vid (Doersch et al., 2022), both query modes.
    """
    _check_mode(mode)
    if stride < 1:
        raise ValueError(f"stride: expected at least 1 frame, got {stride}")
    visible = torch.as_tensor(visible, dtype=torch.bool)
    check_shape(visible, "t n", "visible")
    if mode == "first":
        point = visible.any(dim=0).nonzero().flatten()
        # argmax gives the first of equal maxima on the CPU only for integers, hence the cast.
        return visible[:, point].int().argmax(dim=0), point
    row, point = visible[::stride].nonzero(as_tuple=True)
    return row * stride, point


def tapvid_metrics(
    xy: Tensor,
    visible: Tensor,
    truth_xy: Tensor,
    truth_visible: Tensor,
    evaluated: Tensor,
    per_track: bool = False,
) -> dict[str, Tensor]:
    """TAP-Vid metrics of one video.

    Args:
        xy, truth_xy: (t, n, 2) predicted and true positions in 256 x 256 pixels. A NaN prediction counts as
            infinitely far away. NaN truth is allowed where it is not both evaluated and visible.
        visible, truth_visible: (t, n) bool.
        evaluated: (t, n) bool, frames that count; see `evaluated_frames`.
        per_track: one value per point instead of one for the video.

    Returns:
        float64 values in [0, 1], scalars or (n,); NaN where nothing could be counted:
        "occlusion_accuracy"; for x in 1, 2, 4, 8, 16 px "pts_within_x" (visible truth nearer than x) and
        "jaccard_x"; their means "average_pts_within_thresh" (δavg) and "average_jaccard" (AJ).

    Raises:
        ValueError: shapes that do not fit together.

    Source: TAP-Vid (Doersch et al., 2022); distances are compared with a strict <.
    """
    shape = check_shape(xy, "t n 2", "xy")
    check_shape(truth_xy, f"{shape['t']} {shape['n']} 2", "truth xy")
    flags = {"visible": visible, "truth visible": truth_visible, "evaluated": evaluated}
    for name, flag in flags.items():
        check_shape(flag, f"{shape['t']} {shape['n']}", name)
    visible, truth_visible, evaluated = (torch.as_tensor(flag, dtype=torch.bool) for flag in flags.values())

    def count(flag: Tensor) -> Tensor:
        counted = flag & evaluated
        return counted.sum(dim=0).double() if per_track else counted.sum().double()

    squared_px = (xy.double() - truth_xy.double()).square().sum(dim=-1)
    seen = count(truth_visible)
    metrics = {"occlusion_accuracy": count(visible == truth_visible) / count(evaluated)}
    for threshold in THRESHOLDS_PX:
        near = squared_px < threshold**2
        metrics[f"pts_within_{threshold}"] = count(near & truth_visible) / seen
        hit = count(near & truth_visible & visible)
        false_alarm = count(visible & ~(near & truth_visible))
        metrics[f"jaccard_{threshold}"] = hit / (seen + false_alarm)
    metrics["average_jaccard"] = _mean(metrics, "jaccard")
    metrics["average_pts_within_thresh"] = _mean(metrics, "pts_within")
    return metrics


def pck_t(xy: Tensor, truth_xy: Tensor, evaluated: Tensor, area: Tensor) -> float:
    """Share of annotated joints found, over all frames and joints of one video (BADJA).

    Args:
        xy, truth_xy: (t, n, 2) pixels of the image in which `area` was counted.
        evaluated: (t, n) bool, annotated visible joints on frames after their query.
        area: (t,) pixels of the animal's mask; NaN where unknown.

    Returns:
        Share in [0, 1] nearer than 0.2 * sqrt(area of that frame), strictly; NaN when nothing is evaluated.

    Raises:
        ValueError: shapes that do not fit, or an evaluated frame without an area.

    Source: BADJA (Biggs et al., 2018), with the mask radius of its PCK.
    """
    shape = check_shape(xy, "t n 2", "xy")
    check_shape(truth_xy, f"{shape['t']} {shape['n']} 2", "truth xy")
    check_shape(evaluated, f"{shape['t']} {shape['n']}", "evaluated")
    check_shape(area, f"{shape['t']}", "area")
    unknown = evaluated.any(dim=1) & ~torch.isfinite(area)
    if unknown.any():
        raise ValueError(
            f"area: expected pixels on every evaluated frame, got NaN on frame {int(unknown.nonzero()[0])}"
        )
    distance_px = (xy.double() - truth_xy.double()).square().sum(dim=-1).sqrt()
    found = distance_px < PCK_SHARE * area.double().sqrt()[:, None]
    return float((found & evaluated).sum().double() / evaluated.sum().double())


def redetection_jaccard(
    xy: Tensor, visible: Tensor, truth_xy: Tensor, truth_visible: Tensor
) -> dict[str, float]:
    """Measure how well points are tracked once they reappear after some time out of sight.

    A point reappears on a frame on which it is visible if it was not on the frame before. The metric is the Jaccard
    value of its track from there to the end of the video. Only times out of sight that are longer than all earlier
    ones of that point count, including the time before it is first visible.

    Args:
        xy, truth_xy: (t, n, 2) predicted and true positions in 256 x 256 pixels, finite where the truth is visible.
        visible, truth_visible: (t, n) bool.

    Returns:
        Values in [0, 1], means over reappearances and over 1, 2, 4, 8 and 16 px: "rd_jaccard_d" for times out of sight
        of at least d = 1, 4, 16, 64 and 256 frames, NaN if there are none; "average_rd_jaccard" (AJ_RD), their mean.

    Raises:
        ValueError: shapes that do not fit together.

    Source: AJ_RD of TAPNext++; unlike TAP-Vid's, distances are compared with <=.
    """
    shape = check_shape(xy, "t n 2", "xy")
    check_shape(truth_xy, f"{shape['t']} {shape['n']} 2", "truth xy")
    flags = {"visible": visible, "truth visible": truth_visible}
    for name, flag in flags.items():
        check_shape(flag, f"{shape['t']} {shape['n']}", name)
    visible, truth_visible = (torch.as_tensor(flag, dtype=torch.bool) for flag in flags.values())
    squared_px = (xy.double() - truth_xy.double()).square().sum(dim=-1)
    values: dict[int, list[float]] = {least: [] for least in ABSENCES}
    for point, frame, absence in _returns(truth_visible):
        seen, shown = truth_visible[frame:, point], visible[frame:, point]
        scores = []
        for threshold in THRESHOLDS_PX:
            near = seen & (squared_px[frame:, point] <= threshold**2)
            hit, false_alarm = (near & shown).sum(), (shown & ~near).sum()
            scores.append(float(hit / (seen.sum() + false_alarm)))
        for least in ABSENCES:
            if absence >= least:
                values[least].append(sum(scores) / len(scores))
    means = {f"rd_jaccard_{least}": sum(x) / len(x) if x else math.nan for least, x in values.items()}
    known = [value for value in means.values() if not math.isnan(value)]
    return {**means, "average_rd_jaccard": sum(known) / len(known) if known else math.nan}


def _returns(visible: Tensor) -> Iterator[tuple[int, int, int]]:
    """Reappearances of points: number of the point, frame, and number of frames out of sight.

    >>> list(_returns(torch.tensor([0, 1, 0, 1, 0, 0, 1]).bool()[:, None]))
    [(0, 1, 1), (0, 6, 2)]
    """
    for point, seen in enumerate(visible.T.tolist()):
        absence, longest = 0, 0
        for frame, now in enumerate(seen):
            if now and absence > longest:
                longest = absence
                yield point, frame, absence
            absence = 0 if now else absence + 1


def jitter_px(xy: Tensor, visible: Tensor) -> float:
    """How much tracks tremble: the mean length of the second difference of positions, p(t+1) - 2 p(t) + p(t-1).

    Uniform motion gives 0, accelerated motion more than 0. Compare with the jitter of the truth, which is 0 where
    nothing moves. Independent normal noise of s pixels in x and y gives 3.07 s.

    Args:
        xy: (t, n, 2) pixels, of the video or in any other unit of the result. visible: (t, n) bool.

    Returns:
        Pixels, over all points and every three consecutive frames on which a point is visible and its position known;
        NaN if there are none.

    Raises:
        ValueError: shapes that do not fit.

    >>> jitter_px(torch.tensor([[[0.0, 0.0]], [[3.0, 4.0]], [[0.0, 0.0]]]), torch.ones(3, 1, dtype=torch.bool))
    10.0
    """
    shape = check_shape(xy, "t n 2", "xy")
    check_shape(visible, f"{shape['t']} {shape['n']}", "visible")
    seen = torch.as_tensor(visible, dtype=torch.bool) & torch.isfinite(xy).all(dim=-1)
    three = seen[2:] & seen[1:-1] & seen[:-2]
    bend = xy[2:].double() - 2 * xy[1:-1].double() + xy[:-2].double()
    return float(bend[three].norm(dim=-1).mean())


def _mean(metrics: dict[str, Tensor], name: str) -> Tensor:
    return torch.stack([metrics[f"{name}_{threshold}"] for threshold in THRESHOLDS_PX]).mean(dim=0)


def _check_mode(mode: str) -> None:
    if mode not in ("first", "strided"):
        raise ValueError(f"query mode: expected 'first' or 'strided', got {mode!r}")
