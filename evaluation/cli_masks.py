"""The command `pointtrack eval-masks`, also `python -m evaluation.cli_masks`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path

from evaluation.masks.datasets import MaskExample, load_mask_examples
from evaluation.masks.methods import MASK_SESSIONS, build_mask_methods
from evaluation.masks.protocol import MaskProtocol
from evaluation.masks.report import (
    Asking,
    describe_masks,
    evaluate_masks,
    format_mask_table,
    summarise_masks,
    write_mask_report,
)
from evaluation.points.report import Result, read_finished, with_earlier
from evaluation.tables import check_report, split_names
from pointtrack.cli.runner import run_command


def eval_masks_command(
    datasets: str = "davis_dev",
    methods: str = "still,dis",
    protocol: MaskProtocol = "first-mask",
    out: Path | None = None,
    subset: int | None = None,
    resume: bool = False,
    clicks: int | None = None,
    target: float | None = None,
) -> None:
    """Measure methods for object masks on videos with known masks and print one table.

    Args:
        datasets: comma-separated: davis_dev (needs the folder $POINTTRACK_DATA), davis2016:FOLDER,
            davis2017:FOLDER, ytvos:FOLDER, mose:FOLDER, clips:FOLDER.
        methods: comma-separated: still, dis, grabcut, memory, points, points-exact (every frame seen twice).
        protocol: first-mask, first-click or interactive.
        out: JSON file for the values of every video, written after each video.
        subset: only the first so many videos of each dataset.
        resume: keep finished videos in the file given as out, and add to it.
        clicks: most clicks per object. By default 3 with first-click, 8 with interactive.
        target: J&F in (0, 1] at which an interactive user stops. By default 0.85.

    Raises:
        ValueError: an unknown name, settings that contradict each other, or a file to resume from a run with
            other settings.
        FileNotFoundError: a dataset is missing.
    """
    if subset is not None and subset < 1:
        raise ValueError(f"subset: expected at least 1 video, got {subset}")
    if resume and out is None:
        raise ValueError("resume: expected the report's file too; give it with --out")
    check_report(out, datasets)
    asking = Asking(protocol, clicks, target)
    built = build_mask_methods(split_names(methods))
    settings = asdict(asking)
    done: list[Result] = []
    if resume and out is not None:
        done, settings = read_finished(out, settings)

    def keep(results: list[Result]) -> None:
        if out is not None:
            write_mask_report(out, with_earlier(results, done), settings)

    examples = _all_examples(split_names(datasets), subset)
    results = evaluate_masks(built, examples, asking, done, keep, MASK_SESSIONS)
    print(describe_masks(results, settings), end="\n\n")
    print(format_mask_table(summarise_masks(results)))
    if out is not None:
        keep(results)
        print(f"\nvalues of every video: {out}")


def _all_examples(datasets: Sequence[str], subset: int | None) -> Iterator[MaskExample]:
    for dataset in datasets:
        yield from islice(load_mask_examples(dataset), subset)


if __name__ == "__main__":
    sys.exit(run_command(lambda: eval_masks_command, sys.argv[1:], "evaluation.cli_masks"))
