"""One table of all development sets, before and after a change: `python -m evaluation.development`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from evaluation.cli import tracker_identity
from evaluation.points.calibration import calibration_table
from evaluation.points.datasets import load_examples
from evaluation.points.development import VideoResult, development_table, measure
from evaluation.points.example import Example
from evaluation.points.methods import OWN, build_methods
from evaluation.points.report import versions
from evaluation.tables import check_report, split_names, write_json
from pointtrack.cli.runner import run_command

DATASETS = "badja,points_dev,boxes_dev"


def development_command(
    tracker: str | None = None,
    method: str = OWN,
    datasets: str = DATASETS,
    before: Path | None = None,
    out: Path | None = None,
    resume: bool = False,
    calibration: bool = False,
    looks: int = 1,
) -> None:
    """Measure a tracker on all development sets and print one table; its mean decides what ships.

    Args:
        tracker: name or checkpoint file of the tracker; the default one if left out.
        method: pointtrack, or a baseline: dis, lk, static.
        datasets: comma-separated sets; name fewer for a quick trial.
        before: JSON file of an earlier run; adds columns with its figures, and an interval for the gain.
        out: JSON file for the figures of every point, written after every video.
        resume: keep the videos that are already in that file.
        looks: 2 for a second look at every frame, mirrored and larger.
        calibration: also print the stated certainty of points, and how often they are right at that certainty.

    Raises:
        FileNotFoundError: the folder $POINTTRACK_DATA or the earlier file is missing.
        ValueError: an unknown name, or a file to resume from another tracker.
    """
    about: dict[str, Any] = {"method": method, "tracker": tracker_identity(tracker), "versions": versions()}
    if looks > 1:
        about["looks"] = looks
    check_report(out, datasets, tracker, before)
    results: list[VideoResult] = []
    if resume and out is not None and out.is_file():
        content = json.loads(out.read_text(encoding="utf-8"))
        if any(content.get(key) != about.get(key) for key in ("method", "tracker", "looks")):
            raise ValueError(
                f"{out}: expected figures of {method} {about['tracker']} with {looks} looks, got those of {content['method']} "
                f"{content['tracker']} with {content.get('looks', 1)}; choose another file, or leave out --resume"
            )
        results = content["results"]
    earlier = json.loads(before.read_text(encoding="utf-8"))["results"] if before is not None else None

    def keep(result: VideoResult) -> None:
        results.append(result)
        if out is not None:
            write_json(out, {**about, "results": results})

    measure(build_methods([method], tracker, looks=looks)[method], _missing(datasets, results), keep)
    if earlier is not None:
        measured = {result["video"] for result in results}
        earlier = [result for result in earlier if result["video"] in measured]
    print(development_table(results, earlier))
    if calibration:
        print(f"\n{calibration_table(results)}")


def _missing(datasets: str, results: list[VideoResult]) -> Iterator[Example]:
    """The videos of some datasets without results."""
    done = {result["video"] for result in results}
    examples = chain.from_iterable(map(load_examples, split_names(datasets)))
    return (example for example in examples if example.name not in done)


if __name__ == "__main__":
    sys.exit(run_command(lambda: development_command, sys.argv[1:], "evaluation.development"))
