"""The examples for clusters run as they stand; SLURM itself is played by two lines of shell."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pointtrack.fleet import status
from tests.support.clips import save_small_network, write_broken, write_clips

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.long


def environment(**more):
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **more}


def test_ray_data(tmp_path):
    run = subprocess.run(
        [sys.executable, ROOT / "examples" / "ray_data.py"],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-2000:]
    assert "256 rows" in run.stdout  # 16 frames of 16 points


@pytest.mark.skipif(os.name != "posix", reason="a shell script")
def test_slurm_array(tmp_path):
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "srun").write_text('#!/bin/bash\nexec "$@"\n')
    (tools / "pointtrack").write_text(f'#!/bin/bash\nexec "{sys.executable}" -m pointtrack "$@"\n')
    for tool in tools.iterdir():
        tool.chmod(0o755)
    write_clips(tmp_path / "clips", 4)
    write_broken(tmp_path / "clips" / "bad", hangs=False)
    options = ["--grid", "3", "--tracker", str(save_small_network(tmp_path / "n.safetensors"))]
    command = [ROOT / "examples" / "slurm_array.sh", "clips", "out", *options]
    for i in range(2):
        slurm = {"SLURM_ARRAY_TASK_ID": str(i), "SLURM_ARRAY_TASK_COUNT": "2", "SLURM_CPUS_PER_TASK": "1"}
        path = f"{tools}:{os.environ['PATH']}"
        subprocess.run(command, cwd=tmp_path, env=environment(PATH=path, **slurm), check=True, timeout=600)
    found = status(tmp_path / "out")
    assert (found.done, found.failed) == (5, {"unreadable": 4})
    wrong = subprocess.run(
        [*command, "--shard", "9"], cwd=tmp_path, env=environment(PATH=path, **slurm), check=False
    )
    assert wrong.returncode == 2
