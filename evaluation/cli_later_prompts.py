"""The command `python -m evaluation.cli_later_prompts`: how well clicks and boxes on later frames are answered."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

from evaluation.masks.datasets import load_mask_examples
from evaluation.masks.later_prompts import KNOWN, mean_overlaps, prompt_later
from evaluation.points.report import versions
from evaluation.tables import check_report, print_values
from pointtrack.cli.runner import run_command
from pointtrack.objects.point_engine import PointEngine
from pointtrack.segment.zoo import load_segmenter
from pointtrack.zoo import load_tracker


def eval_later_prompts_command(
    dataset: str = "davis_dev",
    every: int = 12,
    objects: int | None = None,
    boxes: bool = False,
    out: Path | None = None,
) -> None:
    """Print the overlap of the answers to prompts on later frames, by what is known of the object on the first frame.

    Args:
        dataset: videos with masks, as `pointtrack eval-masks` takes them.
        every: frames from one that is prompted to the next.
        objects: most objects per video, largest first; all by default.
        boxes: prompt with boxes around the objects instead of a click in their middle.
        out: JSON file for every prompt.

    Raises:
        ValueError: a number below 1, or no object to prompt. FileNotFoundError: missing data.
    """
    check_report(out, dataset)
    for name, value in (("every", every), ("objects", objects)):
        if value is not None and value < 1:
            raise ValueError(f"{name}: expected 1 or more, got {value}")
    engine = PointEngine(load_tracker("small", device="cpu"), load_segmenter("small", device="cpu"))
    found = [
        one
        for example in load_mask_examples(dataset)
        for one in prompt_later(engine, example, every, objects, boxes=boxes)
    ]
    if not found:
        raise ValueError(
            f"dataset: expected objects on first frames and {every} frames later, got none in {dataset}"
        )
    rows = mean_overlaps(found)
    lines = [[video, *(row[name] for name in KNOWN)] for video, row in rows.items()]
    content = {"versions": versions(), "rows": rows, "results": [asdict(one) for one in found]}
    print_values(["video", *KNOWN], lines, out, content)


if __name__ == "__main__":
    sys.exit(run_command(lambda: eval_later_prompts_command, sys.argv[1:], "evaluation.cli_later_prompts"))
