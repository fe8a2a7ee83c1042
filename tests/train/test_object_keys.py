"""Keys for objects are put into a tracker without training: `python -m train.object_keys`."""

from dataclasses import replace

import pytest
import torch

from pointtrack.models.checkpoint import load_checkpoint, save_checkpoint
from pointtrack.models.point_tracker import PointTracker
from tests.support.keyed import KEYED
from train.object_keys import keys_command
from train.tasks.tracking import TrackingTask

ENCODER = replace(KEYED.encoder, key_channels=0)
CONFIG = replace(KEYED, input_area=128 * 96, encoder=ENCODER)


def test_all_other_weights_stay_and_keys_are_orthogonal_axes(pictures, tmp_path):
    torch.manual_seed(0)
    save_checkpoint(tmp_path / "plain.safetensors", PointTracker(CONFIG))
    keys_command(tmp_path / "plain.safetensors", tmp_path / "keys.safetensors", pictures, channels=15)
    before, made = (load_checkpoint(tmp_path / f"{name}.safetensors") for name in ("plain", "keys"))
    assert made.config.encoder.key_channels == 15
    state = made.state_dict()
    assert all(torch.equal(x, state[name]) for name, x in before.state_dict().items())
    added = {name: x for name, x in state.items() if name not in before.state_dict()}
    assert {name: tuple(x.shape) for name, x in added.items()} == {
        "object_keys.mix.weight": (15, 24 + 112 + 192)
    }
    (axes,) = added.values()
    assert torch.allclose(axes @ axes.T, torch.eye(15), atol=2e-3)


def test_keys_of_a_tracker_that_has_some_are_made_anew(pictures, tmp_path):
    torch.manual_seed(0)
    save_checkpoint(tmp_path / "plain.safetensors", PointTracker(CONFIG))
    for source, out, channels in (("plain", "one", 15), ("one", "two", 8)):
        keys_command(tmp_path / f"{source}.safetensors", tmp_path / f"{out}.safetensors", pictures, channels)
    assert load_checkpoint(tmp_path / "two.safetensors").object_keys.mix.weight.shape == (8, 328)
    with pytest.raises(ValueError, match="channels: expected 1 to 328, got 400"):
        keys_command(tmp_path / "one.safetensors", tmp_path / "three.safetensors", pictures, 400)


def test_a_tracker_without_learnt_joint_features_is_refused(pictures, tmp_path):
    torch.manual_seed(0)
    plain = replace(CONFIG, encoder=replace(ENCODER, trunk_stride=0, joint_channels=0))
    save_checkpoint(tmp_path / "plain.safetensors", PointTracker(plain))
    with pytest.raises(ValueError, match="key_channels: expected none without learnt joint features"):
        keys_command(tmp_path / "plain.safetensors", tmp_path / "out.safetensors", pictures)
    assert not (tmp_path / "out.safetensors").exists()


def test_training_leaves_keys_alone(pictures, tmp_path):
    """Nothing that is trained reads them; several processes would wait for their gradients."""
    torch.manual_seed(0)
    encoder = replace(ENCODER, key_channels=15)
    task = TrackingTask(PointTracker(replace(CONFIG, encoder=encoder)), [])
    frozen = [name for name, x in task.named_parameters() if not x.requires_grad]
    assert sum(".object_keys." in name for name in frozen) == 1
