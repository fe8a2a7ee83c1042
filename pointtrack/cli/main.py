"""The program `pointtrack`. `registry.py` lists its commands, `runner.py` runs them."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

from pointtrack import __version__
from pointtrack.cli import registry
from pointtrack.cli.pipes import reader_may_leave
from pointtrack.cli.plugins import entry_points, load_command
from pointtrack.cli.videos import TAKE_VIDEOS, VIDEO_LIKE, missing, run_each, split_videos

EXAMPLES = """\
examples:
  pointtrack dog.mp4                                   a grid of points, into outputs/
  pointtrack dog.mp4 --points 0,120,80 --export csv    one point, and a table of where it went
  pointtrack segment dog.mp4 --click 0,120,80          the object under a click, as masks"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `pointtrack` with the given arguments (by default those of the process); returns the exit code."""
    with reader_may_leave():
        return _run(list(sys.argv[1:] if arguments is None else arguments))
    return 0


def _run(arguments: list[str]) -> int:
    if arguments[:1] in (["--version"], ["-V"]):
        print(f"pointtrack {__version__}")
        return 0
    commands = registry.commands()
    if " ".join(arguments[:2]) in commands:
        arguments[:2] = [" ".join(arguments[:2])]
    # Those of other packages are looked for among all that is installed, which our own commands need not wait for.
    entries = {} if arguments and arguments[0] in commands else entry_points()
    if not arguments or arguments[0] in ("-h", "--help"):
        print(overview(commands, entries))
        return 0
    if arguments[0].partition("=")[0].replace("-", "_") == "__print_completion":
        return _print_completion(arguments, commands)
    name, rest = arguments[0], arguments[1:]
    if name not in commands and name not in entries and is_video(name):
        name, rest = "track", arguments
    if name not in commands and name not in entries:
        print(f"pointtrack: error: {unknown(name, [*commands, *entries])}", file=sys.stderr)
        return 2
    videos, options = split_videos(rest) if name in TAKE_VIDEOS else ([], rest)
    absent = missing(videos)
    shows_all = bool({"--debug", "-h", "--help"} & set(rest)) or bool(os.environ.get("POINTTRACK_DEBUG"))
    if absent is not None and not shows_all:
        print(f"pointtrack: error: {absent}", file=sys.stderr)
        return 2
    from pointtrack.cli.runner import run_command

    def run(words: Sequence[str]) -> int:
        return run_command(lambda: load_command(name, commands, entries), words, f"pointtrack {name}")

    return run_each(videos, options, run) if len(videos) > 1 else run(rest)


def is_video(text: str) -> bool:
    """Whether a first argument is a video rather than a mistyped command."""
    if text == "-" or "://" in text or any(sign in text for sign in "*?%/\\"):
        return True
    return not text.startswith("-") and (bool(VIDEO_LIKE.search(text)) or Path(text).exists())


def unknown(name: str, known: Sequence[str]) -> str:
    """The message for an unknown command."""
    if name.startswith("-"):
        return f"expected a command or a video first, got the option {name}; pointtrack --help shows them"
    near = [one for one in known if one.startswith(f"{name} ")] or difflib.get_close_matches(
        name, known, 2, 0.6
    )
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    return f"expected a command or a video, got {name!r}; {hint}pointtrack --help shows the commands"


def overview(commands: Mapping[str, registry.Entry], entries: Mapping[str, metadata.EntryPoint]) -> str:
    """What `pointtrack --help` prints."""
    further = {
        name: registry.CHECKOUT_ABOUT.get(name, f"of {entry.value}") for name, entry in entries.items()
    }
    rows = {
        "commands": {name: commands[name].about for name in registry.FIRST if name in commands},
        "more": {name: commands[name].about for name in registry.MORE if name in commands},
        "training and scoring": {name: further[name] for name in sorted(further)},
    }
    lines = ["usage: pointtrack VIDEO ... [options]", "       pointtrack COMMAND [options]", ""]
    lines += ["Track any point through any video.", ""]
    for title, names in rows.items():
        if names:
            lines += [f"{title}:", *(f"  {name:14}{about}" for name, about in names.items()), ""]
    lines += [
        EXAMPLES,
        "",
        "pointtrack COMMAND --help shows its options. Also: --version, --print_completion bash|zsh|fish.",
    ]
    return "\n".join(lines)


def _print_completion(arguments: Sequence[str], commands: Mapping[str, registry.Entry]) -> int:
    from pointtrack.cli.completion import completion_script
    from pointtrack.cli.help_text import options_of

    shell = arguments[0].partition("=")[2] or (arguments[1] if len(arguments) > 1 else "")
    options = {
        name: [
            form[2:]
            for option in options_of(entry.load())
            if not option.is_positional
            for form in option.forms()
        ]
        for name, entry in commands.items()
        if " " not in name
    }
    try:
        print(completion_script(shell, options), end="")
    except ValueError as error:
        print(f"pointtrack: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
