"""Keys for objects: beside everything else, at their own stride, with the trunk's coarse maps in them."""

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from pointtrack.models.checkpoint import load_checkpoint, save_checkpoint
from pointtrack.models.object_keys import KEY_STRIDE
from pointtrack.models.point_tracker import PointTracker
from pointtrack.tracking.window_stream import WindowStream
from pointtrack.types import Queries
from tests.support.keyed import KEYED

FRAMES = torch.randint(0, 256, (2, 3, 3, 64, 96), generator=torch.Generator().manual_seed(0))


def tracker(**changes):
    torch.manual_seed(0)
    return (
        PointTracker(replace(KEYED, encoder=replace(KEYED.encoder, **changes))).eval().requires_grad_(False)
    )


def same_weights(one, other):
    one.load_state_dict(
        {**one.state_dict(), **{k: x for k, x in other.state_dict().items() if k in one.state_dict()}}
    )


def test_keys_come_last_and_change_nothing_else():
    network, without = tracker(), tracker(key_channels=0)
    same_weights(without, network)
    with torch.inference_mode():
        pyramid, plain = network.encode(FRAMES), without.encode(FRAMES)
    assert len(pyramid) == len(plain) + 1
    assert all(torch.equal(a, b) for a, b in zip(pyramid, plain, strict=False))
    assert pyramid[-1].shape == (2, 3, 4, 6, 15) and pyramid[-1].dtype == torch.float16
    assert_close(pyramid[-1].float().norm(dim=-1), torch.ones(2, 3, 4, 6), atol=2e-3, rtol=0)
    assert len(network.looked_at(pyramid)) == len(without.looked_at(plain)) == 2


def test_appearance_from_their_stride_on_is_the_keys():
    network = tracker()
    with torch.inference_mode():
        pyramid = network.encode(FRAMES)
    level = network.appearance_level(KEY_STRIDE)
    assert network.level_stride(level) == KEY_STRIDE
    assert torch.equal(network.read_level(pyramid, level), pyramid[-1].float())
    assert network.read_level(pyramid, level + 1).shape == (2, 3, 2, 3, 15)
    assert network.read_level(pyramid, level - 1).shape == (2, 3, 8, 12, 24)  # joint features


def test_cosines_are_those_of_the_parts_by_their_weights():
    """With as many channels as are mixed, and orthogonal axes, nothing is reduced."""
    network = tracker(key_channels=24 + 112 + 192)
    keys = network.object_keys
    keys.mix.weight.copy_(torch.linalg.qr(torch.randn(keys.mix.weight.shape))[0])
    pixels = FRAMES[0, :1].float()
    with torch.inference_mode():
        maps, wide = network.trunk.compared(pixels)
        joint = network.joint_head(network.encoder(pixels), maps, wide)
        beside = keys.beside(joint, maps, wide)[0].flatten(0, 1)
        found = keys(joint, maps, wide)[0].flatten(0, 1).float()
    parts = [x / x.norm(dim=-1, keepdim=True) for x in beside.split((24, 112, 192), dim=-1)]
    expected = sum(w * x @ x.T for w, x in zip((0.5, 0.25, 0.25), parts, strict=True))
    assert_close(found @ found.T, expected, atol=3e-3, rtol=0)


def test_a_stream_gives_them_and_they_survive_a_file(tmp_path):
    network = tracker()
    save_checkpoint(tmp_path / "keys.safetensors", network, half=False)
    loaded = load_checkpoint(tmp_path / "keys.safetensors")
    assert loaded.config.encoder.key_channels == 15
    video = torch.randint(0, 256, (20, 64, 96, 3), generator=torch.Generator().manual_seed(1)).byte().numpy()
    streams = [
        WindowStream(one, Queries(torch.zeros(1), torch.full((1, 2), 30.0)), (96, 64))
        for one in (network, loaded)
    ]
    rows = [stream.push(video) for stream in streams]
    assert torch.equal(rows[0].xy, rows[1].xy)
    first, second = (stream.features(10, network.appearance_level(KEY_STRIDE)) for stream in streams)
    assert first.shape == (15, 4, 6) and torch.equal(first, second)


def test_a_tracker_without_learnt_joint_features_has_none():
    with pytest.raises(ValueError, match="key_channels: expected none without learnt joint features"):
        tracker(joint_channels=0)
