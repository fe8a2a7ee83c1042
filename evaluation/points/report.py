"""Run methods over examples, keep every result in a JSON file, and print one table."""

from __future__ import annotations

import json
import math
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from evaluation.points.example import Example
from evaluation.points.metrics import (
    ABSENCES,
    THRESHOLDS_PX,
    pck_t,
    redetection_jaccard,
    tapvid_metrics,
    to_metric_pixels,
)
from evaluation.points.protocol import protocol_lines
from evaluation.tables import markdown_table, write_json
from pointtrack.tracking.classical import Method
from pointtrack.types import Tracks

Result = dict[str, Any]

# Column title -> key of a result; all but the last are shown in per cent.
COLUMNS = {
    "δavg": "average_pts_within_thresh",
    **{f"δ{threshold}": f"pts_within_{threshold}" for threshold in THRESHOLDS_PX},
    "AJ": "average_jaccard",
    "OA": "occlusion_accuracy",
    "AJ_RD": "average_rd_jaccard",
    "PCK-T": "pck_t",
    "s/frame": "seconds_per_frame",
}
NEEDS_VISIBILITY = (
    "average_jaccard",
    "occlusion_accuracy",
    *(f"jaccard_{x}" for x in THRESHOLDS_PX),
    "average_rd_jaccard",
    *(f"rd_jaccard_{x}" for x in ABSENCES),
)
PER_SEQUENCE = ("badja",)  # datasets whose sequences get a row each


def evaluate(
    methods: dict[str, Method],
    examples: Iterable[Example],
    threshold: float = 0.5,
    done: Sequence[Result] = (),
    on_result: Callable[[list[Result]], None] | None = None,
) -> list[Result]:
    """Score every method on every example.

    Args:
        methods: name -> callable (Video, Queries) -> Tracks.
        examples: read one at a time, so a generator keeps one video in memory.
        threshold: visibility above which a predicted point counts as visible, for AJ and OA.
        done: results of an earlier call; those of the same method on the same frames and queries are kept
            instead of run again.
        on_result: called with all results so far, after every new one.

    Returns:
        One dict per method and example: "method", "dataset", "example", "frames", "points", "wh",
        "fingerprint" of the input, "seconds_per_frame", the metrics of `tapvid_metrics` and "pck_t" in
        [0, 1]; None where a metric is not defined there.

    Raises:
        ValueError: no examples, or a method that returns another number of frames or points.
    """

    def run(name: str, example: Example) -> Result:
        start = time.perf_counter()
        tracks = methods[name](example.video, example.queries)
        seconds = (time.perf_counter() - start) / len(example.video)
        scores = score(tracks, example, threshold)
        return {"points": len(example.queries), "seconds_per_frame": seconds, **scores}

    return score_all(methods, examples, fingerprint, run, done, on_result)


def score_all(
    methods: Iterable[str],
    examples: Iterable[Any],
    fingerprint: Callable[[Any], str],
    run: Callable[[str, Any], Result],
    done: Sequence[Result] = (),
    on_result: Callable[[list[Result]], None] | None = None,
) -> list[Result]:
    """Call `run` for every method on every example, and return its results after the description of the example.

    Results in `done` of the same method on the same input are kept. Calls `on_result` with all results so far, after
    every new one. Raises ValueError if there is no result.
    """
    finished = {(result["method"], result["example"], result["fingerprint"]): result for result in done}
    results: list[Result] = []
    for example in examples:
        about = {
            "dataset": example.dataset,
            "example": example.name,
            "frames": len(example.video),
            "wh": list(example.video.wh),
            "fingerprint": fingerprint(example),
        }
        for name in methods:
            known = finished.get((name, example.name, about["fingerprint"]))
            results.append(known or {"method": name, **about, **run(name, example)})
            if known is None and on_result is not None:
                on_result(results)
    if not results:
        raise ValueError("evaluate: expected at least one example and one method, got none")
    return results


def score(tracks: Tracks, example: Example, threshold: float = 0.5) -> dict[str, float | None]:
    """Metrics of one example in [0, 1], None where one is not defined.

    Raises:
        ValueError: tracks of another number of frames or points.
    """
    if tracks.xy.shape != example.truth_xy.shape:
        raise ValueError(
            f"{example.name}: expected tracks {tuple(example.truth_xy.shape)}, got {tuple(tracks.xy.shape)}"
        )
    xy, truth_xy = (to_metric_pixels(x, example.video.wh) for x in (tracks.xy, example.truth_xy))
    visible, truth_visible = tracks.visible(threshold), example.truth_visible
    values = tapvid_metrics(xy, visible, truth_xy, truth_visible, example.evaluated)
    scores = {name: float(value) for name, value in values.items()}
    scores.update(redetection_jaccard(xy, visible, truth_xy, truth_visible))
    scores["pck_t"] = math.nan
    if example.area is not None:
        annotated = example.evaluated & example.truth_visible
        scores["pck_t"] = pck_t(tracks.xy, example.truth_xy, annotated, example.area)
    if not example.visibility_known:
        scores.update(dict.fromkeys(NEEDS_VISIBILITY, math.nan))
    return {name: None if math.isnan(value) else value for name, value in scores.items()}


