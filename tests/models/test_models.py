"""Configs, checkpoints, and the windows of the network."""

import json
import os
import re
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from pointtrack.config import (
    InferenceOptions,
    TrackerConfig,
    TransformerConfig,
    WindowConfig,
    from_dict,
    to_dict,
)
from pointtrack.models.checkpoint import CONFIG, load_checkpoint, save_checkpoint
from pointtrack.models.point_tracker import PointTracker
from pointtrack.models.speed import options_at
from pointtrack.models.window import WindowQueries
from pointtrack.segment.small import SHIPPED_FILE as SEGMENTER
from pointtrack.segment.small import SmallSegmenter
from pointtrack.segment.small_network import SegmenterConfig, SegmenterNetwork
from pointtrack.zoo import SHIPPED, SINGLE_ITERATIONS, SINGLE_LENGTH, load_tracker


def test_config_goes_to_json_and_back():
    config = TrackerConfig(transformer=TransformerConfig(width=32), window=WindowConfig(length=None))
    assert from_dict(TrackerConfig, json.loads(json.dumps(to_dict(config)))) == config


@pytest.mark.parametrize(
    "data, message",
    [
        ({"widht": 3}, "unknown setting widht"),
        ({"encoder": {"stem": 3}}, r"config\.encoder: unknown setting stem"),
        ({"window": {"length": 8, "step": 9}}, r"expected 1\.\.8"),
        ({"transformer": {"width": 30, "heads": 4}}, "multiple of the 4 heads"),
    ],
)
def test_wrong_config_is_refused(data, message):
    with pytest.raises(ValueError, match=message):
        from_dict(TrackerConfig, data)


def test_checkpoint_round_trip(tiny_tracker, tmp_path):
    save_checkpoint(tmp_path / "a.safetensors", tiny_tracker, half=False)
    loaded = load_checkpoint(tmp_path / "a.safetensors")
    assert loaded.config == tiny_tracker.config
    for name, value in tiny_tracker.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[name])


@pytest.mark.usefixtures("bfloat16_anywhere")
def test_what_loading_decides_is_not_the_networks(tmp_path):
    own = load_checkpoint(SHIPPED["small"]).config
    loaded = load_tracker(precision="bfloat16", iterations=5, step=2, device="cpu")
    loaded.inference = options_at(loaded.inference, loaded.own_config, "fast", (320, 240))
    assert (loaded.config.window.iterations, loaded.config.window.step) == (1, 2)
    assert loaded.config.input_area == 320 * 240 and loaded.inference.narrow
    save_checkpoint(tmp_path / "again.safetensors", loaded)
    again = load_checkpoint(tmp_path / "again.safetensors")
    assert again.own_config == again.config == own
    assert again.inference == InferenceOptions()


def test_older_files_hold_what_their_network_was_loaded_with(tiny_tracker, tmp_path):
    path = tmp_path / "a.safetensors"
    old = {
        **to_dict(tiny_tracker.config),
        "bf16_encoder": True,
        "bf16_refinement": True,
        "strict_parity": True,
    }
    save_file(tiny_tracker.state_dict(), path, {CONFIG: json.dumps(old)})
    assert load_checkpoint(path).config == tiny_tracker.config
    assert not load_checkpoint(path).inference.narrow


def test_options_that_cannot_be(tiny_tracker):
    for changes, message in (
        ({"precision": "half"}, "expected float32 or bfloat16"),
        ({"iterations": -1}, "0 or more"),
        ({"step": 9}, r"expected 1\.\.8"),
    ):
        with pytest.raises(ValueError, match=message):
            tiny_tracker.inference = InferenceOptions(**changes)
    assert tiny_tracker.inference == InferenceOptions()


def test_the_folder_of_a_training_and_its_checkpoint_name_the_weights(tiny_tracker, tmp_path):
    weights = tmp_path / "model.safetensors"
    save_checkpoint(weights, tiny_tracker)
    torch.save({"model": {"a": torch.zeros(2)}, "step": 3}, tmp_path / "last.ckpt")
    for given, error in ((tmp_path, FileNotFoundError), (tmp_path / "last.ckpt", ValueError)):
        with pytest.raises(error, match=f"give {re.escape(str(weights))}$"):
            load_tracker(str(given))
    with pytest.raises(ValueError, match="its tensors are of neither$"):
        load_tracker(str((tmp_path / "last.ckpt").rename(tmp_path.parent / "alone.ckpt")))


def test_broken_checkpoints_are_refused(tiny_tracker, tmp_path):
    path = tmp_path / "x.safetensors"
    with pytest.raises(FileNotFoundError, match="found nothing there"):
        load_checkpoint(path)
    path.write_text("<!DOCTYPE html><html>404</html>")
    with pytest.raises(ValueError, match="a web page"):
        load_checkpoint(path)
    save_file({"a": torch.zeros(2)}, path)
    with pytest.raises(ValueError, match="its tensors are of neither"):
        load_checkpoint(path)
    save_checkpoint(path, tiny_tracker)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="cut short or damaged"):
        load_checkpoint(path)
    save_checkpoint(path, tiny_tracker)
    tensors = load_file(path)
    tensors["head.extra"] = tensors.pop("head.bias")
    metadata = {"pointtrack_config": json.dumps(to_dict(tiny_tracker.config))}
    save_file(tensors, path, metadata)
    with pytest.raises(ValueError, match=r"missing: head.bias\n  unexpected: head.extra"):
        load_checkpoint(path)
    with pytest.raises(FileNotFoundError, match="expected one of small"):
        load_tracker("nothing-like-this")
    save_checkpoint(path, tiny_tracker)
    with pytest.raises(ValueError, match="device: expected one that this machine has"):
        load_tracker(path, device="quantum")


