"""`python -m train --config configs/small_matching.yaml --out runs/matching`: `pointtrack train` by itself."""

import sys

from pointtrack.cli.runner import run_command
from train.cli import train_command

if __name__ == "__main__":
    sys.exit(run_command(lambda: train_command, sys.argv[1:], "train"))
