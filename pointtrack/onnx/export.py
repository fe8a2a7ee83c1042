"""Writes a tracker as ONNX graphs."""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from collections.abc import Sequence
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pointtrack.io.atomic import atomic_path
from pointtrack.models.point_tracker import CELL, PointTracker, check_kind
from pointtrack.models.weight_files import file_sha256
from pointtrack.onnx.manifest import ENCODER, Manifest, refine_file
from pointtrack.onnx.steps import EncodeStep, RefineStep, refine_inputs

log = logging.getLogger(__name__)

OPSET = 20
POINTS = (64, 256, 1024)
# Parameters used between the graphs, by the first guess and by CoTracker2's final output.
BETWEEN = ("match_sharpness", "score_to_logit", "visibility.weight", "visibility.bias")


def export_graphs(
    tracker: PointTracker,
    folder: str | Path,
    wh: tuple[int, int],
    *,
    points: Sequence[int] = POINTS,
    frames: int | None = None,
) -> Manifest:
    """Write a tracker as ONNX graphs of fixed shapes, which `OnnxTracker` tracks with.

    The graphs hold the encoder for one frame and, per number of points, one round of refinement, in float32. The parts
    between them, windows and the first guess, stay in this package.

    Args:
        tracker: from `load_tracker`, on the CPU.
        folder: folder to write to; made if missing.
        wh: (width, height) of the frames that the network gets, as `model_wh` of `tracking.window_stream` gives it.
        points: numbers of points to write graphs for; fewer points are padded to the next one. Support points count.
        frames: length of a clip, for a tracker whose one window is the whole video; others know their own.

    Returns:
        The manifest of the folder.

    Raises:
        ImportError: the extra `onnx` is not installed.
        ValueError: an impossible size, number of points or of frames, or a tracker with strict_parity.
    """
    needed("onnxscript")
    check_kind(tracker, "export")
    if tracker.inference.strict_parity:
        raise ValueError(
            "export: expected a tracker without strict_parity, whose fault depends on the number of points"
        )
    _check_wh(tracker, wh)
    points = tuple(sorted(set(points)))
    if not points or points[0] < 1:
        raise ValueError(f"points: expected numbers of 1 or more, got {list(points)}")
    length = _length(tracker, frames)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    frame = torch.zeros(1, 3, wh[1], wh[0])
    with torch.no_grad():
        pyramid = [level.repeat(1, length, 1, 1, 1) for level in tracker.encode(frame[None])]
    levels = [f"features_{i}" for i in range(len(pyramid))]
    write_graph(folder / ENCODER, EncodeStep(tracker), {"frame": frame}, levels)
    for count in points:
        inputs = refine_inputs(tracker, pyramid, count)
        step = RefineStep(tracker, inputs)
        support = [name for name in inputs if name.startswith("support") and tracker.renews_features]
        outputs = ["xy", "visibility_logit", "confidence_logit", *support]
        write_graph(folder / refine_file(count), step, inputs, [f"new_{name}" for name in outputs])
    state = tracker.state_dict()
    files = [ENCODER, *map(refine_file, points)]
    written = Manifest(
        config=tracker.own_config,
        wh=(int(wh[0]), int(wh[1])),
        frames=length,
        points=points,
        values={name: state[name].tolist() for name in BETWEEN if name in state},
        sha256={name: file_sha256(folder / name) for name in files},
        made_with={name: metadata.version(name) for name in ("torch", "onnx", "onnxscript")},
    )
    written.write(folder)
    return written


def write_graph(path: Path, step: nn.Module, inputs: dict[str, Tensor], outputs: Sequence[str]) -> None:
    """Write a module as a graph with named inputs and outputs, all of fixed shapes, and its weights in the same file."""
    # Without gradients the layers take paths that no other runtime has.
    with torch.enable_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch warns about its own code
        program = torch.onnx.export(
            step.eval(),
            tuple(inputs.values()),
            dynamo=True,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=list(outputs),
            verbose=False,
        )
    assert program is not None
    # Notes contain paths of this machine, and take more room than small weights.
    program.model.graph.metadata_props.clear()
    for node in program.model.graph:
        node.metadata_props.clear()
    with atomic_path(path) as part:
        program.save(part, external_data=False)
    log.info("wrote %s, %.1f MB", path, path.stat().st_size / 1e6)


def operators(path: str | Path) -> Counter[str]:
    """How often a graph uses each operator; names of non-standard ones begin with their domain."""
    model = needed("onnx").load(path, load_external_data=False)
    return Counter(f"{node.domain}::{node.op_type}".removeprefix("::") for node in model.graph.node)


def needed(name: str) -> Any:
    """A package of the extra `onnx`. Raises ImportError that says how to install it."""
    try:
        return import_module(name)
    except ImportError as error:
        raise ImportError(
            f'ONNX graphs need {name} ({error}); install it with: pip install "pointtrack[onnx]"'
        ) from error


def _check_wh(tracker: PointTracker, wh: tuple[int, int]) -> None:
    config = tracker.config
    smallest = CELL * 2 ** (config.correlation.levels - 1)
    if min(wh) < smallest or wh[0] % CELL or wh[1] % CELL:
        raise ValueError(
            f"wh: expected sides of {smallest} pixels or more, in multiples of {CELL}, got {wh[0]}x{wh[1]}"
        )
    if config.input_wh is not None and tuple(wh) != tuple(config.input_wh):
        raise ValueError(
            f"wh: expected {config.input_wh[0]}x{config.input_wh[1]}, the only size of {config.name}, "
            f"got {wh[0]}x{wh[1]}"
        )


def _length(tracker: PointTracker, frames: int | None) -> int:
    """Frames of a window."""
    name, own = tracker.config.name, tracker.config.window.length
    if own is None and (frames is None or frames < 1):
        raise ValueError(
            f"frames: expected the length of your clips, as {name} tracks them whole, got {frames}"
        )
    if own is not None and frames not in (None, own):
        raise ValueError(f"frames: expected {own}, the windows of {name}, got {frames}")
    return own or int(frames or 0)