def summarise(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Per-example results -> rows of the table: means over the videos of each dataset, for each method.

    A row has "dataset", "method", "videos" and the keys of `COLUMNS`. Videos where a metric is not
    defined are left out of its mean.
    """
    rows = []
    for dataset in dict.fromkeys(result["dataset"] for result in results):
        in_dataset = [result for result in results if result["dataset"] == dataset]
        groups = [(dataset, in_dataset)]
        if dataset in PER_SEQUENCE:
            names = dict.fromkeys(result["example"] for result in in_dataset)
            groups = [(name, [r for r in in_dataset if r["example"] == name]) for name in names]
            groups.append((f"{dataset} mean", in_dataset))
        for title, group in groups:
            for method in dict.fromkeys(result["method"] for result in group):
                of_method = [result for result in group if result["method"] == method]
                means = {key: _mean(result[key] for result in of_method) for key in COLUMNS.values()}
                rows.append({"method": method, "dataset": title, "videos": len(of_method), **means})
    return rows


def format_table(rows: Sequence[dict[str, Any]]) -> str:
    """Rows of `summarise` -> an aligned Markdown table; metrics in per cent."""
    cells = [["method", "dataset", "videos", *COLUMNS]]
    for row in rows:
        values = []
        for key in COLUMNS.values():
            value = row[key]
            number = f"{value:.3f}" if key == "seconds_per_frame" else f"{100 * (value or 0):.1f}"
            values.append("-" if value is None else number)
        cells.append([row["method"], row["dataset"], str(row["videos"]), *values])
    return markdown_table(cells)


def describe(results: Sequence[Result], settings: dict[str, Any]) -> str:
    """Describe what you need to compare the table: sizes, query mode, threshold, protocol, versions.

    Args:
        results: results of `evaluate`.
        settings: "mode", "threshold", and under "pointtrack" the `AskedTracker.settings`, or None if pointtrack
            was not measured.
    """
    sizes: dict[str, list[str]] = {}
    for result in results:
        size = f"{result['wh'][0]}x{result['wh'][1]}"
        if size not in sizes.setdefault(result["dataset"], []):
            sizes[result["dataset"]].append(size)
    shown = "; ".join(f"{name} {', '.join(found)}" for name, found in sizes.items())
    lines = [
        f"video size: {shown}",
        "metric size: 256x256 for δ, AJ, OA (factor 256/w); PCK-T in video pixels, radius 0.2 sqrt(area)",
        "query mode: badja first visible annotation; others " + settings["mode"],
        f"visible above: {settings['threshold']:g}",
        *(protocol_lines(settings["pointtrack"], settings["mode"]) if settings["pointtrack"] else []),
        "versions: " + ", ".join(f"{name} {version}" for name, version in versions().items()),
    ]
    return "\n".join(lines)


def versions() -> dict[str, str]:
    """Versions of the software that the figures depend on."""
    try:
        own = metadata.version("pointtrack")
    except metadata.PackageNotFoundError:
        own = "not installed"
    return {"torch": torch.__version__, "pointtrack": own, "opencv": cv2.__version__, "numpy": np.__version__}


def write_report(path: str | Path, results: Sequence[Result], settings: dict[str, Any]) -> Path:
    """Write settings, versions, rows and per-example results as JSON, atomically."""
    content = {
        "settings": settings,
        "versions": versions(),
        "rows": summarise(results),
        "results": list(results),
    }
    return write_json(path, content)


def read_finished(path: str | Path, settings: dict[str, Any]) -> tuple[list[Result], dict[str, Any]]:
    """Read an earlier report to continue.

    Args:
        path: file of the report; need not exist yet.
        settings: settings of this run; None for unused ones, such as those of a tracker that it does not run.

    Returns:
        The results of the earlier run, and the settings completed with those that only that run used.

    Raises:
        ValueError: the file is not a report, or was made with other settings.
    """
    path = Path(path)
    if not path.is_file():
        return [], settings
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        earlier, results = dict(content["settings"]), content["results"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path}: expected a report of an earlier evaluation to resume, got {error!r}"
        ) from error
    both = {name: earlier.get(name) if value is None else value for name, value in settings.items()}
    if {name: both.get(name) if value is None else value for name, value in earlier.items()} != both:
        raise ValueError(
            f"{path}: expected a report made with {settings}, got {earlier}; "
            "choose another file, or leave out --resume to start anew"
        )
    return results, both


def with_earlier(results: list[Result], done: list[Result]) -> list[Result]:
    """Results, then those of an earlier run that this run did not repeat."""
    covered = {(result["method"], result["example"]) for result in results}
    return results + [result for result in done if (result["method"], result["example"]) not in covered]


def fingerprint(example: Example) -> str:
    """Short hexadecimal digest of an example's frames, queries and truth."""
    queries = example.queries
    parts = (queries.frame, queries.xy, example.truth_xy, example.truth_visible, example.evaluated)
    return digest([*(part.numpy() for part in parts), *example.video.frames])


def digest(arrays: Iterable[np.ndarray]) -> str:
    """Short hexadecimal digest of the values of several arrays in order."""
    value = 0
    for array in arrays:
        value = zlib.crc32(np.ascontiguousarray(array).data, value)
    return f"{value:08x}"


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
