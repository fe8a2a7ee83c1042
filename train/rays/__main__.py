"""`python -m train.rays`: render training clips of things in space, or view them (docs/train/rays.md)."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from pointtrack.checks import counted
from train.kubric.__main__ import add_settings, add_sheet, draw_sheet
from train.kubric.plan import RenderSettings


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m train.rays", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    draw = commands.add_parser("draw", help="draw the clips that are missing")
    add_settings(draw, 100, RenderSettings(wh=(512, 288), samples=4), "rays per pixel")
    draw.add_argument("--pictures", default="", help="comma-separated folders of photographs to paint with")
    add_sheet(commands, 8)
    return parser


def main(arguments: list[str]) -> int:
    options = make_parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", force=True)
    if options.command == "sheet":
        return draw_sheet(options)
    try:
        from train.rays.clips import draw_clips
    except ModuleNotFoundError as missing:
        if missing.name not in ("embreex", "trimesh"):
            raise
        print(f"error: drawing needs {missing.name}: pip install 'pointtrack[train]'", file=sys.stderr)
        return 2
    try:
        settings = RenderSettings(options.frames, options.size, options.samples, options.tracks, options.seed)
        folders = [Path(folder) for folder in options.pictures.split(",") if folder]
        drawn = draw_clips(options.out, options.clips, settings, folders, options.workers)
    except (ValueError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    seconds = f", {sum(drawn.values()) / len(drawn):.0f} CPU s each" if drawn else ""
    others = options.clips - len(drawn)
    kept = f"; {others} were there already, or show too little" if others else ""
    print(f"{counted(len(drawn), 'clip')} drawn{seconds}{kept}")
    print(f"clips     {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
