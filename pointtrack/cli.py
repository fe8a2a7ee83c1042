"""The command `pointtrack`: `track`, `live`, `segment`, `convert`, `doctor`, and what is registered as an entry point `pointtrack.commands`.

How they are run is in `launch.py`.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import torch

import pointtrack
from pointtrack.cli_data import DATA_COMMANDS
from pointtrack.cli_dense import DenseCommand
from pointtrack.cli_live import LiveCommand
from pointtrack.cli_onnx import ExportOnnxCommand
from pointtrack.cli_segment import SegmentCommand
from pointtrack.cli_track import TrackCommand
from pointtrack.launch import one_line, run_command
from pointtrack.models.checkpoint import save_checkpoint
from pointtrack.models.files import file_sha256
from pointtrack.models.tracker import PointTracker
from pointtrack.models.zoo import load_tracker
from pointtrack.predict import track
from pointtrack.types import Queries, Video

GROUP = "pointtrack.commands"


def doctor(tracker: str = "small", device: str = "auto") -> int:
    """Say what this installation consists of, and whether it can track.

    Args:
        tracker: name of a tracker (small, cotracker3-offline, ...), or its .safetensors or .pth file.
        device: cpu, cuda, mps, or auto.
    """
    cuda = torch.cuda.get_device_name() if torch.cuda.is_available() else "no CUDA device"
    print(f"pointtrack {pointtrack.__version__}, Python {platform.python_version()}, {platform.platform()}")
    print(f"torch      {torch.__version__}, {torch.get_num_threads()} threads, {cuda}")
    print(f"OpenCV     {cv2.__version__}, PyAV {av.__version__}, {os.cpu_count()} cores")
    entries = _entry_points()
    for name in entries:
        try:
            _load(name, entries)
        except ValueError as error:
            print(f"command    {error}")
    try:
        model = load_tracker(tracker, device=device)
        parameters = sum(p.numel() for p in model.parameters())
        print(
            f"tracker    {model.config.name}, {parameters / 1e6:.1f} million parameters, {model.config.licence}"
        )
        error_px, seconds = _track_known_motion(model)
    except Exception as error:  # whatever it is, the doctor is there to say it
        print(f"PROBLEM    {type(error).__name__}: {one_line(error)}")
        return 1
    print(f"self-test  a moving texture of 12 frames tracked in {seconds:.1f} s, {error_px:.2f} pixels off")
    if not error_px < 4:
        print("PROBLEM    the tracker loses an easy texture (expected less than 4 pixels): broken weights?")
        return 1
    print("ok")
    return 0


def convert(weights: str, out: str, half: bool = False, sha256: str | None = None) -> None:
    """Write the weights of a published tracker as one .safetensors file that needs no name beside it.

    Args:
        weights: a .pth or .safetensors file, or the name of a published tracker, downloaded if need be.
        out: the .safetensors file to write.
        half: in half precision: half as large, and no longer exactly the same answers.
        sha256: digest that the file of weights must have.
    """
    path = Path(out)
    if path.suffix != ".safetensors":
        raise ValueError(f"out: expected a .safetensors file, got {out!r}")
    tracker = load_tracker(weights, device="cpu", sha256=sha256)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(path, tracker, half=half)
    print(f"tracker   {tracker.config.name}, under {tracker.config.licence}")
    print(f"weights   {path}, {path.stat().st_size / 1e6:.1f} MB, SHA-256 {file_sha256(path)}")


def _track_known_motion(tracker: PointTracker) -> tuple[float, float]:
    """Mean error in pixels on a texture that moves by a known step, and the seconds it took."""
    step = np.array([3, 2])
    noise = np.random.default_rng(0).normal(size=(300, 400, 3)).astype(np.float32)
    picture = cv2.GaussianBlur(noise, (0, 0), 1.5) + 2 * cv2.GaussianBlur(noise, (0, 0), 4)
    picture = np.clip(128 + 40 * picture / picture.std(), 0, 255).astype(np.uint8)
    corners = [33 - step * t for t in range(12)] + np.array([0, 0])
    video = Video(np.stack([picture[y : y + 192, x : x + 256] for x, y in corners]))
    queries = Queries(frame=[0] * 4, xy=[[60, 50], [160, 50], [60, 120], [160, 120]])  # type: ignore[arg-type]
    began = time.perf_counter()
    tracks = track(tracker, video, queries)
    truth = queries.xy + torch.arange(len(video))[:, None, None] * torch.from_numpy(step)
    return float((tracks.xy - truth).norm(dim=-1).mean()), time.perf_counter() - began


COMMANDS: Mapping[str, Callable[..., Any]] = {
    "convert": convert,
    "doctor": doctor,
    "dense": DenseCommand,
    "export-onnx": ExportOnnxCommand,
    "live": LiveCommand,
    "segment": SegmentCommand,
    "track": TrackCommand,
    **DATA_COMMANDS,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `pointtrack` with the given arguments (by default those of the process); returns the exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if " ".join(arguments[:2]) in DATA_COMMANDS:
        arguments[:2] = [" ".join(arguments[:2])]
    entries = _entry_points()
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_overview(entries))
        return 0
    if arguments[0] == "--version":
        print(f"pointtrack {pointtrack.__version__}")
        return 0
    name, rest = arguments[0], arguments[1:]
    if name not in COMMANDS and name not in entries:
        known = ", ".join(sorted({*COMMANDS, *entries}))
        print(f"pointtrack: error: expected one of the commands {known}, got {name!r}", file=sys.stderr)
        return 2
    return run_command(lambda: _load(name, entries), rest, f"pointtrack {name}")


def _entry_points() -> dict[str, metadata.EntryPoint]:
    """Commands of other packages by name."""
    return {entry.name: entry for entry in metadata.entry_points(group=GROUP)}


def _load(name: str, entries: Mapping[str, metadata.EntryPoint]) -> Callable[..., Any]:
    """The command of that name; ValueError where a package that it needs is not installed."""
    try:
        return COMMANDS.get(name) or entries[name].load()
    except ImportError as error:
        raise ValueError(f"{name} cannot be used: {error}; try pip install 'pointtrack[{name}]'") from error


def _overview(entries: Mapping[str, metadata.EntryPoint]) -> str:
    lines = ["usage: pointtrack COMMAND ...", "", "Track any point through any video.", "", "commands:"]
    for name in sorted({*COMMANDS, *entries}):
        try:
            about = (_load(name, entries).__doc__ or "").strip().partition("\n")[0]
        except ValueError as error:
            about = f"({error})"
        lines.append(f"  {name:14}{about}")
    lines += [
        "",
        "pointtrack COMMAND --help shows its options; --debug, or POINTTRACK_DEBUG=1, full error reports.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
