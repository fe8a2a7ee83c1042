"""Training needs no package that reads videos or serves pages: lent machines have none."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
ABSENT = ("av", "mediapy", "uvicorn", "starlette", "ray", "scenedetect", "tensorboard")


def test_it_is_imported_without_them():
    modules = "train.cli, train.pack, pointtrack.io.video"
    code = f"import sys; sys.modules.update(dict.fromkeys({ABSENT!r})); import {modules}"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
