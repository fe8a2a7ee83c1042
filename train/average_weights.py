"""The mean of the weights of several runs: `python -m train.average_weights --weights a.safetensors b.safetensors --out c.safetensors`.

Runs that went on from each other lie in one valley, so their mean works too. It forgets what only one of them learnt, for
better and for worse; on clips unlike those of the training it is often better than the last run alone.

Source: model soups (Wortsman et al. 2022), stochastic weight averaging (Izmailov et al. 2018).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from pointtrack.cli.runner import run_command
from pointtrack.io.atomic import atomic_path
from pointtrack.io.outputs import check_outputs
from pointtrack.models.checkpoint import CONFIG
from pointtrack.models.weight_files import WeightsFile, read_weights
from pointtrack.segment.small import CONFIG_KEY

# Settings that say nothing about what weights mean.
FREE = ("name", "licence", "initialization")


def average(
    weights: list[Path] | None = None, out: Path = Path("runs/average.safetensors"), kept: str | None = None
) -> None:
    """Write the mean of trackers, or of segmenters, of one shape.

    Args:
        weights: .safetensors files of two runs or more, each of which counts the same.
        out: .safetensors file to write, with the settings of the last of them.
        kept: comma-separated parts of the network, as joint_head, that are those of the first file; then it counts for nothing
            else. So what one run learnt of refinement goes with the features of another.

    Raises:
        FileNotFoundError: no such file.
        ValueError: fewer than two files, networks of different shapes, or a part that they do not have.
    """
    if weights is None or len(weights) < 2:
        raise ValueError(f"average: expected --weights of two runs or more, got {len(weights or [])}")
    check_outputs(weights, [out])
    files = [read_weights(path) for path in weights]
    last = files[-1]
    wanted = _settings(last)
    for path, file in zip(weights, files, strict=True):
        settings = _settings(file)
        for part, value in wanted.items():
            if settings.get(part) != value:
                raise ValueError(
                    f"{path}: expected {part} as in {weights[-1]}, {value}, got {settings.get(part)}"
                )
    parts = {part.strip() for part in (kept or "").split(",") if part.strip()}
    if unknown := parts - {name.partition(".")[0] for name in last.tensors}:
        raise ValueError(f"kept: expected parts of the network, got {', '.join(sorted(unknown))}")
    first, others = files[0], files[1:] if parts else files
    mean = {
        name: first.tensors[name].to(x.dtype)
        if name.partition(".")[0] in parts
        else torch.stack([file.tensors[name].double() for file in others]).mean(0).to(x.dtype)
        for name, x in last.tensors.items()
    }
    with atomic_path(out) as part_file:
        save_file(mean, part_file, metadata=last.metadata)
    print(f"weights   {out}")


def _settings(file: WeightsFile) -> dict[str, Any]:
    """What the network of a file is like. Raises ValueError for a file that pointtrack did not save."""
    for key in (CONFIG, CONFIG_KEY):
        if key in file.metadata:
            settings: dict[str, Any] = json.loads(file.metadata[key])
            return {part: value for part, value in settings.items() if part not in FREE}
    raise ValueError(
        f"{file.path}: expected weights saved by pointtrack, got others; average those that `pointtrack train` writes"
    )


if __name__ == "__main__":
    sys.exit(run_command(lambda: average, sys.argv[1:], "train.average_weights"))
