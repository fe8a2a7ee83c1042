"""Several processes learn as one does, and a killed run goes on exactly where it was. All with real processes."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.support.tiny_run import STEPS, tiny_run

ROOT = Path(__file__).parents[2]
SCRIPT = str(Path(__file__).parents[1] / "support" / "tiny_run.py")
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
# A run that stops and goes on within one process: test_loop.py.
pytestmark = pytest.mark.long
PATIENCE = 300  # seconds, for a machine that is busy


def losses(out: Path) -> list[tuple[int, float]]:
    """(step, loss) of the log so far."""
    if not (out / "log.csv").exists():
        return []
    with (out / "log.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["name"] == "loss" and row["value"]]
    return [(int(row["step"]), float(row["value"])) for row in rows]


def state_dict(out: Path) -> dict[str, torch.Tensor]:
    """All tensors of the checkpoint, by a path of names."""

    def tensors(value, name):
        if isinstance(value, torch.Tensor):
            yield name, value
        elif isinstance(value, dict):
            for key, inner in value.items():
                yield from tensors(inner, f"{name}.{key}")

    return dict(tensors(torch.load(out / "last.ckpt", weights_only=True), "ckpt"))


def start(command: list[str], log: Path) -> subprocess.Popen:
    """A process group of its own; what it says goes to a file."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with log.open("a") as file:
        return subprocess.Popen(
            command, env=environment, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )


def kill_at_random(process: subprocess.Popen, out: Path) -> int:
    """SIGKILL to the whole group at a random moment, steps before the end; the last step that the log had."""
    last, moment = random.randint(1, STEPS - 5), random.random() / 20
    until = time.monotonic() + PATIENCE
    while len(losses(out)) < last and process.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(moment)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return last


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="process groups are killed as on Linux and macOS")
@pytest.mark.parametrize("processes", [1, 2])
def test_a_killed_run_goes_on_exactly_and_two_processes_learn_as_one(processes, tiny_tracker_file, tmp_path):
    """One process with two batches per step sees the clips that two processes see with one batch each.

    Their gradients are halved, which is exact, and added, which for two has one order: the same bits.
    """
    whole, parts, said = tmp_path / "whole", tmp_path / "parts", tmp_path / "said.txt"
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        tiny_run(tiny_tracker_file, whole, accumulate=2)
    finally:
        torch.set_num_threads(threads)

    # Two processes: Lightning starts the second one the first time, torchrun starts both the second time.
    arguments = [SCRIPT, str(tiny_tracker_file), str(parts)]
    first, second = ({"accumulate": 2},) * 2 if processes == 1 else ({"devices": 2}, {})
    step = kill_at_random(start([sys.executable, *arguments, json.dumps(first)], said), parts)
    assert losses(parts), said.read_text()
    assert not (parts / "validation.jpg").exists(), "killed before the end"
    launcher = [sys.executable] if processes == 1 else TORCHRUN
    again = start([*launcher, *arguments, json.dumps(second)], said)
    assert again.wait(PATIENCE) == 0, said.read_text()

    assert losses(parts) == losses(whole), f"killed behind step {step}"
    assert [number for number, _ in losses(parts)] == list(range(1, STEPS + 1))
    wanted, got = state_dict(whole), state_dict(parts)
    assert wanted.keys() == got.keys()
    for name, value in wanted.items():
        assert torch.equal(value, got[name]), f"{name}, killed behind step {step}"
    assert (parts / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def test_two_processes_stop_at_one_step_when_their_time_is_over(tiny_tracker_file, tmp_path):
    """A process that went on alone would wait for the other for ever."""
    said = tmp_path / "said.txt"
    settings = json.dumps({"minutes": 0.05, "save_every": 1000, "steps": 1})
    run = start([*TORCHRUN, SCRIPT, str(tiny_tracker_file), str(tmp_path / "run"), settings], said)
    assert run.wait(PATIENCE) == 0, said.read_text()
    checkpoint = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)
    assert checkpoint["seconds"] >= 3 and checkpoint["step"] == losses(tmp_path / "run")[-1][0] >= 1
