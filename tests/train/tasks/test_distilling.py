"""A thinner encoder learns to answer as the tracker's own."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pointtrack.cli.runner import run_command
from pointtrack.config import EncoderConfig, TrackerConfig, TransformerConfig
from pointtrack.models.checkpoint import load_checkpoint
from pointtrack.models.point_tracker import PointTracker
from train.cli import train_command
from train.data.pictures import Pictures
from train.loop import LoopConfig, run
from train.tasks.distilling import DistillingTask, surprise

THIN = EncoderConfig(stem_channels=8, stage_channels=(8, 12), stage_strides=(2, 2), blocks_per_stage=1)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    random = np.random.default_rng(0)
    for name, (h, w) in {"wide": (60, 150), "high/tall": (140, 50)}.items():
        path = folder / f"{name}.jpg"
        path.parent.mkdir(exist_ok=True)
        coarse = random.integers(256, size=(h // 10, w // 10, 3), dtype=np.uint8)
        cv2.imwrite(str(path), cv2.resize(coarse, (w, h), interpolation=cv2.INTER_CUBIC))
    return folder


def test_batches_are_functions_of_their_number(photographs):
    """Also where a cut is larger than the photograph."""
    pictures = Pictures([photographs], [(96, 64), (64, 80)], batch=2, seed=3)
    sizes = {tuple(pictures[i].frames.shape) for i in range(8)}
    assert sizes == {(2, 3, 64, 96), (2, 3, 80, 64)}
    assert torch.equal(pictures[5].frames, pictures[5].frames)
    assert not torch.equal(pictures[4].frames.sum(), pictures[5].frames.sum())
    assert pictures[0].frames.float().std() > 10  # something is to be seen


def test_a_folder_without_photographs_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"expected \.jpg files"):
        Pictures([tmp_path], [(64, 64)], 1, 0)


def test_the_new_encoder_comes_to_answer_as_the_old_one(tiny_tracker, photographs, tmp_path):
    pictures = Pictures([photographs], [(64, 48)], batch=2, seed=0)
    task = DistillingTask(tiny_tracker, THIN, [])
    task.validate = lambda folder: {}
    seen = pictures[1000].frames.float()

    def likeness(tracker) -> float:
        with torch.no_grad():
            return float(F.cosine_similarity(tracker.encoder(seen), tiny_tracker.encoder(seen), dim=1).mean())

    before = likeness(task.tracker)
    loop = LoopConfig(
        steps=60, learning_rate=5e-3, warmup=5, average=0.9, workers=0, accelerator="cpu", bf16=False
    )
    run(task, pictures, loop, tmp_path)
    learnt = load_checkpoint(tmp_path / "model.safetensors")
    assert likeness(learnt) > before + 0.3
    assert learnt.config.encoder == replace(THIN, channels=tiny_tracker.config.encoder.channels)
    others = {name: x for name, x in tiny_tracker.state_dict().items() if not name.startswith("encoder.")}
    assert others and all(
        torch.equal(learnt.state_dict()[name], x.half().float()) for name, x in others.items()
    )


def test_what_is_like_what():
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(2, 8, 6, 7, generator=generator) for _ in range(2))
    turned = torch.einsum("cd,bdhw->bchw", torch.linalg.qr(torch.randn(8, 8, generator=generator)).Q, a)
    assert surprise(a, a) == pytest.approx(0, abs=1e-5)
    assert surprise(turned, a) == pytest.approx(0, abs=1e-4)  # the same cells are alike
    assert surprise(b, a) > 0.05  # 0.08 to 0.15, whichever cells the lot falls on


def test_without_photographs_the_command_says_so(tiny_tracker_file, tmp_path, capsys):
    arguments = ["--task", "distilling", "--init", str(tiny_tracker_file), "--out", str(tmp_path / "run")]
    assert run_command(lambda: train_command, arguments, "train") == 2
    assert "expected folders of photographs" in capsys.readouterr().err


def test_joint_features_that_learn_stay_as_they_are():
    encoder = EncoderConfig(
        8, (8, 8, 8), blocks_per_stage=1, channels=8, trunk_stride=32, trunk_blocks=1, joint_channels=24
    )
    torch.manual_seed(0)
    tracker = PointTracker(
        TrackerConfig(encoder=encoder, transformer=TransformerConfig(width=16, heads=2, depth=1))
    )
    made = DistillingTask(tracker, THIN, []).tracker
    assert (
        made.config.encoder.joint_channels == 24 and made.config.encoder.stem_channels == THIN.stem_channels
    )
    state = made.state_dict()
    for name, x in tracker.state_dict().items():
        if name.startswith("joint_head"):
            assert torch.equal(state[name], x), name
