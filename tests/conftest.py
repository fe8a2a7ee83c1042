"""Fixtures of many tests: a tiny tracker and a tiny video. Tests marked `gpu` are skipped without one."""

from __future__ import annotations

import multiprocessing
import os
import random
import tempfile
from pathlib import Path
from typing import Any
from zlib import crc32

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from pointtrack.config import (
    CorrelationConfig,
    EncoderConfig,
    TrackerConfig,
    TransformerConfig,
    WindowConfig,
)
from pointtrack.io.video import write_video
from pointtrack.models.checkpoint import save_checkpoint
from pointtrack.models.point_tracker import PointTracker
from pointtrack.types import Video

if not torch.cuda.is_available():
    # Read when Triton is first imported, which any test that compiles may do.
    os.environ.setdefault("TRITON_INTERPRET", "1")


# Waiting for the disk is for power cuts, which no test can see, and takes milliseconds for every file. Mistakes stay mistakes.
os.fsync = os.fstat  # type: ignore[assignment]


# Digests of first use belong to whoever runs the tests.
os.environ["POINTTRACK_CACHE"] = tempfile.mkdtemp(prefix="pointtrack-tests-")


# Folders whose files share what takes many seconds to make: graphs, a server with a browser. They begin first, so that no
# process waits for them in the end.
TOGETHER = {"onnx", "ui"}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With several processes, tests of one file, or of such a folder, go to one; unless another way is asked for.

    The way of xdist's own groups is closed: they are told by names of tests, which pytest 9.2 does not let it change.
    """
    if config.getvalue("dist") != "load":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = Path(nodeid.partition("::")[0])
            return path.parent.name if path.parent.name in TOGETHER else str(path)

    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.parent.name not in TOGETHER)
    if torch.cuda.is_available():
        return
    for item in items:
        if "gpu" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


def _same_lots(item: pytest.Item) -> None:
    """Seed random choices, so that a test draws the same in any order and process."""
    seed = crc32(item.nodeid.encode())
    random.seed(seed)
    torch.manual_seed(seed)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    _same_lots(item)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    _same_lots(item)  # fixtures made for several tests may have drawn before the first of them


@pytest.fixture
def bfloat16_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute in bfloat16 when requested, even on a processor that is slow at it."""
    monkeypatch.setattr("pointtrack.layers.precision.computes_bfloat16", lambda device: True)


@pytest.fixture
def quick_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers of batches are copies of a process that has imported all they need, which takes seconds, and done no more."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["pytest", "pointtrack.fleet.work", "pointtrack.fleet.worker", "pointtrack.tracker"]
    )
    monkeypatch.setattr("pointtrack.fleet.worker.multiprocessing.get_context", lambda method: context)


# Folders of what carries a network's answers on, whatever they are: there one round of refinement says as much as two.
ONE_ROUND = {"objects", "pipeline", "regions", "states"}


@pytest.fixture
def tiny_config(request: pytest.FixtureRequest) -> TrackerConfig:
    """Every part there, all of it small: windows of 8 frames that move on by 4."""
    rounds = 1 if request.path.parent.name in ONE_ROUND else 2
    return TrackerConfig(
        name="tiny",
        input_area=96 * 64,
        encoder=EncoderConfig(stem_channels=8, stage_channels=(8, 12, 16), blocks_per_stage=1, channels=16),
        correlation=CorrelationConfig(levels=2, radius=2, support_radius=1, hidden=16, channels=8),
        transformer=TransformerConfig(width=16, heads=2, depth=1, proxies=4),
        window=WindowConfig(length=8, step=4, iterations=rounds, search_radius=3),
    )


@pytest.fixture
def tiny_tracker(tiny_config: TrackerConfig) -> PointTracker:
    """A tracker with random weights, also in the head, so that refinement moves points."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        tracker = PointTracker(tiny_config)
        nn.init.normal_(tracker.head.weight, std=0.02)
        nn.init.normal_(tracker.head.bias, std=0.02)
    return tracker.eval().requires_grad_(False)


@pytest.fixture
def tiny_tracker_file(tiny_tracker: PointTracker, tmp_path: Path) -> Path:
    """The same in a file, in full precision."""
    path = tmp_path / "tiny.safetensors"
    save_checkpoint(path, tiny_tracker, half=False)
    return path


@pytest.fixture(scope="session")
def tiny_video() -> Video:
    """6 frames of 64 x 48: a smooth random texture that moves right by 2 and down by 1 pixel per frame."""
    noise = np.random.default_rng(0).normal(size=(70, 90, 3)).astype(np.float32)
    picture = cv2.GaussianBlur(noise, (0, 0), 2.0)
    picture = np.clip(128 + 50 * picture / picture.std(), 0, 255).astype(np.uint8)
    frames = [picture[10 - t : 58 - t, 20 - 2 * t : 84 - 2 * t] for t in range(6)]
    return Video(np.stack(frames), fps=10)


@pytest.fixture(scope="session")
def tiny_video_file(tiny_video: Video, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as an .mp4 file."""
    return write_video(tmp_path_factory.mktemp("video") / "tiny.mp4", tiny_video)
