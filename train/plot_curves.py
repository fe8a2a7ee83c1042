"""Plot the learning curves of one or more runs: `python -m train.plot_curves --runs runs/matching runs/tracking`."""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from pathlib import Path

from matplotlib.figure import Figure

from pointtrack.cli.runner import run_command

Curve = list[tuple[float, float]]  # (step, value)


def read_log(path: Path) -> dict[str, Curve]:
    """Read a run's log.csv as (step, value) pairs per figure. Raises FileNotFoundError."""
    if not path.is_file():
        raise FileNotFoundError(f"learning curve: expected the log of a run, found nothing at {path}")
    curves: dict[str, Curve] = defaultdict(list)
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            curves[row["name"]].append((float(row["step"]), float(row["value"])))
    return dict(curves)


def curve(runs: list[Path] | None = None, out: Path = Path("outputs/curve.png")) -> None:
    """Plot the training loss and the validation figures of runs side by side.

    Args:
        runs: folders of training runs, one column each; by default, all in runs/.
        out: picture to write.

    Raises:
        FileNotFoundError: a run without a log, or no runs at all.
    """
    runs = runs or sorted(path.parent for path in Path("runs").glob("*/log.csv"))
    if not runs:
        raise FileNotFoundError("learning curve: expected runs, found none in runs/; name them with --runs")
    figure = Figure(figsize=(6 * len(runs), 6), layout="constrained")
    axes = figure.subplots(2, len(runs), squeeze=False)
    for column, run in enumerate(runs):
        top, bottom = axes[0, column], axes[1, column]
        for name, points in read_log(run / "log.csv").items():
            axis = bottom if name.startswith("val_") else top
            if name == "loss" or axis is bottom:
                axis.plot(*zip(*points, strict=True), label=name, marker="." if axis is bottom else None)
        top.set(title=f"{run.name}: training", xlabel="step")
        bottom.set(title="held-out clips", xlabel="step")
        for axis in (top, bottom):
            axis.grid(alpha=0.3)
            axis.legend()
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=110)
    print(f"curves    {out}")


if __name__ == "__main__":
    sys.exit(run_command(lambda: curve, sys.argv[1:], "train.plot_curves"))
