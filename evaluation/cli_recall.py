"""The command `python -m evaluation.cli_recall`: compare keys of the object memory without following anything."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

from evaluation.masks.datasets import load_mask_examples
from evaluation.masks.recall import mean_recalls, recall
from evaluation.points.report import versions
from evaluation.tables import check_report, print_values, split_names
from pointtrack.cli.runner import run_command
from pointtrack.models.point_tracker import check_kind
from pointtrack.objects.memory_only import tracker_features
from pointtrack.zoo import load_tracker


def eval_recall_command(
    dataset: str = "davis_dev",
    tracker: str = "small",
    every: int = 8,
    objects: int | None = None,
    out: Path | None = None,
) -> None:
    """Print how well the object memory reads the cells of later frames from the true masks of the first frame.

    Seconds per video instead of minutes for J&F, and not the same: points and the segmenter mend much.

    Args:
        dataset: videos with masks, as `pointtrack eval-masks` takes them.
        tracker: comma-separated names or files; each gets its columns.
        every: frames from one that is read to the next.
        objects: most objects per video, largest first; all by default.
        out: JSON file for every object on every frame.

    Raises:
        ValueError: no tracker, one without features for the memory, or a number below 1. FileNotFoundError: missing data.
    """
    trackers = split_names(tracker)
    check_report(out, dataset, *trackers)
    if not trackers:
        raise ValueError("tracker: expected a name or a file, got none")
    for name, value in (("every", every), ("objects", objects)):
        if value is not None and value < 1:
            raise ValueError(f"{name}: expected 1 or more, got {value}")
    results = {}
    for name in trackers:
        model = load_tracker(name, device="cpu")
        check_kind(model, "recall")
        features = tracker_features(model)
        results[name] = [
            one
            for example in load_mask_examples(dataset)
            for one in recall(features, example, every, objects)
        ]
    rows = {name: mean_recalls(found) for name, found in results.items()}
    ways = [(name, way) for name in trackers for way in ("nearby", "anywhere")]
    titles = ["video", *(f"{name}: {way}" for name, way in ways)]
    lines = [[video, *(rows[name][video][way] for name, way in ways)] for video in rows[trackers[0]]]
    every_one = {name: [asdict(one) for one in found] for name, found in results.items()}
    print_values(titles, lines, out, {"versions": versions(), "rows": rows, "results": every_one})


if __name__ == "__main__":
    sys.exit(run_command(lambda: eval_recall_command, sys.argv[1:], "evaluation.cli_recall"))
