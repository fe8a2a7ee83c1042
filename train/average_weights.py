"""Average the weights of several runs: `python -m train.average_weights --weights A B --out C`, .safetensors files.

Runs that continue one another stay in one valley of the loss, so their mean works too. It loses what only one run
learnt, good or bad. On clips unlike the training clips it is often better than the last run alone.

Source: model soups (Wortsman et al. 2022), stochastic weight averaging (Izmailov et al. 2018).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from pointtrack.cli.runner import run_command
from pointtrack.io.atomic import write_bytes
from pointtrack.io.outputs import check_outputs
from pointtrack.models.checkpoint import CONFIG
from pointtrack.models.weight_files import WeightsFile, read_weights
from pointtrack.segment.small import CONFIG_KEY

# Settings that do not change the meaning of weights.
FREE = ("name", "licence", "initialization")


def average(
    weights: list[Path] | None = None, out: Path = Path("runs/average.safetensors"), kept: str | None = None
) -> None:
    """Average trackers, or segmenters, of one shape.

    Args:
        weights: .safetensors files of two or more runs, all with the same weight.
        out: .safetensors file to write, with the settings of the last input.
        kept: comma-separated parts of the network, such as joint_head, to take from the first file, which then adds
            nothing to the other parts. This joins the refinement that one run learnt with the features of another.

    Raises:
        FileNotFoundError: a file does not exist.
        ValueError: fewer than two files, networks of different shapes, or a part that the networks lack.
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
    write_bytes(out, save(mean, metadata=last.metadata))
    print(f"weights   {out}")


def _settings(file: WeightsFile) -> dict[str, Any]:
    """Settings of the network in a file. Raises ValueError for a file that pointtrack did not save."""
    for key in (CONFIG, CONFIG_KEY):
        if key in file.metadata:
            settings: dict[str, Any] = json.loads(file.metadata[key])
            return {part: value for part, value in settings.items() if part not in FREE}
    raise ValueError(
        f"{file.path}: expected weights saved by pointtrack, got others; average those that `pointtrack train` writes"
    )


if __name__ == "__main__":
    sys.exit(run_command(lambda: average, sys.argv[1:], "train.average_weights"))
