"""Trackers by name."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from pointtrack.config import InferenceOptions, TrackerConfig
from pointtrack.layers.precision import usable_precision
from pointtrack.models.checkpoint import load_checkpoint
from pointtrack.models.device import WEIGHTS, pick_device
from pointtrack.models.families import PUBLISHED, terms_of
from pointtrack.models.hub import fetch
from pointtrack.models.weight_files import check_sha256, file_sha256
from pointtrack.onnx.manifest import FILE as MANIFEST
from pointtrack.onnx.runtime import OnnxTracker

log = logging.getLogger(__name__)

SHIPPED = {
    "small": WEIGHTS / "pointtrack_small.safetensors",
}
# Other names of the published models.
ALIASES = {
    "cotracker2v1": "cotracker2.1",
    "cotracker3_offline": "cotracker3-offline",
    "cotracker3_online": "cotracker3-online",
    "locotrack_small": "locotrack-small",
    "locotrack_base": "locotrack-base",
    "alltracker_tiny": "alltracker-tiny",
}
# Frames and rounds of windows that advance by one frame, for trackers whose first guess is a match: each frame is
# refined once in every window that contains it, and more of either only costs time (docs/explain/speed.md, "Single
# frames").
SINGLE_LENGTH, SINGLE_ITERATIONS = 8, 1
_told: set[str] = set()  # models whose licence was already shown


def load_tracker(
    name: str | Path = "small",
    *,
    checkpoint: str | Path | None = None,
    sha256: str | None = None,
    device: str | torch.device = "auto",
    iterations: int | None = None,
    step: int | None = None,
    precision: str = "float32",
    looks: int = 1,
    strict_parity: bool = False,
) -> Any:
    """Load a tracker, ready to use.

    Args:
        name: "small", the model that ships with the package; a published model, whose weights come from the
            Hugging Face hub unless `checkpoint` is given: "cotracker2", "cotracker2.1",
            "cotracker3-offline", "cotracker3-online" (and the last two with "-baseline"), "locotrack-small",
            "locotrack-base", "alltracker-tiny", "alltracker"; or the path of a .safetensors, .pth or .ckpt file of
            any of them; or a folder of ONNX graphs (`pointtrack export-onnx`), which run on the CPU.
        checkpoint: file with the weights of the published model, instead of the hub.
        sha256: digest that the weights file must have.
        device: "cpu", "cuda", ...; "auto" takes the GPU if there is one.
        iterations: refinement rounds per window; None keeps the model's own number, with 0 the first guess is the
            answer.
        step: how many frames the window advances at a time; None keeps the model's own number (half a window), 1
            gives a new result for every frame. The cost grows as the step shrinks. With 1 and no `iterations`, a
            model that matches first takes windows of 8 frames and one round, which is faster and no less exact
            (docs/explain/speed.md); if you set `iterations`, it keeps its own windows.
        precision: "float32", or "bfloat16" for convolutions, linear layers and products of features. This is faster on
            processors that support it, and changes positions of the shipped model by hundredths of a pixel
            (`python -m benchmarks.track --precision bfloat16`). Other processors use float32, with a warning.
        looks: 2 also looks at every frame mirrored and larger. Positions are more exact, and confidence is low where
            the two looks disagree; takes 2.4 times as long (docs/explain/speed.md).
        strict_parity: reproduce a fault of the published CoTracker2 that changes numbers with exactly 64 points, see
            `docs/explain/differences.md`.

    Returns:
        A `TrackingNetwork`: a `PointTracker`, `LocoTrack` or `AllTracker`.

    Raises:
        FileNotFoundError: `name` is neither a known name nor a file.
        ConnectionError, PermissionError: the hub cannot be reached, or refuses the file.
        ValueError: the file does not hold that tracker, this machine lacks the device, or the model cannot run with
            these iterations or this step.
    """
    key = ALIASES.get(str(name), str(name))
    options = InferenceOptions(precision, iterations, strict_parity=strict_parity, looks=looks)
    tracker: Any
    if Path(key).is_dir():
        trained = Path(key) / "model.safetensors"
        if trained.is_file() and not (Path(key) / MANIFEST).is_file():
            raise FileNotFoundError(
                f"{key}: expected a file of weights, or a folder of ONNX graphs, got the folder of a training; give {trained}"
            )
        if checkpoint is not None or sha256 is not None or precision != "float32" or strict_parity:
            raise ValueError(
                f"{key}: expected no checkpoint, sha256, precision or strict_parity with a folder of ONNX graphs"
            )
        if str(device) not in ("auto", "cpu"):
            log.warning("%s: ONNX graphs run on the CPU, not on %s", key, device)
        path, tracker = Path(key) / MANIFEST, OnnxTracker(key)
    else:
        path = _find(key, checkpoint)
        if sha256 is not None:
            check_sha256(path, sha256)
        where = pick_device(device)
        tracker = load_checkpoint(path, key if key in PUBLISHED else None).to(where)
        options = replace(options, precision=usable_precision(precision, where))
    if key not in SHIPPED and (checkpoint is not None or key not in PUBLISHED):
        tracker.weights_file = path
    _tell_licence(tracker.config, path)
    if strict_parity and not isinstance(tracker.config, TrackerConfig):
        raise ValueError(f"strict_parity: expected with cotracker2, got it with {tracker.config.name}")
    tracker.encoder.to(memory_format=torch.channels_last)  # a fifth faster on CPUs
    tracker.inference = _with_step(options, tracker.own_config, step)
    return tracker


def _with_step(options: InferenceOptions, config: Any, step: int | None) -> InferenceOptions:
    """The options with a step, and the resulting windows of the network. Errors as in `load_tracker`."""
    window = config.window
    if step is not None and window.length is None:
        raise ValueError(f"step: expected none, as {config.name} takes a video in one window, got {step}")
    if step == 1 and options.iterations is None and window.start == "match" and window.length is not None:
        rounds, length = min(SINGLE_ITERATIONS, window.iterations), min(SINGLE_LENGTH, window.length)
        return replace(options, iterations=rounds, length=length, step=1)
    return replace(options, step=step)


def _find(name: str, checkpoint: str | Path | None) -> Path:
    """The file with the weights."""
    if checkpoint is not None:
        if name not in PUBLISHED:
            raise ValueError(
                f"checkpoint: expected with one of {', '.join(PUBLISHED)}, got it with {name!r}; "
                "pass the file in the place of the name"
            )
        return Path(checkpoint)
    if name in PUBLISHED:
        row = PUBLISHED[name]
        return fetch(row.repo, row.filename, sha256=row.sha256, repo_type=row.repo_type)
    path = SHIPPED.get(name, Path(name))
    if not path.is_file() and not path.suffix:
        raise FileNotFoundError(
            f"tracker {name!r}: expected one of {', '.join([*SHIPPED, *PUBLISHED])}, or the path of a "
            ".safetensors or .pth file"
        )
    return path


def _tell_licence(config: Any, path: Path) -> None:
    """Warn once per process and model if the weights are not, or may not be, free to use."""
    terms = terms_of(config.name)
    if (terms is None and config.licence == TrackerConfig.licence) or config.name in _told:
        return
    _told.add(config.name)
    if terms is not None:
        log.warning("%s: %s (%s, SHA-256 %s)", config.name, terms, path, file_sha256(path))
        return
    log.warning(
        "%s: these weights are under %s, not under this package's licence (%s, SHA-256 %s)",
        config.name, config.licence, path, file_sha256(path),
    )  # fmt: skip
