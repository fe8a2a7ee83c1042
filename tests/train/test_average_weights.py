"""Means of weights."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file
from torch.testing import assert_close

from pointtrack.cli.runner import run_command
from pointtrack.models.checkpoint import load_checkpoint, save_checkpoint
from pointtrack.models.point_tracker import PointTracker
from pointtrack.segment.small import SmallSegmenter
from pointtrack.segment.small_network import SegmenterConfig, SegmenterNetwork
from train.average_weights import average


def test_every_weight_is_the_mean(tiny_tracker, tmp_path):
    paths = [tmp_path / f"{name}.safetensors" for name in "abc"]
    for i, path in enumerate(paths):
        for parameter in tiny_tracker.parameters():
            torch.nn.init.constant_(parameter, 3.0 * i**2)
        save_checkpoint(path, tiny_tracker)
    arguments = ["--weights", *map(str, paths), "--out", str(tmp_path / "new" / "mean.safetensors")]
    assert run_command(lambda: average, arguments, "train.average_weights") == 0
    mean = load_checkpoint(tmp_path / "new" / "mean.safetensors")
    assert {float(value) for parameter in mean.parameters() for value in parameter.unique()} == {5.0}
    assert mean.config == tiny_tracker.config


def test_segmenters_too(tmp_path):
    torch.manual_seed(0)
    networks = [SegmenterNetwork(SegmenterConfig(width=16, heads=2, depth=1)) for _ in range(2)]
    paths = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    for network, path in zip(networks, paths, strict=True):
        SmallSegmenter(network).save(path, half=False)
    average(paths, tmp_path / "mean.safetensors")
    mean = SmallSegmenter.load(tmp_path / "mean.safetensors", device="cpu").network.state_dict()
    one, other = (network.state_dict() for network in networks)
    for name, x in mean.items():
        assert_close(x, (one[name] + other[name]) / 2)


def test_what_cannot_be_averaged_is_told(tiny_tracker, tmp_path):
    one, other = tmp_path / "one.safetensors", tmp_path / "other.safetensors"
    save_checkpoint(one, tiny_tracker)
    with pytest.raises(ValueError, match="two runs or more, got 1"):
        average([one], tmp_path / "mean.safetensors")
    config = tiny_tracker.config
    config = replace(config, correlation=replace(config.correlation, hidden=config.correlation.hidden + 1))
    save_checkpoint(other, PointTracker(config))
    with pytest.raises(ValueError, match=r"one\.safetensors: expected correlation as in .*other"):
        average([one, other], tmp_path / "mean.safetensors")
    save_file({"x": torch.zeros(1)}, other)
    with pytest.raises(ValueError, match=r"other\.safetensors: expected weights saved by pointtrack"):
        average([one, other], tmp_path / "mean.safetensors")


def test_parts_may_be_those_of_the_first(tiny_tracker, tmp_path):
    paths = [tmp_path / f"{name}.safetensors" for name in "abc"]
    for i, path in enumerate(paths):
        for parameter in tiny_tracker.parameters():
            torch.nn.init.constant_(parameter, float(i))
        save_checkpoint(path, tiny_tracker)
    average(paths, tmp_path / "mixed.safetensors", kept="encoder, head")
    mixed = load_checkpoint(tmp_path / "mixed.safetensors")
    for name, parameter in mixed.named_parameters():
        assert float(parameter.flatten()[0]) == (
            0.0 if name.partition(".")[0] in ("encoder", "head") else 1.5
        )
    with pytest.raises(ValueError, match="kept: expected parts of the network, got wings"):
        average(paths, tmp_path / "mixed.safetensors", kept="wings")
