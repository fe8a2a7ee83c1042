"""`python -m train --config configs/small_matching.yaml --out runs/matching`."""

from jsonargparse import auto_cli

from train.cli import train_command

if __name__ == "__main__":
    auto_cli(train_command, as_positional=False)
