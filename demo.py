"""`python demo.py [VIDEO] --grid 20` in a checkout is `pointtrack demo`: see `pointtrack/cli/demo.py`."""

from __future__ import annotations

import sys

from pointtrack.cli.demo import demo
from pointtrack.cli.runner import run_command

if __name__ == "__main__":
    sys.exit(run_command(lambda: demo, sys.argv[1:], "demo.py"))
