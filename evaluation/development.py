"""One table of all development sets, before and after a change: `python -m evaluation.development`."""

from __future__ import annotations

import json
import sys
from itertools import chain
from pathlib import Path

from evaluation.cli import tracker_identity
from evaluation.points.datasets import load_examples
from evaluation.points.development import development_table, measure
from evaluation.points.methods import OWN, build_methods
from evaluation.points.report import versions
from evaluation.tables import write_json
from pointtrack.cli.runner import run_command

DATASETS = ("badja", "points_dev", "boxes_dev")


def development_command(
    tracker: str | None = None,
    method: str = OWN,
    before: Path | None = None,
    out: Path | None = None,
) -> None:
    """Measure a tracker on all development sets and print one table; its mean decides what ships.

    Args:
        tracker: name or checkpoint file of the tracker; the default one if left out.
        method: pointtrack, or a baseline: dis, lk, static.
        before: JSON file that an earlier run of this command wrote; its figures get columns, and the rise an interval.
        out: JSON file for the figures of every point.

    Raises:
        FileNotFoundError: the folder $POINTTRACK_DATA or the earlier file is missing.
        ValueError: an unknown name.
    """
    earlier = json.loads(before.read_text(encoding="utf-8"))["results"] if before is not None else None
    examples = chain.from_iterable(map(load_examples, DATASETS))
    results = measure(build_methods([method], tracker)[method], examples)
    print(development_table(results, earlier))
    if out is not None:
        about = {"method": method, "tracker": tracker_identity(tracker), "versions": versions()}
        print(f"\nfigures: {write_json(out, {**about, 'results': results})}")


if __name__ == "__main__":
    sys.exit(run_command(lambda: development_command, sys.argv[1:], "evaluation.development"))
