"""The command `python -m evaluation.cli_hiding`: whether masks are empty while objects are hidden, and find them again."""

from __future__ import annotations

import sys
from dataclasses import asdict
from itertools import islice
from pathlib import Path

from evaluation.masks.datasets import load_mask_examples
from evaluation.masks.hiding import Hiding, follow_hidden, hide, mean_hiding
from evaluation.masks.methods import build_mask_methods
from evaluation.pillar import with_pictures
from evaluation.points.report import versions
from evaluation.tables import check_report, print_values, split_names
from pointtrack.cli.runner import run_command

COLUMNS = ("before", "empty", "after")


def eval_hiding_command(
    datasets: str = "davis_dev",
    methods: str = "points",
    subset: int | None = None,
    out: Path | None = None,
) -> None:
    """Let a pillar pass before the largest object of every video, follow it from its true mask, and print a table.

    The pillar shows the first frame of the video before (of the data set's last one for the first). `before` and `after`
    are the mean overlap (IoU) while the object is in view, `empty` is the share of the frames with the object hidden on
    which the mask is empty, all in per cent.

    Args:
        datasets: comma-separated, as `pointtrack eval-masks` takes them, each with two videos or more.
        methods: comma-separated, of those of `pointtrack eval-masks`.
        subset: only the first so many videos of each dataset.
        out: JSON file for the values of every video.

    Raises:
        ValueError: an unknown name, a number below 1, or too few videos. FileNotFoundError: missing data.
    """
    if subset is not None and subset < 1:
        raise ValueError(f"subset: expected at least 1 video, got {subset}")
    check_report(out, datasets)
    built = build_mask_methods(split_names(methods))
    found: dict[str, list[Hiding]] = {name: [] for name in built}
    for dataset in split_names(datasets):
        for example, picture in with_pictures(islice(load_mask_examples(dataset), subset)):
            hidden = hide(example, picture)
            if hidden is None:
                print(f"{example.name}: no object is in view all the time; left out", file=sys.stderr)
                continue
            for name, method in built.items():
                found[name].append(follow_hidden(method, *hidden))
    if not any(found.values()):
        raise ValueError(
            f"{datasets}: expected a video with an object that is in view all the time, got none"
        )
    for rows in found.values():
        rows.append(mean_hiding(rows))
    titles = ["video", *(f"{name}: {column}" for name in built for column in COLUMNS)]
    lines = [
        [each[0].example, *(getattr(one, column) for one in each for column in COLUMNS)]
        for each in zip(*found.values(), strict=True)
    ]
    every_one = {name: [asdict(one) for one in rows] for name, rows in found.items()}
    print_values(titles, lines, out, {"versions": versions(), "results": every_one})


if __name__ == "__main__":
    sys.exit(run_command(lambda: eval_hiding_command, sys.argv[1:], "evaluation.cli_hiding"))
