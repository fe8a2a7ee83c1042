"""The figure that judges changes of the tracker: the mean over the development sets, with an interval."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch

from evaluation.points.calibration import counted_by_score
from evaluation.points.example import Example
from evaluation.points.metrics import THRESHOLDS_PX, pck_t, to_metric_pixels
from evaluation.tables import markdown_table
from pointtrack.tracking.classical import Method

VideoResult = dict[str, Any]

# Sets with labelled frames only, far apart: a different task, so they are listed separately and not in the mean.
LOW_RATE = ("dlc_openfield",)
RIGHT_PX = 16  # of a 256 x 256 image: a point farther from the truth than this has failed
DRAWS, INTERVAL = 2000, 95  # of the bootstrap, per cent
PER_POINT = ("scored", "delta", "within_16", "after", "returned")  # lists of a result
FIGURES = {"delta": "δavg", "within_16": "δ16", "returned": "right after a failure"}


def measure(
    method: Method, examples: Iterable[Example], on_result: Callable[[VideoResult], None] | None = None
) -> list[VideoResult]:
    """Track the points of every example.

    Returns:
        Per video "set", "video", "pck_t" (None if not defined), and lists with an entry per point: "scored", number of
        frames that count; "delta" and "within_16", sums over these; "after", number of these after the first failure,
        and "returned", number of the latter on which the point is right again; and "answers" and "near_truth" of
        `counted_by_score`.
    """
    results = []
    for example in examples:
        tracks = method(example.video, example.queries)
        xy = to_metric_pixels(tracks.xy, example.video.wh)
        error = (xy - to_metric_pixels(example.truth_xy, example.video.wh)).norm(dim=-1)
        counted = example.evaluated & example.truth_visible
        near = torch.stack([(error < limit) & counted for limit in THRESHOLDS_PX]).double()
        wrong = counted & ~(error < RIGHT_PX)
        failed_before = torch.cat([torch.zeros_like(wrong[:1]), wrong[:-1].cumsum(0) > 0])
        after = counted & failed_before
        area = example.area
        result = {
            "set": example.dataset,
            "video": example.name,
            "pck_t": None if area is None else pck_t(tracks.xy, example.truth_xy, counted, area),
            "scored": counted.sum(0).tolist(),
            "delta": near.mean(0).sum(0).tolist(),
            "within_16": near[-1].sum(0).tolist(),
            "after": after.sum(0).tolist(),
            "returned": (after & ~wrong).sum(0).tolist(),
            **counted_by_score(tracks, example.truth_xy, counted),
        }
        results.append(result)
        if on_result is not None:
            on_result(result)
    return results


def figure(results: Sequence[VideoResult], name: str) -> float:
    """The mean over sets of the mean over their videos of a figure in [0, 1]; NaN if no video has one.

    "returned" counts all points of a set together, since few points of a video fail.
    """
    return _mean(set_figures(results, name).values())


def set_figures(results: Sequence[VideoResult], name: str) -> dict[str, float]:
    """Set -> figure in [0, 1]; sets of low frame rate are left out if there are others."""
    high = [result for result in results if result["set"] not in LOW_RATE] or list(results)
    sets = dict.fromkeys(result["set"] for result in high)
    return {one: _of_set([r for r in high if r["set"] == one], name) for one in sets}


def interval(
    results: Sequence[VideoResult], name: str, before: Sequence[VideoResult] | None = None, seed: int = 0
) -> tuple[float, float]:
    """Bootstrap interval of a figure, or of its gain over `before` on the same videos and points.

    Resamples the videos of every set, and the points of every video, so that sets of one video have a spread too.
    """
    generator = np.random.default_rng(seed)
    other = {result["video"]: result for result in before or ()}
    if before is not None and {r["video"] for r in results} != set(other):
        raise ValueError(
            f"before: expected the videos {sorted(r['video'] for r in results)}, got {sorted(other)}"
        )
    values = []
    for _ in range(DRAWS):
        drawn, paired = [], []
        for one in dict.fromkeys(r["set"] for r in results):
            videos = [r for r in results if r["set"] == one]
            for i in generator.integers(len(videos), size=len(videos)):
                points = generator.integers(len(videos[i]["scored"]), size=len(videos[i]["scored"]))
                drawn.append(_chosen(videos[i], points))
                if before is not None:
                    paired.append(_chosen(other[videos[i]["video"]], points))
        value = figure(drawn, name)
        values.append(value - figure(paired, name) if before is not None else value)
    half = (100 - INTERVAL) / 2
    low, high = np.nanpercentile(values, [half, 100 - half])
    return float(low), float(high)


def development_table(results: Sequence[VideoResult], before: Sequence[VideoResult] | None = None) -> str:
    """A row per set, the mean with its interval, and the gain over an earlier run."""
    titles = ["", *(f"{shown}{when}" for shown in FIGURES.values() for when in _columns(before)), "PCK-T"]
    low = [r for r in results if r["set"] in LOW_RATE]
    lines = [titles]
    high = [r for r in results if r["set"] not in LOW_RATE]
    groups = {name: [r for r in high if r["set"] == name] for name in dict.fromkeys(r["set"] for r in high)}
    if high:
        groups["mean over sets"] = high
    groups |= {f"{name} (low frame rate)": [r for r in low if r["set"] == name] for name in LOW_RATE if low}
    lines += [_row(title, group, before) for title, group in groups.items()]
    text = [markdown_table(lines, names=1), ""]
    if high:
        least, most = (100 * x for x in interval(high, "delta"))
        text.append(
            f"mean δavg: {100 * figure(high, 'delta'):.1f}, {INTERVAL} % interval {least:.1f} to {most:.1f}"
        )
        if before is not None:
            same = [r for r in before if r["set"] not in LOW_RATE]
            rise = 100 * (figure(high, "delta") - figure(same, "delta"))
            least, most = (100 * x for x in interval(high, "delta", same))
            text.append(f"rise of it: {rise:+.1f}, {INTERVAL} % interval {least:+.1f} to {most:+.1f}")
    return "\n".join(text)


def _columns(before: Sequence[VideoResult] | None) -> list[str]:
    return [""] if before is None else [" before", ""]


def _row(title: str, results: Sequence[VideoResult], before: Sequence[VideoResult] | None) -> list[str]:
    names = {result["video"] for result in results}
    earlier = None if before is None else [r for r in before if r["video"] in names]
    cells = [title]
    for name in FIGURES:
        cells += [_shown(figure(of, name)) for of in ([results] if earlier is None else [earlier, results])]
    return [*cells, _shown(_mean(r["pck_t"] for r in results if r["pck_t"] is not None))]


def _of_set(videos: Sequence[VideoResult], name: str) -> float:
    if name == "returned":
        after = sum(sum(r["after"]) for r in videos)
        return sum(sum(r["returned"]) for r in videos) / after if after else float("nan")
    return _mean(sum(r[name]) / sum(r["scored"]) for r in videos if sum(r["scored"]))


def _chosen(result: VideoResult, points: np.ndarray) -> VideoResult:
    lists = {name: result[name] for name in PER_POINT}
    return {**result, **{name: [value[i] for i in points] for name, value in lists.items()}}


def _mean(values: Iterable[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return sum(known) / len(known) if known else float("nan")


def _shown(value: float) -> str:
    return "-" if np.isnan(value) else f"{100 * value:.1f}"
