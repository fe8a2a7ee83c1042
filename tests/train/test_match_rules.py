"""Rules of a first guess are carried over to other features by how many points pass them."""

from dataclasses import replace

import pytest
import torch

from pointtrack.config import EncoderConfig, InitializationConfig, TrackerConfig, TransformerConfig
from pointtrack.models.checkpoint import load_checkpoint, save_checkpoint
from pointtrack.models.point_tracker import PointTracker
from train.data.batch import ClipBatch
from train.match_rules import RULES as RULE_NAMES
from train.match_rules import Cosines, carried, measure, rules_command

RULES = InitializationConfig(
    seen=0.7, lost=0.7, regained=0.8, better=0.15, far=0.006, ride=0.5, lead=0.6, snap=0.6
)


def cosines(scale: float) -> Cosines:
    place = torch.linspace(0, 1, 1001)
    return Cosines(scale * place, scale * (1 - place), torch.full((1001,), 0.1 * scale))


def test_as_many_points_pass():
    rules = carried(RULES, cosines(1), cosines(0.5))
    assert [rules.seen, rules.lost, rules.ride, rules.lead, rules.snap] == pytest.approx(
        [0.35, 0.35, 0.25, 0.3, 0.3], abs=2e-3
    )
    assert rules.regained == pytest.approx(0.4, abs=2e-3), "as few wrong cells are believed"
    assert rules.better == pytest.approx(0.075, abs=2e-3)
    assert rules.far == pytest.approx(0.003)
    assert rules.pace == RULES.pace


def test_who_never_rides_does_not_begin_to():
    assert carried(replace(RULES, ride=-1.0), cosines(1), cosines(0.5)).ride == -1.0


def test_a_still_video_has_cosines_of_one():
    torch.manual_seed(0)
    tracker = PointTracker(
        TrackerConfig(
            encoder=EncoderConfig(8, (8, 8, 8), blocks_per_stage=1, channels=8),
            transformer=TransformerConfig(width=16, heads=2, depth=1),
        )
    )
    frames = torch.randint(0, 256, (1, 1, 3, 64, 96), dtype=torch.uint8).expand(1, 3, 3, 64, 96)
    xy = torch.tensor([[20.0, 20.0], [60.0, 40.0]]).expand(1, 3, 2, 2)
    visible = torch.ones(1, 3, 2, dtype=torch.bool)
    found = measure(tracker, iter([ClipBatch(frames, xy, visible, torch.zeros(1, 2, dtype=torch.int64))]))
    assert found.place.shape == (4,), "of two points, on the frames they were not asked for on"
    assert torch.allclose(found.place, torch.ones(4), atol=1e-5)
    assert bool((found.elsewhere <= 1).all()) and bool((found.step >= -1e-5).all())


def test_rules_may_be_set_by_hand(tiny_tracker, tmp_path):
    """Where all are, no labels are read."""
    save_checkpoint(tmp_path / "old.safetensors", tiny_tracker)
    numbers = dict(zip(RULE_NAMES, (0.62, 0.8, 0.68, 0.1, 0.008, 0.44, 0.59, 0.55), strict=True))
    given = ",".join(f"{name}={value}" for name, value in numbers.items())
    old, out = tmp_path / "old.safetensors", tmp_path / "out.safetensors"
    rules_command(old, old, out, labels=str(tmp_path / "none"), given=given)
    rules = load_checkpoint(out).config.initialization
    assert {name: getattr(rules, name) for name in RULE_NAMES} == numbers
    for wrong in ("sean=0.6", "seen", "seen=much"):
        with pytest.raises(ValueError, match="given: expected NAME=NUMBER, of seen, lost"):
            rules_command(old, old, out, given=wrong)


def test_rules_of_the_same_features_are_only_set(tiny_tracker, tmp_path):
    save_checkpoint(tmp_path / "old.safetensors", tiny_tracker)
    old, out = tmp_path / "old.safetensors", tmp_path / "out.safetensors"
    rules_command(old, old, out, labels=str(tmp_path / "none"), given="agree=0.4")
    before = load_checkpoint(old).config.initialization
    assert load_checkpoint(out).config.initialization == replace(before, agree=0.4)
