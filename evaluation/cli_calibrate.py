"""The command `python -m evaluation.cli_calibrate`: compare the stated quality of masks with their true overlap."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from evaluation.masks.calibration import (
    PULL,
    Followed,
    figures,
    fit,
    follow,
    left_out,
    qualities_by,
    sign_names,
)
from evaluation.masks.datasets import load_mask_examples
from evaluation.points.report import versions
from evaluation.tables import check_report, markdown_table, split_names, write_json
from pointtrack.cli.runner import run_command
from pointtrack.objects.answer import ObjectOptions
from pointtrack.objects.point_engine import PointEngine
from pointtrack.objects.quality import Signs, quality
from pointtrack.segment.zoo import load_segmenter
from pointtrack.zoo import load_tracker

WEAK = 0.05  # of what the memory says otherwise; it is still asked, for its signs
COLUMNS = ("jf", "error", "precision", "recall", "doubtful")


def calibrate_command(
    dataset: str = "davis_dev",
    prompts: str = "mask,1,3",
    tracker: str = "small",
    segmenter: str = "small",
    out: Path | None = None,
    videos: str | None = None,
    given: str | None = None,
    fit_only: bool = False,
    weak: bool = False,
    objects: int | None = None,
    learnt_from: str | None = None,
    pull: float = PULL,
) -> None:
    """Follow objects from their first mask or clicks, and compare the stated quality of every mask with the truth.

    Args:
        dataset: videos with masks, as `pointtrack eval-masks` takes them.
        prompts: comma-separated prompts: mask for the true mask of the first frame, or numbers of simulated clicks there;
            mask-back, 1-back and so on start on the last frame and go backward.
        tracker, segmenter: names or files.
        out: JSON file for every frame, written after each video.
        videos: comma-separated names of some of the videos; all by default.
        given: comma-separated files of earlier runs; objects in them are not followed again.
        fit_only: follow nothing; only fit and judge the contents of the given files.
        weak: give the memory almost no weight, so that objects are lost more often: the fit also needs wrong masks.
            These prompts have the suffix "-weak" in the table.
        objects: most objects per video, largest first; all by default.
        learnt_from: comma-separated files of runs on other videos; the weights are fitted on these, and judged on the
            videos that are followed.
        pull: strength of the pull of the weights towards 0.

    Raises:
        FileNotFoundError: the data or a given file is missing.
    """
    check_report(out, dataset, tracker, segmenter, *split_names(given or ""), *split_names(learnt_from or ""))
    rows = [row for path in split_names(given or "") for row in _read(Path(path))]
    wanted = None if videos is None else set(split_names(videos))
    if not fit_only:
        options = ObjectOptions(prior=WEAK) if weak else None
        engine = PointEngine(
            load_tracker(tracker, device="cpu"), load_segmenter(segmenter, device="cpu"), options
        )
        done = {(row.example, row.prompt) for row in rows}
        for way in split_names(prompts):
            for example in load_mask_examples(dataset):
                if wanted is not None and example.name.split("/")[-1] not in wanted:
                    continue
                if (example.name, way + "-weak" * weak) not in done:
                    found = follow(engine, example, way, objects)
                    rows += (replace(row, prompt=row.prompt + "-weak" * weak) for row in found)
                    if out is not None:
                        write_json(out, {"versions": versions(), "rows": [asdict(row) for row in rows]})
    if fit_only and out is not None:
        write_json(out, {"versions": versions(), "rows": [asdict(row) for row in rows]})
    elsewhere = [row for path in split_names(learnt_from or "") for row in _read(Path(path))]
    print(_table(rows, elsewhere, pull))
    offset, weights = fit(elsewhere or rows, pull)
    named = dict(zip(sign_names(), (round(weight, 2) for weight in weights), strict=True))
    print(
        f"\nfitted on all {'that it learnt from' if elsewhere else 'of them'}: offset {offset:.2f}, weights {named}"
    )


def _read(path: Path) -> list[Followed]:
    """Rows of an earlier run's file, with qualities by the current weights. Raises FileNotFoundError without a file."""
    if not path.is_file():
        raise FileNotFoundError(f"given: expected a file of this command, found nothing at {path}")
    found = json.loads(path.read_text(encoding="utf-8"))["rows"]
    return [_anew(Followed(**row)) for row in found]


def _anew(row: Followed) -> Followed:
    if row.signs is None:
        return row
    signs = Signs(*row.signs)
    return replace(row, signs=signs.row(), stated=quality(signs))


def _table(rows: list[Followed], elsewhere: list[Followed], pull: float) -> str:
    """Table per prompt and video, with weights fitted on the other videos; for all videos also with the weights that
    ship, and with weights fitted elsewhere."""
    lines = [["prompt", "video", *COLUMNS]]
    ways = list(dict.fromkeys(row.prompt for row in rows))
    qualities = {
        "left out": left_out(rows, pull),
        "as stated": np.array([row.stated for row in rows]),
    }
    if elsewhere:
        qualities["learnt elsewhere"] = qualities_by(rows, *fit(elsewhere, pull))
    for way in ways:
        for name in dict.fromkeys(row.example for row in rows):
            here = [i for i, row in enumerate(rows) if (row.prompt, row.example) == (way, name)]
            if here:
                lines.append([way, name, *_judged(rows, qualities["left out"], here)])
    for way in ways:
        here = [i for i, row in enumerate(rows) if row.prompt == way]
        lines += ([way, f"all, {how}", *_judged(rows, values, here)] for how, values in qualities.items())
    everything = list(range(len(rows)))
    qualities["fitted on them"] = qualities_by(rows, *fit(rows, pull))
    lines += (["all", f"all, {how}", *_judged(rows, values, everything)] for how, values in qualities.items())
    return markdown_table(lines)


def _judged(rows: list[Followed], qualities: np.ndarray, here: list[int]) -> list[str]:
    return _shown(figures([rows[i] for i in here], qualities[here]))


def _shown(found: dict[str, float | None]) -> list[str]:
    values = [found[name] for name in COLUMNS]
    return ["-" if value is None else f"{value:.1f}" for value in values]


if __name__ == "__main__":
    sys.exit(run_command(lambda: calibrate_command, sys.argv[1:], "evaluation.cli_calibrate"))
