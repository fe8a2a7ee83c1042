"""`python demo.py [VIDEO] --grid 20` in a checkout is `pointtrack demo`: see `pointtrack/cli/demo.py`."""

from __future__ import annotations

import sys
from importlib import import_module

from pointtrack.cli.runner import run_command

if __name__ == "__main__":
    sys.exit(run_command(lambda: import_module("pointtrack.cli.demo").demo, sys.argv[1:], "demo.py"))
