"""What tests of batches need: clips, a tiny tracker, and batches without processes of their own."""

from __future__ import annotations

import pytest
import torch

from pointtrack.fleet import JobOptions
from pointtrack.fleet import run as runner
from tests.support.clips import InlineExecutor, write_clips


@pytest.fixture(scope="session")
def clips(tmp_path_factory):
    """A folder with five videos of 6 to 8 frames."""
    folder = tmp_path_factory.mktemp("clips")
    write_clips(folder, 5)
    return folder


@pytest.fixture
def two_clips(clips):
    """A folder with two of them, clip001.mp4 and clip003.mp4, for what does not depend on how many there are."""
    return clips / "odd"


@pytest.fixture
def job(tiny_tracker_file):
    """A grid of 3 x 3 with the tiny tracker on the CPU."""
    return JobOptions(tracker=str(tiny_tracker_file), device="cpu", grid=3)


@pytest.fixture
def inline(monkeypatch):
    """Batches run in this process; the list of executors that were made."""
    made = []

    def make(setup, run):
        made.append(InlineExecutor(setup))
        return made[-1]

    monkeypatch.setattr(runner, "make_executor", make)
    threads = torch.get_num_threads()
    yield made
    torch.set_num_threads(threads)
