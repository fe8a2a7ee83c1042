"""The mean of the weights of several runs: `python -m train.average_weights --weights a.safetensors b.safetensors --out c.safetensors`.

Runs that went on from each other lie in one valley, so their mean works too. It forgets what only one of them learnt, for
better and for worse; on clips unlike those of the training it is often better than the last run alone.

Source: model soups (Wortsman et al. 2022), stochastic weight averaging (Izmailov et al. 2018).
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import torch

from pointtrack.cli.runner import run_command
from pointtrack.io.outputs import check_outputs
from pointtrack.models.checkpoint import load_checkpoint, save_checkpoint


def average(weights: list[Path] | None = None, out: Path = Path("runs/average.safetensors")) -> None:
    """Write the mean of trackers of one shape.

    Args:
        weights: .safetensors files of two runs or more, each of which counts the same.
        out: .safetensors file to write, with the settings of the last of them.

    Raises:
        FileNotFoundError: no such file.
        ValueError: fewer than two files, or trackers of different shapes.
    """
    if weights is None or len(weights) < 2:
        raise ValueError(f"average: expected --weights of two runs or more, got {len(weights or [])}")
    check_outputs(weights, [out])
    trackers = [load_checkpoint(path) for path in weights]
    last = trackers[-1]
    for path, tracker in zip(weights, trackers, strict=True):
        for part in ("encoder", "correlation", "tokens", "transformer", "window"):
            mine, wanted = getattr(tracker.config, part), getattr(last.config, part)
            if mine != wanted:
                raise ValueError(
                    f"{path}: expected {part} as in {weights[-1]}, {asdict(wanted)}, got {asdict(mine)}"
                )
    states = [tracker.state_dict() for tracker in trackers]
    mean = {name: torch.stack([state[name].double() for state in states]).mean(0) for name in states[-1]}
    last.load_state_dict(mean)
    out.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(out, last)
    print(f"weights   {out}")


if __name__ == "__main__":
    sys.exit(run_command(lambda: average, sys.argv[1:], "train.average_weights"))
