"""Commands from outside the package: those of a checkout (`train/`, `evaluation/`), and those of other packages."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import pointtrack
from pointtrack.cli.registry import Entry

# Other packages register theirs as entry points of this group.
GROUP = "pointtrack.commands"
# The wheel holds `pointtrack` alone; these stand beside it in a checkout.
CHECKOUT = {
    "eval": "evaluation.cli:eval_command",
    "eval-masks": "evaluation.cli_masks:eval_masks_command",
    "eval-still": "evaluation.points.stability:still_command",
    "finetune": "train.cli_finetune:finetune_command",
    "train": "train.cli:train_command",
}
# Extras of the package that our own commands need.
EXTRAS = {
    "batch": "fleet",
    "export-onnx": "onnx",
    "live": "live",
    "ui": "ui",
    "finetune": "train",
    "train": "train",
}


def entry_points() -> dict[str, metadata.EntryPoint]:
    """Commands by name, loaded only when called."""
    own = {name: metadata.EntryPoint(name, value, GROUP) for name, value in CHECKOUT.items()}
    return own | {entry.name: entry for entry in metadata.entry_points(group=GROUP)}


def load_command(
    name: str, commands: Mapping[str, Entry], entries: Mapping[str, metadata.EntryPoint]
) -> Callable[..., Any]:
    """The command of that name. If a package that it needs is missing, raises ValueError that says what to do."""
    if name in commands:
        try:
            return commands[name].load()
        except ImportError as error:
            extra = f"[{EXTRAS[name]}]" if name in EXTRAS else ""
            raise ValueError(
                f"{name} cannot be used: {error}; try pip install 'pointtrack{extra}'"
            ) from error
    if name in CHECKOUT:
        _find_checkout(name)
    try:
        return entries[name].load()
    except ImportError as error:
        extra = EXTRAS.get(name, "test" if name in CHECKOUT else name)
        raise ValueError(f"{name} cannot be used: {error}; try pip install 'pointtrack[{extra}]'") from error


def _find_checkout(name: str) -> None:
    """Make `train` and `evaluation` of the checkout importable; ValueError if pointtrack is not in a checkout."""
    root = Path(pointtrack.__file__).resolve().parents[1]
    package = CHECKOUT[name].partition(".")[0]
    if not (root / package / "__init__.py").is_file():
        raise ValueError(
            f"{name}: expected a checkout of pointtrack, which has the package {package}, got an installed wheel; "
            "git clone the repository (docs/start/install.md) and run `pip install -e '.[train]'` in it"
        )
    if str(root) not in sys.path:
        sys.path.append(str(root))
