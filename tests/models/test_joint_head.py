"""Joint features that are learnt: how they begin, what learns, and what refinement is told of them."""

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from pointtrack.config import EncoderConfig, TrackerConfig, TransformerConfig
from pointtrack.models.checkpoint import load_checkpoint, save_checkpoint
from pointtrack.models.joint_head import LOOKED_AT, JointLook, coarser
from pointtrack.models.point_tracker import PointTracker
from pointtrack.tracking.window_stream import WindowStream
from pointtrack.types import Queries

CONFIG = TrackerConfig(
    input_area=96 * 64,
    encoder=EncoderConfig(
        8, (8, 8, 8), blocks_per_stage=1, channels=8, trunk_stride=32, trunk_blocks=1, joint_channels=24
    ),
    transformer=TransformerConfig(width=16, heads=2, depth=1),
)
FRAMES = torch.randint(0, 256, (2, 3, 3, 64, 96), generator=torch.Generator().manual_seed(0))


def tracker(config=CONFIG):
    torch.manual_seed(0)
    return PointTracker(config).eval().requires_grad_(False)


def test_one_map_of_unit_length_comes_out():
    network = tracker()
    with torch.inference_mode():
        pyramid = network.encode(FRAMES)
    joint = pyramid[network.appearance_level(4)]
    assert joint.shape == (2, 3, 16, 24, 24) and joint.dtype == torch.float16
    assert network.appearance_channels == 24
    assert_close(joint.float().norm(dim=-1), torch.ones(2, 3, 16, 24), atol=2e-3, rtol=0)


def test_it_begins_as_the_parts_side_by_side():
    """With all axes of every part cosines are those of the parts, each by its weight."""
    parts = [8, 24, 40, 112, 192]
    network = tracker(replace(CONFIG, encoder=replace(CONFIG.encoder, joint_channels=sum(parts))))
    weights = [w / 10 for w in (4, 1, 1, 2, 2)]
    axes = [torch.linalg.qr(torch.randn(c, c))[0] * w**0.5 for c, w in zip(parts, weights, strict=True)]
    network.joint_head.begin_as(axes)
    beside = tracker(
        replace(CONFIG, encoder=replace(CONFIG.encoder, joint_channels=0, weights=(4.0, 1, 1, 2, 2)))
    )
    same = {name: x for name, x in network.state_dict().items() if name in beside.state_dict()}
    beside.load_state_dict({**beside.state_dict(), **same})
    with torch.inference_mode():
        found, expected = (
            one.encode(FRAMES)[one.appearance_level(4)][0, 0].float().flatten(0, 1)
            for one in (network, beside)
        )
    alike = torch.stack([(one @ one.T).flatten() for one in (found, expected)])
    assert torch.corrcoef(alike)[0, 1] > 0.9  # maps are made larger one by one here
    with pytest.raises(ValueError, match="axes: expected those of 5 parts, 376 together, got"):
        network.joint_head.begin_as(axes[1:])


def test_frames_are_told_apart_alone_and_together():
    network = tracker()
    with torch.inference_mode():
        together = network.encode(FRAMES)[-1]
        alone = network.encode(FRAMES[1:, 2:])[-1]
    assert torch.equal(together[1:, 2:], alone)


@pytest.mark.parametrize("wide", [(16, 24), (17, 26)])
def test_maps_are_joined_in_place_where_nothing_learns(wide):
    """Also where the trunk's maps go beyond the encoder's, as of frames that it fills up; what is given stays as it was."""
    head = tracker().joint_head
    own, maps = (
        torch.randn(2, 8, 16, 24),
        [torch.randn(2, c, h, 9) for c, h in ((24, 8), (40, 4), (112, 2), (192, 1))],
    )
    given = [x.clone() for x in (own, *maps)]
    recorded = head(own, maps, wide)
    with torch.inference_mode():
        found = head(own, maps, wide)
    assert_close(found, recorded, atol=1e-5, rtol=0)
    assert all(torch.equal(x, y) for x, y in zip(given, (own, *maps), strict=True))
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert_close(head(own, maps, wide), recorded, atol=0.03, rtol=0)


def test_the_head_learns_and_the_trunk_does_not():
    network = tracker()
    network.joint_head.requires_grad_(True)
    joint = network.encode(FRAMES)[network.appearance_level(4)]
    (joint[..., :4] * torch.randn(4)).sum().backward()
    assert all(x.grad is not None for x in network.joint_head.own.parameters())
    assert network.joint_head.mixes["16"].join.weight.grad.abs().sum() > 0
    assert all(x.grad is None for x in network.trunk.parameters())


def test_refinement_is_told_where_a_point_is():
    """One cell is like the point: the product is highest there, near and far."""
    torch.manual_seed(0)
    look = JointLook(8)
    joint = torch.zeros(1, 2, 32, 32, 4)
    joint[..., 1] = 1.0
    joint[0, 1, 8:12, 16:20] = torch.tensor([1.0, 0, 0, 0])
    maps = [joint, *coarser(joint)]
    assert [x.shape[2] for x in maps] == [32 // side for side in LOOKED_AT]
    told = {}
    look.fc1.register_forward_hook(lambda _, given, __: told.update(x=given[0]))
    cells = torch.tensor([17.0, 9.0]).expand(1, 2, 1, 2)
    with torch.enable_grad():  # plain layers, which the hook sees
        answer = look(maps, torch.tensor([[[1.0, 0, 0, 0]]]), cells.clone().requires_grad_())
    assert torch.equal(answer, torch.zeros(1, 2, 1, 8))  # it begins by telling nothing
    near, far = told["x"][0, :, 0].unflatten(-1, (2, 49)).unbind(1)
    assert near[1, 24] == 1 and near[0].abs().max() == 0
    assert far[1].argmax() == 24


def test_a_file_brings_it_back_and_it_tracks(tmp_path):
    network = tracker()
    save_checkpoint(tmp_path / "head.safetensors", network, half=False)
    again = load_checkpoint(tmp_path / "head.safetensors")
    queries = Queries(torch.tensor([0, 0]), torch.tensor([[20.0, 20.0], [50.0, 30.0]]))
    frames = FRAMES[0].permute(0, 2, 3, 1).to(torch.uint8).repeat(6, 1, 1, 1)
    answers = []
    for one in (network, again):
        stream = WindowStream(one, queries, (96, 64))
        answers.append([x for x in (stream.push(frames), stream.finish()) if x is not None])
    assert len(answers[0]) == len(answers[1]) > 0
    for first, second in zip(*answers, strict=True):
        assert torch.equal(first.xy, second.xy)


def test_what_does_not_go_together_is_refused():
    with pytest.raises(ValueError, match="joint_channels: expected 0 without a trunk"):
        PointTracker(replace(CONFIG, encoder=replace(CONFIG.encoder, trunk_stride=0, trunk_blocks=0)))
    rules = replace(CONFIG.initialization, exact_weights=(1.0, 1, 1, 1, 1))
    with pytest.raises(ValueError, match="exact_weights: expected none with joint features that are learnt"):
        PointTracker(replace(CONFIG, initialization=rules))
