"""A training of seconds on a tiny tracker, for tests that run it in separate processes, also under torchrun.

python tests/train/tiny_run.py TRACKER.safetensors OUT '{"devices": 2}'
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch

from pointtrack.models.checkpoint import load_checkpoint
from train.data.synthetic import SceneConfig, SyntheticClips
from train.data.textures import procedural_bank
from train.loop import LoopConfig, make_fabric, run
from train.tasks.tracking import TrackingTask

STEPS = 10


def tiny_run(tracker: Path, out: Path, **settings: Any) -> None:
    """Train on CPUs, one clip of 6 frames per batch, with changes to the settings of the loop."""
    loop = LoopConfig(**{
        "steps": STEPS, "warmup": 1, "learning_rate": 1e-3, "log_every": 1, "validate_every": STEPS,
        "save_every": 2, "workers": 0, "bf16": False, "accelerator": "cpu", **settings,
    })  # fmt: skip
    fabric = make_fabric(loop, out)
    bank = procedural_bank(2, torch.Generator().manual_seed(0))
    scene = SceneConfig(frames=6, sizes=((96, 64),), points=12, query_frames=3, motion_blur=0.0)
    held_out = [SyntheticClips(bank, scene, 1, 9)[0]]
    task = TrackingTask(load_checkpoint(tracker), held_out, windows=((4, 2), (6, 3)), freeze_encoder=False)
    run(task, SyntheticClips(bank, scene, 1, 0), loop, out, fabric)


if __name__ == "__main__":
    torch.set_num_threads(1)
    tiny_run(Path(sys.argv[1]), Path(sys.argv[2]), **json.loads(sys.argv[3]))
