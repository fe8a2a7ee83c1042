"""`python -m evaluation --datasets badja,warp --methods dis,lk`: the command by itself."""

import sys

from jsonargparse import auto_cli

from evaluation.cli import eval_command


def main(arguments: list[str]) -> None:
    """Parse and run; a user's mistake ends in one line, not in a traceback."""
    # jsonargparse wants a value for every bool; a bare --resume means true.
    pairs = zip(arguments, [*arguments[1:], "--"], strict=True)
    arguments = ["--resume=true" if a == "--resume" and b.startswith("--") else a for a, b in pairs]
    try:
        auto_cli(eval_command, args=arguments)
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
