"""The command `python -m evaluation.cli_hidden_points`: whether points are called hidden while they are, and found again."""

from __future__ import annotations

import sys
from dataclasses import asdict
from itertools import chain
from pathlib import Path

from evaluation.cli import tracker_identity
from evaluation.development import DATASETS
from evaluation.pillar import with_pictures
from evaluation.points.datasets import load_examples
from evaluation.points.hiding import HiddenPoints, follow_hidden_points, mean_hidden
from evaluation.points.methods import OWN, build_methods
from evaluation.points.report import versions
from evaluation.tables import check_report, print_values, split_names
from pointtrack.cli.runner import run_command

COLUMNS = ("noticed", "unhidden", "after")


def hidden_points_command(
    tracker: str | None = None,
    method: str = OWN,
    datasets: str = DATASETS,
    looks: int = 1,
    out: Path | None = None,
) -> None:
    """Let a pillar pass before all known points of every video, track them, and print a table.

    The pillar shows the first frame of the video before (of the last one for the first). `noticed` is the share of hidden
    points that are said to be; `after` is δavg of the points that are in view again, `unhidden` that on the same frames
    of the video without a pillar; all in per cent.

    Args:
        tracker: name or checkpoint file of the tracker; the default one if left out.
        method: pointtrack, or a baseline: dis, lk, static.
        datasets: comma-separated, two videos or more, of those of `pointtrack eval`.
        looks: 2 for a second look at every frame, mirrored and larger.
        out: JSON file for the values of every video.

    Raises:
        FileNotFoundError: the folder $POINTTRACK_DATA is missing.
        ValueError: an unknown name, or too few videos.
    """
    about = {"method": method, "tracker": tracker_identity(tracker), "looks": looks, "versions": versions()}
    check_report(out, datasets, tracker)
    track = build_methods([method], tracker, looks=looks)[method]
    found: list[HiddenPoints] = []
    for example, picture in with_pictures(chain.from_iterable(map(load_examples, split_names(datasets)))):
        one = follow_hidden_points(track, example, picture)
        if one is None:
            print(f"{example.name}: no point is known when it is in view again; left out", file=sys.stderr)
        else:
            found.append(one)
    if not found:
        raise ValueError(f"{datasets}: expected a video with points that are known at its end, got none")
    lines = [
        [one.example, *(getattr(one, column) for column in COLUMNS)] for one in [*found, mean_hidden(found)]
    ]
    print_values(["video", *COLUMNS], lines, out, {**about, "results": [asdict(one) for one in found]})


if __name__ == "__main__":
    sys.exit(run_command(lambda: hidden_points_command, sys.argv[1:], "evaluation.cli_hidden_points"))
