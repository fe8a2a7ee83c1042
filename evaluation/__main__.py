"""`python -m evaluation --datasets badja,warp --methods dis,lk`: the command `pointtrack eval` by itself."""

import sys

from evaluation.cli import eval_command
from pointtrack.cli.runner import run_command

if __name__ == "__main__":
    sys.exit(run_command(lambda: eval_command, sys.argv[1:], "evaluation"))
