"""All figures that judge the shipped weights, in one table: `python -m evaluation.scoreboard`."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from evaluation.masks.datasets import load_mask_examples
from evaluation.masks.methods import build_mask_methods
from evaluation.masks.report import COLUMNS, evaluate_masks, summarise_masks
from evaluation.points.containment import mean_figures, measure_inside
from evaluation.points.datasets import load_examples
from evaluation.points.example import Example
from evaluation.points.methods import OWN, build_methods
from evaluation.points.report import Result, evaluate, summarise, versions
from evaluation.tables import check_report, markdown_table, write_json
from pointtrack.cli.runner import run_command

Rows = dict[str, dict[str, float]]  # what is measured -> method -> percent

METHODS = (OWN, "dis", "lk")
# The baselines of masks built on each method's points: flow carries the mask; GrabCut around points of Lucas-Kanade.
MASK_METHODS = {"points": OWN, "dis": "dis", "grabcut": "lk"}
SHOWN = {
    "average_pts_within_thresh": "δavg",
    "pck_t": "PCK-T",
    "average_jaccard": "AJ",
    "occlusion_accuracy": "OA",
}
INSIDE_POINTS = 100


def goals_command(
    kubric: Path | None = None,
    before: Path | None = None,
    masks: bool = True,
    mask_report: Path | None = None,
    out: Path | None = None,
) -> None:
    """Measure the shipped weights on all data, beside chained DIS flow and Lucas-Kanade, and print one table.

    Args:
        kubric: folder of held-out clips (docs/train/data-format.md), as `python -m train.kubric render` writes them.
        before: JSON file of an earlier run; adds a column with its figures.
        masks: also measure the masks of davis_dev, which takes longest.
        mask_report: JSON file of `pointtrack eval-masks --methods dis,grabcut,points --out` to read these from.
        out: JSON file for the figures.

    Raises:
        FileNotFoundError: the folder $POINTTRACK_DATA, the clips or the earlier file are missing.
    """
    check_report(out, str(kubric or "badja"), before, mask_report)
    earlier = json.loads(before.read_text(encoding="utf-8"))["rows"] if before is not None else {}
    rows = point_rows(chain(load_examples("badja"), load_examples("warp"), _clips(kubric)))
    rows |= inside_rows()
    if masks:
        rows |= mask_rows(_mask_results(mask_report))
    print(goals_table(rows, earlier))
    if out is not None:
        print(f"\nfigures: {write_json(out, {'versions': versions(), 'rows': rows})}")


def point_rows(examples: Iterator[Example]) -> Rows:
    """Metrics of tracks with known truth."""
    rows: Rows = {}
    for row in summarise(evaluate(build_methods(METHODS), examples)):
        for key, shown in SHOWN.items():
            if row[key] is not None:
                rows.setdefault(f"{row['dataset']} {shown}", {})[row["method"]] = 100 * row[key]
    return rows


def inside_rows() -> Rows:
    """Share of points on objects of real videos that stay on them."""
    found = measure_inside(build_methods(METHODS), load_mask_examples("davis_dev"), INSIDE_POINTS)
    rows: Rows = {}
    for name in METHODS:
        for figure, value in mean_figures([of[name] for of in found.values()]).items():
            rows.setdefault(f"davis_dev points {figure}", {})[name] = value
    return rows


def _mask_results(report: Path | None) -> list[Result]:
    """Results of masks on davis_dev, measured now or read from a report."""
    if report is None:
        return evaluate_masks(build_mask_methods(list(MASK_METHODS)), load_mask_examples("davis_dev"))
    results: list[Result] = json.loads(report.read_text(encoding="utf-8"))["results"]
    return [
        result for result in results if result["dataset"] == "davis_dev" and result["method"] in MASK_METHODS
    ]


def mask_rows(results: list[Result]) -> Rows:
    """J, F and J&F of masks that start from the true mask of the first frame."""
    rows: Rows = {}
    for row in summarise_masks(results):
        for figure in ("J&F", "J", "F"):
            value = row[COLUMNS[figure]]
            rows.setdefault(f"davis_dev {figure}", {})[MASK_METHODS[row["method"]]] = 100 * value
    return rows


def goals_table(rows: Rows, earlier: Rows) -> str:
    """Rows -> Markdown, with an earlier run's figures of pointtrack's method in a column before the new ones."""
    titles = ["", *(["before"] if earlier else []), *METHODS]
    lines = [titles]
    for title, of in rows.items():
        known: list[Any] = [earlier.get(title, {}).get(OWN)] if earlier else []
        lines.append([title, *(_shown(value) for value in [*known, *map(of.get, METHODS)])])
    return markdown_table(lines, names=1)


def _clips(folder: Path | None) -> Iterator[Example]:
    return iter(()) if folder is None else load_examples(f"clips:{folder}")


def _shown(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.1f}"


if __name__ == "__main__":
    sys.exit(run_command(lambda: goals_command, sys.argv[1:], "evaluation.scoreboard"))
