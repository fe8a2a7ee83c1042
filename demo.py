"""`python demo.py [VIDEO] --grid 20` in a checkout is `pointtrack demo`: see `pointtrack/cli/demo.py`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from pointtrack.cli.runner import run_command


def main(arguments: Sequence[str]) -> int:
    """Run the demo with these arguments; returns the exit code."""
    return run_command(_demo, arguments, "demo.py")


def _demo() -> Callable[..., Any]:
    from pointtrack.cli.demo import demo  # here, as it imports torch, which `run_command` prepares

    return demo


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
