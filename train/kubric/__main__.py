"""`python -m train.kubric render --out CLIPS --clips 20`; `python -m train.kubric sheet CLIPS --out sheet.png`."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from typing import Any

from train.kubric.farm import render_clips
from train.kubric.plan import RenderSettings


def parse_size(text: str) -> tuple[int, int]:
    """ "256x192" -> (256, 192); a single number sets both."""
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isdigit() for part in parts):
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT like 256x256, got {text!r}")
    return int(parts[0]), int(parts[-1])


def add_settings(command: argparse.ArgumentParser, clips: int, default: RenderSettings, samples: str) -> None:
    """Adds the options common to every way of making clips: their number, size and seed."""
    command.add_argument("--out", type=Path, required=True, help="folder for the clips")
    command.add_argument("--clips", type=int, default=clips, help="how many clips there shall be in all")
    command.add_argument("--frames", type=int, default=default.frames, help="per clip")
    command.add_argument("--size", type=parse_size, default=default.wh, help="WIDTHxHEIGHT in pixels")
    command.add_argument("--samples", type=int, default=default.samples, help=samples)
    command.add_argument("--tracks", type=int, default=default.tracks, help="query points per clip")
    command.add_argument("--seed", type=int, default=default.seed)
    command.add_argument("--workers", type=int, help="clips at once; without, one per core")


def add_sheet(commands: Any, clips: int) -> None:
    """Adds the command that draws an overview picture of clips."""
    sheet = commands.add_parser("sheet", help="a picture of clips with their tracks drawn in")
    sheet.add_argument("folder", type=Path)
    sheet.add_argument("--out", type=Path, required=True, help="the PNG")
    sheet.add_argument("--clips", type=int, default=clips)


def draw_sheet(options: argparse.Namespace) -> int:
    """Runs that command; returns its exit code."""
    from train.kubric.sheet import write_sheet

    try:
        write_sheet(options.folder, options.out, options.clips)
    except (ValueError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"sheet     {options.out}")
    return 0


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m train.kubric", description="Training clips with exact tracks."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    render = commands.add_parser(
        "render", help="render clips on all cores; a stopped run goes on where it was"
    )
    add_settings(render, 20, RenderSettings(), "light paths per pixel")
    render.add_argument("--textures", type=Path, help="folder with pictures for some of the surfaces")
    render.add_argument(
        "--meshes", type=Path, help="folder with your own meshes in place of the bundled ones"
    )
    render.add_argument("--gso", type=Path, help="Kubric's manifest GSO.json, its archives beside it")
    render.add_argument("--kubasic", type=Path, help="Kubric's manifest KuBasic.json, its archives beside it")
    add_sheet(commands, 12)
    return parser


def main(arguments: list[str]) -> int:
    options = make_parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", force=True)
    if options.command == "sheet":
        return draw_sheet(options)
    try:
        settings = RenderSettings(
            options.frames,
            options.size,
            options.samples,
            options.tracks,
            options.seed,
            options.textures,
            options.meshes,
            tuple(path for path in (options.gso, options.kubasic) if path is not None),
        )
        report = render_clips(options.out, options.clips, settings, options.workers)
    except (ValueError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(
        f"{len(report.rendered)} clips rendered in {report.seconds:.0f} s "
        f"({report.clips_per_hour():.0f} per hour, {report.cpu_seconds_per_clip():.0f} CPU s each), "
        f"{len(report.there)} were there, {report.rejected} scenes rejected, {len(report.failed)} clips failed"
    )
    print(f"clips     {options.out}")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
