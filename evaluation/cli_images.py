"""The command `python -m evaluation.cli_images`: measure a segmenter on pictures held out of its training."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

from evaluation.masks.images import SHOWN, ask_about, mean_rows, picture_examples
from evaluation.points.datasets import data_root
from evaluation.points.report import versions
from evaluation.tables import check_report, print_values, split_names
from pointtrack.cli.runner import run_command
from pointtrack.segment.zoo import load_segmenter


def eval_images_command(
    datasets: str = "bsds,msrc,coco128,horses",
    segmenter: str = "small",
    out: Path | None = None,
    subset: int | None = None,
) -> None:
    """Print a segmenter's mean overlap (IoU) with held-out objects, after one click, three clicks and from a box.

    Clicks are simulated: first at the middle of the object, then at the middle of the largest wrong part.

    Args:
        datasets: comma-separated: bsds (regions of the val split), msrc, coco128, horses (whole things; one picture in
            five is held out), all in the folder $POINTTRACK_DATA.
        segmenter: name or file, as `load_segmenter` takes it.
        out: JSON file for the values of every object.
        subset: only the first so many pictures of each.

    Raises:
        ValueError: an unknown name. FileNotFoundError: the data is missing.
    """
    check_report(out, datasets, segmenter)
    model = load_segmenter(segmenter, device="cpu")
    results = [
        result
        for dataset in split_names(datasets)
        for example in picture_examples(data_root(), dataset, subset)
        for result in ask_about(model, example)
    ]
    rows = mean_rows(results)
    lines = [[name, f"{row['objects']:.0f}", *(row[key] for key in SHOWN)] for name, row in rows.items()]
    every_one = [asdict(one) for one in results]
    content = {"segmenter": segmenter, "versions": versions(), "rows": rows, "results": every_one}
    print_values(["held-out pictures", "objects", *SHOWN], lines, out, content)


if __name__ == "__main__":
    sys.exit(run_command(lambda: eval_images_command, sys.argv[1:], "evaluation.cli_images"))
