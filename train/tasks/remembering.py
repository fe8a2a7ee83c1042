"""Keys of the object memory learn which cells of a frame show the objects that another frame shows."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from pointtrack.datasets.clip import VOID
from pointtrack.models.checkpoint import save_checkpoint
from pointtrack.models.point_tracker import PointTracker
from pointtrack.objects.memory import MemoryConfig, keys_of
from train.data.batch import ClipBatch
from train.loop import Task
from train.object_keys import cells_beside
from train.tasks.segmenting import mask_losses, overlap

LEAST_CELLS = 4.0  # of an object on both frames
LARGEST_SHARE = 0.99  # shares are clamped to it, as their logits grow without end


class RememberingTask(Task):
    """Every frame is read from the true masks of another, as the object memory does, with positions and without.

    Only the mixing of the keys learns; points stay the same to the last bit.

    Args:
        tracker: with keys for objects.
        held_out: batches for validation, with objects.

    Raises:
        ValueError: a tracker without keys for objects.
    """

    def __init__(self, tracker: PointTracker, held_out: list[ClipBatch]):
        super().__init__()
        if tracker.object_keys is None:
            raise ValueError(
                "task remembering: expected a tracker with keys for objects (python -m train.object_keys), got one without"
            )
        self.tracker, self.held_out = tracker.requires_grad_(False), held_out
        tracker.object_keys.requires_grad_(True)
        self.memory = MemoryConfig()

    def forward(self, batch: ClipBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean loss of all objects, and their overlap (IoU) in cells.

        Raises:
            ValueError: a batch without objects.
        """
        if batch.objects is None:
            raise ValueError("task remembering: expected clips with masks, got a batch without objects")
        assert self.tracker.object_keys is not None
        t = batch.frames.shape[1]
        beside = cells_beside(self.tracker, rearrange(batch.frames, "b t c h w -> (b t) c h w"))
        keys = rearrange(self.tracker.object_keys.mixed(beside), "(b t) h w c -> b t c h w", t=t)
        losses, overlaps = [], []
        for features, numbers in zip(keys, batch.objects, strict=True):
            shares = _shares(numbers, features.shape[-2:])
            for read in range(t):
                known = (read + 1) % t
                both = (shares[[read, known]].sum((2, 3)) >= LEAST_CELLS).all(0)
                if not both.any():
                    continue
                truth = shares[read, both]
                for place in (self.memory.place, 0.0):
                    share = self._recalled(features[read], features[known], shares[known, both], place)
                    losses.append(
                        mask_losses(share.clamp(1 - LARGEST_SHARE, LARGEST_SHARE).logit(), truth).mean()
                    )
                    overlaps.append(overlap(share.detach() - 0.5, truth).mean())
        if not losses:  # no object is on two frames in a row: a batch that teaches nothing
            nothing = keys.sum() * 0.0
            return nothing, {"overlap": nothing.detach()}
        return torch.stack(losses).mean(), {"overlap": torch.stack(overlaps).mean()}

    def _recalled(self, features: Tensor, known: Tensor, shares: Tensor, place: float) -> Tensor:
        """Read a frame from the memory of a known one: (c, h, w) keys of both, (o, h, w) shares there -> (o, h, w) here."""
        alike = keys_of(features, place) @ keys_of(known, place).T
        near, which = alike.topk(min(self.memory.top, alike.shape[1]), dim=1)
        weight = torch.softmax(near * self.memory.sharpness, dim=1)
        found = torch.einsum("pk,opk->op", weight, shares.flatten(1)[:, which])
        return rearrange(found, "o (h w) -> o h w", h=features.shape[1])

    @torch.no_grad()
    def validate(self, folder: Path) -> dict[str, float]:
        """Mean loss and overlap over the held-out batches."""
        device = next(self.parameters()).device
        results = [self(batch.to(device)) for batch in self.held_out]
        return {
            "loss": sum(float(loss) for loss, _ in results) / len(results),
            "overlap": sum(float(figures["overlap"]) for _, figures in results) / len(results),
        }

    def save(self, path: Path) -> None:
        """Write the tracker."""
        save_checkpoint(path, self.tracker)


def _shares(numbers: Tensor, cells: tuple[int, int]) -> Tensor:
    """(t, h, w) uint8 object of every pixel -> (t, o, h', w') how much of every cell each object covers."""
    objects = numbers.unique()
    objects = objects[(objects > 0) & (objects != VOID)]
    masks = (numbers[:, None] == objects[:, None, None]).float()
    return F.adaptive_avg_pool2d(masks, cells)
