"""What an earlier run of a command left beside the results of a new one."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from pointtrack.io.masks import MASK_EXPORTS
from pointtrack.io.outputs import conclude_run
from pointtrack.io.tracks import TRACK_EXPORTS
from pointtrack.io.video import VIDEO_CODECS
from pointtrack.types import Masks


def track_products(target: Path) -> list[Path]:
    """Everything that a run which draws tracks to `target` may write."""
    endings = [
        ".npz",
        "_smooth.npz",
        ".png",
        *VIDEO_CODECS,
        *(ending for ending, _ in TRACK_EXPORTS.values()),
    ]
    return [target.with_name(target.stem + ending) for ending in endings]


def mask_products(target: Path) -> list[Path]:
    """Everything that a run which draws masks to `target` may write."""
    drawn = [target.with_suffix(suffix) for suffix in (".npz", ".png", *VIDEO_CODECS)]
    source = target.stem.removesuffix("_masks")
    return [
        *drawn,
        *(target.with_name(f"{source}_edited{suffix}") for suffix in VIDEO_CODECS),
        *(target.with_name(source + ending) for name, ending in MASK_EXPORTS.items() if name != "npz"),
    ]


def conclude(
    outputs: Iterable[Path], others: Iterable[Path], command: str, results: str, *inputs: Any
) -> None:
    """Give files of an earlier run beside new results another name, and print which (`conclude_run`).

    Args:
        outputs: what the run has written.
        others: what runs of the command may write.
        command: its name; commands that write the same files have the same.
        results: a text that differs if the results do.
        inputs: what the run has read.
    """
    digest = hashlib.sha256(results.encode()).hexdigest()[:16]
    for path, aside in conclude_run(outputs, others, f"{command} {digest}", inputs=inputs):
        print(f"earlier   {path} was of an earlier run, and is now {aside.name}")


def masks_digest(masks: Masks, before: int = 0) -> int:
    """A number that tells masks apart; `before` is that of the frames before these."""
    return zlib.crc32(np.ascontiguousarray(masks.masks.numpy()).data, before)