def test_shipped_weights_are_small_and_load():
    for path in (*SHIPPED.values(), SEGMENTER):
        assert path.stat().st_size < 20e6
        assert path.with_suffix(".md").is_file(), "every shipped weight has a model card"
    for path in SHIPPED.values():
        assert not any(p.requires_grad for p in load_tracker(path, device="cpu").parameters())


def test_rounds_of_refinement_can_be_chosen(tiny_tracker_file):
    assert load_tracker(tiny_tracker_file, iterations=0).config.window.iterations == 0
    with pytest.raises(ValueError, match="expected 0 or more"):
        load_tracker(tiny_tracker_file, iterations=-1)
    assert load_tracker(tiny_tracker_file, step=1).config.window.step == 1
    with pytest.raises(ValueError, match=r"expected 1..8 \(the window's length\), got 9"):
        load_tracker(tiny_tracker_file, step=9)


def test_single_frames_get_short_windows_and_one_round(tiny_tracker, tmp_path):
    config, path = tiny_tracker.config, tmp_path / "long.safetensors"
    tiny_tracker.config = replace(config, window=replace(config.window, length=12, step=6, iterations=3))
    save_checkpoint(path, tiny_tracker)

    def windows(**requested) -> tuple[int, int, int]:
        window = load_tracker(path, device="cpu", **requested).config.window
        return window.length, window.step, window.iterations

    assert windows() == (12, 6, 3) and windows(step=2) == (12, 2, 3)
    assert windows(step=1) == (SINGLE_LENGTH, 1, SINGLE_ITERATIONS)
    assert windows(step=1, iterations=2) == (12, 1, 2)
    tiny_tracker.config = replace(config, window=replace(config.window, length=3, step=1, iterations=0))
    save_checkpoint(path, tiny_tracker)
    assert windows(step=1) == (3, 1, 0), "never more than the model's own"
    save_checkpoint(
        path, PointTracker(replace(config, window=WindowConfig(length=12, step=6, start="repeat")))
    )
    assert windows(step=1) == (12, 1, 2), (
        "a tracker that starts from the last position needs its frames and rounds"
    )


def test_new_tracker_refines_nothing_yet():
    torch.manual_seed(0)
    tracker = PointTracker(TrackerConfig())
    with torch.no_grad():
        pyramid = tracker.encode(torch.rand(1, 4, 3, 64, 80) * 255)
        frame, xy = torch.tensor([[0, 2]]), torch.tensor([[[20.0, 30.0], [50.0, 12.5]]])
        queries = WindowQueries(frame, xy, tracker.remember(pyramid, frame, xy))
        estimates, state = tracker(pyramid, queries, None, 2)
    assert len(estimates) == 1 + tracker.config.window.iterations
    assert torch.equal(estimates[0].xy, estimates[-1].xy)
    assert state.overlap.xy.shape == (1, 2, 2, 2) and state.known(queries).tolist() == [[True, False]]
    assert torch.equal(estimates[-1].xy[0, frame[0], [0, 1]], xy[0])


def test_first_guess_follows_a_moving_picture():
    """Matching works with an encoder of random weights when the picture only shifts."""
    torch.manual_seed(0)
    tracker = PointTracker(TrackerConfig())
    picture = torch.rand(1, 3, 24, 40).repeat_interleave(8, 2).repeat_interleave(8, 3) * 255
    frames = torch.stack([picture[..., 16:144, 8 * t : 8 * t + 192] for t in range(5)], dim=1)
    xy = torch.tensor([[[100.0, 60.0], [80.0, 70.0], [120.0, 50.0]]])
    frame = torch.zeros(1, 3, dtype=torch.int64)
    with torch.no_grad():
        pyramid = tracker.encode(frames)
        guess, _ = tracker.first_guess(
            pyramid, WindowQueries(frame, xy, tracker.remember(pyramid, frame, xy)), None
        )
    truth = xy[:, None] - torch.tensor([8.0, 0.0]) * torch.arange(5).reshape(1, 5, 1, 1)
    assert (guess.xy - truth).norm(dim=-1).max() < 2.5


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
def test_files_of_weights_may_be_read_by_whom_the_umask_allows(tiny_tracker, tmp_path):
    before = os.umask(0o022)
    try:
        save_checkpoint(tmp_path / "tracker.safetensors", tiny_tracker)
        SmallSegmenter(SegmenterNetwork(SegmenterConfig())).save(tmp_path / "segmenter.safetensors")
    finally:
        os.umask(before)
    for name in ("tracker", "segmenter"):
        assert (tmp_path / f"{name}.safetensors").stat().st_mode & 0o777 == 0o644
