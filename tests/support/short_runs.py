"""Trainings of seconds: the loop's settings, clips that break off, and losses on one batch."""

import torch
from torch.utils.data import Dataset

from train.loop import LoopConfig

LOOP = LoopConfig(
    steps=4, warmup=1, learning_rate=1e-3, log_every=1, validate_every=4, save_every=2, workers=0, bf16=False,
    accelerator="cpu",
)  # fmt: skip


class Stopped(Exception):
    pass


class BreakingOff(Dataset):
    """The same clips, one of which cannot be read."""

    def __init__(self, clips, broken):
        self.clips, self.broken = clips, broken

    def __getitem__(self, index):
        if index == self.broken:
            raise Stopped
        return self.clips[index]


def losses_on(batch, task, steps):
    """The loss before each of `steps` steps on one batch."""
    optimizer = torch.optim.Adam([p for p in task.parameters() if p.requires_grad], 3e-3)
    losses = []
    for _ in range(steps):
        loss, _ = task(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses
