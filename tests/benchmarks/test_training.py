"""The figures of the training benchmark mean what they say."""

import pytest
import torch

from benchmarks.training import Assumptions, costs, measure, operations
from train.data.synthetic import SceneConfig, SyntheticClips
from train.data.textures import procedural_bank
from train.loop import LoopConfig
from train.tasks.matching import MatchingTask
from train.tasks.tracking import TrackingTask


def clips(batch, points=8):
    bank = procedural_bank(2, torch.Generator().manual_seed(0))
    scene = SceneConfig(frames=4, sizes=((64, 48),), points=points, query_frames=2, motion_blur=0.0)
    return SyntheticClips(bank, scene, batch, 0)


def test_costs_are_operations_over_the_assumed_rate():
    assumed = Assumptions(
        peak_tflops=1000.0, share_of_peak=0.2, efficiency=((1, 1.0), (8, 0.5)), clips=3_600_000
    )
    one, eight = costs(2 * 10**12, assumed)
    assert one["clips_per_s"] == pytest.approx(100) and one["hours"] == pytest.approx(10)
    assert eight["hours"] == pytest.approx(2.5) and eight["gpu_hours"] == pytest.approx(20)


def test_a_product_there_and_back_is_three_products():
    class Product(torch.nn.Module):
        weight = torch.nn.Parameter(torch.randn(5, 7))

        def forward(self, batch):
            x = torch.randn(3, 5, requires_grad=True)
            return (x @ self.weight).sum(), {}

    assert operations(Product(), clips(1)) == 3 * 2 * 3 * 5 * 7


def test_operations_are_per_clip_and_grow_with_the_points(tiny_tracker):
    task = TrackingTask(tiny_tracker, [], windows=((4, 2),))
    one = operations(task, clips(1))
    assert operations(task, clips(2)) == pytest.approx(one, rel=0.05)
    assert operations(task, clips(1, points=16)) > 1.2 * one


def test_measured_figures_are_of_the_timed_steps(tiny_tracker):
    task = MatchingTask(tiny_tracker, [])
    task.validate = lambda folder: {}
    loop = LoopConfig(steps=2, log_every=2, workers=0, bf16=False, accelerator="cpu")
    figures = measure(task, clips(2), loop)
    assert figures["frames_per_s"] == pytest.approx(4 * figures["clips_per_s"])
    assert 0 < figures["data_share"] < 1
    before = float(
        f"{figures['memory_before_gb']:.6g}"
    )  # the log, which the other is read from, has six digits
    assert 0 < before <= figures["memory_gb"]
    assert figures["processor_seconds"] > 0
