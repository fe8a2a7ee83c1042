"""The command `pointtrack`: `track`, `live`, `segment`, `convert`, `doctor`, and what is registered as an entry point `pointtrack.commands`.

How they are run is in `runner.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from typing import Any

import pointtrack
from pointtrack.cli.batch import BatchCommand
from pointtrack.cli.convert import convert
from pointtrack.cli.data import DATA_COMMANDS
from pointtrack.cli.dense import DenseCommand
from pointtrack.cli.doctor import doctor
from pointtrack.cli.export_onnx import ExportOnnxCommand
from pointtrack.cli.live import LiveCommand
from pointtrack.cli.plugins import entry_points, load_command
from pointtrack.cli.runner import run_command
from pointtrack.cli.segment import SegmentCommand
from pointtrack.cli.track import TrackCommand

COMMANDS: Mapping[str, Callable[..., Any]] = {
    "batch": BatchCommand,
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
    entries = entry_points()
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
    return run_command(lambda: load_command(name, COMMANDS, entries), rest, f"pointtrack {name}")


def _overview(entries: Mapping[str, metadata.EntryPoint]) -> str:
    lines = ["usage: pointtrack COMMAND ...", "", "Track any point through any video.", "", "commands:"]
    for name in sorted({*COMMANDS, *entries}):
        try:
            about = (load_command(name, COMMANDS, entries).__doc__ or "").strip().partition("\n")[0]
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
