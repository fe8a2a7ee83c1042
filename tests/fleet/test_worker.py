"""Workers: whatever a video does to its process, the worker says so and goes on."""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import threading
import time
from dataclasses import replace

import psutil
import pytest

from pointtrack.fleet.job import JobSetup
from pointtrack.fleet.manifest import VideoTask
from pointtrack.fleet.worker import Stopped, Worker
from tests.support.clips import moving_video, write_broken, write_clips

pytestmark = pytest.mark.usefixtures(
    "quick_starts"
)  # a driver of its own, below, starts its worker as always


@pytest.fixture
def setup(tmp_path, job):
    return JobSetup(str(tmp_path / "out"), job, "run", limit_frames=20)


@pytest.fixture(scope="module")
def shared():
    """One worker of several tests: each goes on with what another left."""
    made: list[Worker] = []
    yield made
    for worker in made:
        worker.close()


@pytest.fixture
def worker(shared, setup):
    """That worker, told to go on as `setup` says; what its process writes goes where the first test wanted it."""
    if not shared:
        shared.append(Worker(setup))
    shared[0].setup = setup
    return shared[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Videos, whole and broken, which no test changes."""
    made = tmp_path_factory.mktemp("videos")
    write_clips(made, 2)
    write_broken(made)
    return made


def task(folder, name):
    return VideoTask(name, str(folder / name))


def test_limits_end_a_video_and_not_the_worker(setup, worker, folder):
    worker.setup = replace(setup, limit_seconds=20.0)
    assert worker.run(task(folder, "even/clip000.mp4"))["status"] == "done"
    process = worker._process
    os.kill(process, signal.SIGTERM)  # as systemd and SLURM do to all processes: its parent decides
    assert worker.run(task(folder, "text.mp4"))["reason"] == "unreadable"
    assert worker._process == process  # kept: its models are loaded once
    worker.setup = replace(setup, limit_seconds=1.0)
    row = worker.run(task(folder, "hang.mp4"))
    assert (row["status"], row["reason"]) == ("failed", "seconds")
    assert row["message"] == "expected at most 1 s, took longer"
    assert is_gone(process)
    worker.setup = replace(setup, limit_memory=10_000_000)
    row = worker.run(task(folder, "hang.mp4"))
    assert row["reason"] == "memory"
    assert "expected at most 0.0 GB of memory, took" in row["message"]
    assert row["peak_memory"] > 10_000_000
    worker.setup = setup
    assert worker.run(task(folder, "odd/clip001.mp4"))["status"] == "done"


@pytest.mark.parametrize("kills", [1, pytest.param(2, marks=pytest.mark.long)])
def test_a_killed_process_is_replaced_once(worker, folder, monkeypatch, kills):
    real, killed = Worker._watched, []

    def watched(self, answer, *about):
        if len(killed) < kills:
            killed.append(self._process)
            os.kill(self._process, signal.SIGKILL)
        return real(self, answer, *about)

    monkeypatch.setattr(Worker, "_watched", watched)
    row = worker.run(task(folder, "even/clip000.mp4"))
    assert len(set(killed)) == kills
    assert row["status"] == ("done" if kills == 1 else "failed")
    if kills == 2:
        assert row["reason"] == "crashed"
        assert row["message"] == "its process ended without an answer, 2 times"


def is_gone(process):
    """Within five seconds."""
    for _ in range(50):
        try:
            if psutil.Process(process).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.1)
    return False


def test_headers_are_read_apart_and_a_stopped_worker_leaves_no_process(worker, shared, folder):
    shared.clear()  # it is stopped for good
    assert worker.count_frames(task(folder, "long.mp4"), 20) == len(moving_video(1, 24))
    assert worker.count_frames(task(folder, "text.mp4"), 20) is None
    assert worker.count_frames(task(folder, "hang.mp4"), 1) is None
    assert worker.count_frames(task(folder, "odd/clip001.mp4"), 20) == 7
    process = worker._process
    threading.Timer(0.5, worker.stop).start()
    with pytest.raises(Stopped):
        worker.run(task(folder, "hang.mp4"))
    worker.close()
    assert is_gone(process)


def test_models_that_cannot_be_loaded_are_told(setup, folder):
    setup = replace(setup, options=replace(setup.options, tracker="none"))
    with pytest.raises(FileNotFoundError, match="tracker 'none': expected one of small"):
        Worker(setup).run(task(folder, "even/clip000.mp4"))


DRIVER = """
from pathlib import Path
from pointtrack.fleet.manifest import VideoTask
from pointtrack.fleet.worker import Worker

worker = Worker(setup)
worker._started()
Path(told).write_text(f"{worker._process}\\n")
worker.run(VideoTask("hang.mp4", video))
"""


def test_a_killed_driver_takes_its_workers_along(folder, tmp_path, setup):
    """Also one that hangs in the middle of a video."""
    script, told = tmp_path / "driver.py", tmp_path / "told"
    script.write_text(DRIVER)
    given = {"setup": setup, "told": str(told), "video": str(folder / "hang.mp4")}
    driver = multiprocessing.get_context("forkserver").Process(
        target=runpy.run_path, args=(str(script), given)
    )
    driver.start()
    while not (told.exists() and told.read_text().endswith("\n")):
        assert driver.is_alive()
        time.sleep(0.02)
    process = psutil.Process(int(told.read_text()))
    time.sleep(0.5)
    driver.kill()
    driver.join()
    try:
        process.wait(10)
    except psutil.TimeoutExpired:
        process.kill()
        raise AssertionError("the worker outlived its driver") from None
