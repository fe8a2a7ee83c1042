"""Keys of the object memory learn to tell objects apart; nothing else changes."""

from dataclasses import replace

import pytest
import torch

from pointtrack.cli.runner import run_command
from pointtrack.datasets.clip import VOID
from pointtrack.models.checkpoint import load_checkpoint, save_checkpoint
from pointtrack.models.point_tracker import PointTracker
from tests.support.keyed import KEYED
from train.cli import train_command
from train.data.batch import ClipBatch
from train.data.synthetic import SceneConfig, SyntheticClips
from train.data.textures import procedural_bank
from train.tasks.remembering import RememberingTask

CONFIG = replace(KEYED, input_area=256 * 192)  # whose cells are small enough for the cards
SCENE = SceneConfig(frames=3, sizes=((128, 96),), points=4, objects=2, motion_blur=0.0)


@pytest.fixture
def tracker():
    torch.manual_seed(0)
    return PointTracker(CONFIG)


@pytest.fixture(scope="module")
def batches():
    return SyntheticClips(procedural_bank(3, torch.Generator().manual_seed(0)), SCENE, 1, seed=0)


def test_only_the_keys_learn_and_the_loss_falls(tracker, batches):
    task = RememberingTask(tracker, [])
    learnt = [name for name, x in task.named_parameters() if x.requires_grad]
    assert learnt == ["tracker.object_keys.mix.weight"]
    optimizer = torch.optim.Adam([x for x in task.parameters() if x.requires_grad], lr=0.02)
    losses = []
    for _ in range(25):
        loss, figures = task(batches[0])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
        assert 0 <= float(figures["overlap"]) <= 1
    assert losses[-1] < 0.8 * losses[0]


def test_what_the_memory_says_is_what_is_judged(tracker):
    """The same frame twice is recalled by its own cells, and a frame without its object teaches nothing."""
    task = RememberingTask(tracker, [])
    torch.manual_seed(1)
    frame = torch.randint(0, 256, (1, 1, 3, 96, 128)).byte()
    objects = torch.zeros(1, 2, 96, 128, dtype=torch.uint8)
    objects[:, :, 32:80, 32:96] = 200
    batch = ClipBatch(
        frame.repeat(1, 2, 1, 1, 1), torch.zeros(1, 2, 0, 2), torch.zeros(1, 2, 0, dtype=torch.bool),
        torch.zeros(1, 0, dtype=torch.int64), objects,
    )  # fmt: skip
    _, figures = task(batch)
    assert float(figures["overlap"]) > 0.6
    for nothing in (0, VOID):
        loss, _ = task(replace(batch, objects=torch.full_like(objects, nothing)))
        loss.backward()
        assert float(loss.detach()) == 0


def test_what_is_missing_is_said(tracker, batches):
    with pytest.raises(ValueError, match="expected clips with masks"):
        RememberingTask(tracker, [])(replace(batches[0], objects=None))
    plain = PointTracker(replace(CONFIG, encoder=replace(CONFIG.encoder, key_channels=0)))
    with pytest.raises(
        ValueError, match=r"expected a tracker with keys for objects \(python -m train.object_keys\)"
    ):
        RememberingTask(plain, [])


def test_the_recipe_takes_a_step_and_changes_the_keys_alone(tracker, tmp_path):
    save_checkpoint(tmp_path / "start.safetensors", tracker)
    arguments = (
        "--config configs/small_remembering.yaml --scene.sizes [[128,96]] --scene.objects 2 --loop.steps 1 --loop.warmup 1 "
        "--loop.average 0 --loop.accelerator cpu --held_out 1 --views_share 0"
    )
    files = ["--init", str(tmp_path / "start.safetensors"), "--out", str(tmp_path / "run")]
    assert run_command(lambda: train_command, [*arguments.split(), *files], "train") == 0
    before, after = (
        load_checkpoint(path).state_dict()
        for path in (tmp_path / "start.safetensors", tmp_path / "run/model.safetensors")
    )
    changed = [name for name, x in after.items() if not torch.equal(x, before[name])]
    assert changed == ["object_keys.mix.weight"]
    assert "val_overlap" in (tmp_path / "run" / "log.csv").read_text()


def test_views_need_objects_and_this_task(tmp_path, capsys):
    for task in ("remembering", "tracking"):
        arguments = ["--task", task, "--views_share", "0.5", "--out", str(tmp_path / "run")]
        assert run_command(lambda: train_command, arguments, "train") == 2
        assert "views_share: expected task remembering and objects with it" in capsys.readouterr().err
