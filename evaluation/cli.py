"""The command `pointtrack eval`, also `python -m evaluation`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from evaluation.points.datasets import load_examples
from evaluation.points.example import Example
from evaluation.points.methods import OWN, build_methods
from evaluation.points.metrics import QueryMode
from evaluation.points.protocol import OWN_WAY, Protocol
from evaluation.points.report import (
    Result,
    describe,
    evaluate,
    format_table,
    read_finished,
    summarise,
    with_earlier,
    write_report,
)
from evaluation.points.run_tracker import AskedTracker
from evaluation.tables import check_report, split_names


def eval_command(
    datasets: str = "bundled",
    methods: str = "pointtrack,dis,lk",
    tracker: str | None = None,
    iterations: int | None = None,
    step: int | None = None,
    length: int | None = None,
    looks: int = 1,
    out: Path | None = None,
    subset: int | None = None,
    mode: QueryMode | None = None,
    threshold: float | None = None,
    resume: bool = False,
    protocol: Protocol = OWN_WAY,
) -> None:
    """Measure trackers on datasets with known tracks and print one table.

    Args:
        datasets: comma-separated: bundled, badja, points_dev, boxes_dev, warp, tapvid:FILE.pkl, clips:FOLDER. badja, the
            two after it and warp need the folder $POINTTRACK_DATA.
        methods: comma-separated: pointtrack, dis, lk, static.
        tracker: name or checkpoint file of the tracker that pointtrack loads; its default if left out.
        iterations: rounds of refinement of that tracker; 0 measures its first guess, from matching alone. By
            default its own number; 6 under the protocol preset cotracker.
        step: frames between the starts of that tracker's windows, from 1 to their length; by default its own number.
        length: frames per window; by default the tracker's choice for that step and these iterations.
        looks: 2 for a second look at every frame, mirrored and larger.
        out: JSON file for the values of every video, written after each video.
        subset: only the first so many videos of each dataset.
        mode: TAP-Vid query mode. first: query each point on its first frame, later frames count. strided: query on
            every fifth frame, all other frames count. By default first; strided under the protocol preset locotrack.
        threshold: a point counts as visible above this visibility (AJ, OA), with all methods. By default
            0.5; 0.6 under the protocol presets cotracker and alltracker.
        resume: keep finished videos in the file given as out, and add to it.
        protocol: how to query that tracker.

    Raises:
        ValueError: an unknown name, a protocol that the tracker cannot follow, or a file to resume from a run
            with other settings.
        FileNotFoundError: a dataset is missing.
    """
    if subset is not None and subset < 1:
        raise ValueError(f"subset: expected at least 1 video, got {subset}")
    if resume and out is None:
        raise ValueError("resume: expected the report's file too; give it with --out")
    check_report(out, datasets, tracker)
    names = split_names(methods)
    mode = mode or protocol.mode
    threshold = protocol.threshold if threshold is None else threshold
    built = build_methods(names, tracker, mode, iterations, protocol, step=step, length=length, looks=looks)
    settings: dict[str, Any] = {"mode": mode, "threshold": threshold, OWN: None}
    own = built.get(OWN)
    if isinstance(own, AskedTracker):
        settings[OWN] = {"tracker": tracker_identity(tracker), **own.settings()}
    done: list[Result] = []
    if resume and out is not None:
        done, settings = read_finished(out, settings)

    def keep(results: list[Result]) -> None:
        if out is not None:
            write_report(out, with_earlier(results, done), settings)

    examples = _all_examples(split_names(datasets), subset, mode)
    results = evaluate(built, examples, threshold, done, keep)
    print(describe(results, settings), end="\n\n")
    print(format_table(summarise(results)))
    if out is not None:
        keep(results)
        print(f"\nvalues of every video: {out}")


def _all_examples(datasets: Sequence[str], subset: int | None, mode: QueryMode) -> Iterator[Example]:
    for dataset in datasets:
        yield from islice(load_examples(dataset, mode), subset)


def tracker_identity(tracker: str | None) -> str | None:
    """A tracker's name; for a file also a digest, so that a resumed report never mixes two trackers."""
    if tracker is None or not Path(tracker).is_file():
        return tracker
    return f"{tracker} sha256:{hashlib.sha256(Path(tracker).read_bytes()).hexdigest()[:12]}"
