"""Small trackers of every kind with random weights, and their graphs. An export takes seconds: one for all tests."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

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
from pointtrack.models.checkpoint import save_checkpoint
from pointtrack.models.point_tracker import PointTracker
from pointtrack.models.published import PUBLISHED
from pointtrack.models.tokens import WAVES
from pointtrack.types import Queries, Video

WH = (96, 64)
CLIP_FRAMES = 11  # of the clips that a tracker of whole clips is exported for
POINTS = 32  # of the graphs: six and the helper grid of 5 x 5 fit in


@dataclass(frozen=True)
class Exported:
    """A tracker, the folder of its graphs, and what the command printed if it wrote them."""

    tracker: PointTracker
    folder: Path
    printed: str = ""


def small_config(kind: str) -> TrackerConfig:
    """Our own tracker, also with a trunk ("joint", "learnt" with joint features that learn), or a published one, all small."""
    encoder = EncoderConfig(stem_channels=8, stage_channels=(8, 12, 16), blocks_per_stage=1, channels=16)
    transformer = TransformerConfig(width=16, heads=2, depth=1, proxies=4)
    if kind in ("ours", "joint", "learnt"):
        return TrackerConfig(
            name=kind,
            input_wh=WH,
            encoder=replace(
                encoder,
                trunk_stride=0 if kind == "ours" else 16,
                trunk_scale=2 / 3,
                joint_channels=24 if kind == "learnt" else 0,
            ),
            correlation=CorrelationConfig(levels=2, radius=2, support_radius=1, hidden=16, channels=8),
            transformer=transformer,
            window=WindowConfig(length=8, step=4, iterations=2, search_radius=3),
        )
    config = PUBLISHED[kind].config
    windowed = config.window.length is not None
    tables = {"time_table": 8 if windowed else 10}
    if config.tokens.place_table_wh is not None:
        tables["place_table_wh"] = (WH[0] // 4, WH[1] // 4)
    return replace(
        config,
        input_wh=WH,
        encoder=replace(encoder, fusion="concat", unit_length=config.encoder.unit_length),
        correlation=replace(config.correlation, radius=2, support_radius=1, hidden=16, channels=8),
        tokens=replace(config.tokens, **tables),
        transformer=replace(transformer, mlp_ratio=4),
        window=replace(config.window, length=8 if windowed else None, step=4, iterations=2),
    )


def small_tracker(kind: str) -> PointTracker:
    """With random weights, also in the head, so that refinement moves points."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        tracker = PointTracker(small_config(kind))
        nn.init.normal_(tracker.head.weight, std=0.02)
        nn.init.normal_(tracker.head.bias, std=0.02)
        if tracker.joint_look is not None:
            nn.init.normal_(tracker.joint_look.fc2.weight, std=0.02)
    if "drift" in tracker.config.tokens.parts:
        # Its waves of high frequency amplify rounding: random weights must not listen to them (as in `tests/regression.py`).
        frequency = torch.arange(WAVES) * (1000 / WAVES)
        waves = (1 / (1 + frequency / 8)).repeat_interleave(2).repeat(2)
        with torch.no_grad():
            tracker.updater.project.weight[:, 2 : 2 + len(waves)] *= waves
    return tracker.eval().requires_grad_(False)


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory, tiny_video_file: Path) -> Callable[[str], Exported]:
    """Function kind -> tracker and graphs, written once: those of "ours" by the command, which `test_command` looks at."""
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    pytest.importorskip("onnxscript", reason="needs the extra onnx")
    from pointtrack.cli.export_onnx import ExportOnnxCommand
    from pointtrack.cli.runner import run_command
    from pointtrack.onnx.export import export_graphs

    made: dict[str, Exported] = {}

    def of(kind: str) -> Exported:
        if kind not in made:
            tracker, folder = small_tracker(kind), tmp_path_factory.mktemp("graphs") / kind
            printed = io.StringIO()
            if kind == "ours":
                folder.mkdir()  # as if it held an earlier export
                (folder / "refine_7.onnx").write_bytes(b"of other weights")
                weights = folder.parent / "small.safetensors"
                save_checkpoint(weights, tracker, half=False)
                options = f"--tracker {weights} --points {POINTS} --check {tiny_video_file} --grid 2 --repeats 1 --wh 96x64"
                with contextlib.redirect_stdout(printed):
                    arguments = [str(folder), *options.split()]
                    assert run_command(lambda: ExportOnnxCommand, arguments, "pointtrack export-onnx") == 0
            else:
                clips = None if tracker.config.window.length else CLIP_FRAMES
                export_graphs(tracker, folder, WH, points=[POINTS], frames=clips)
            made[kind] = Exported(tracker, folder, printed.getvalue())
        return made[kind]

    return of


@pytest.fixture(scope="session")
def clip() -> Callable[[int], Video]:
    """Function frames -> so many frames of a texture that moves by 2 and 1 pixels."""
    noise = np.random.default_rng(0).normal(size=(110, 170, 3)).astype(np.float32)
    picture = cv2.GaussianBlur(noise, (0, 0), 2.0)
    picture = np.clip(128 + 50 * picture / picture.std(), 0, 255).astype(np.uint8)

    def of(frames: int) -> Video:
        views = [picture[40 - t : 104 - t, 60 - 2 * t : 156 - 2 * t] for t in range(frames)]
        return Video(np.stack(views), fps=10)

    return of


@pytest.fixture(scope="session")
def requested() -> Callable[[int], Queries]:
    """Function frames -> points early and late in such a clip."""

    def of(frames: int) -> Queries:
        frame = torch.tensor([0, 0, 5, 0, frames - 1, frames // 2]).clamp(max=frames - 1)
        xy = torch.tensor([[20.0, 20], [50, 30], [70, 40], [2, 3], [30, 60], [80, 9]])
        return Queries(frame, xy)

    return of
