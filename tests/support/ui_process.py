"""Run by path in a process that has imported everything: `pointtrack ui` with `arguments`, its output in the file `log`."""

from __future__ import annotations

import os
import sys

import torch

from pointtrack.cli.main import main

if "log" in globals():  # it is run, and not collected with the doctests
    given = globals()
    with open(given["log"], "w") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    os.chdir(given["folder"])
    torch.set_num_threads(1)
    sys.exit(main(["ui", *given["arguments"]]))
