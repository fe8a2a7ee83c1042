"""First stage: train the encoder's features to find a point again anywhere in another frame."""

from __future__ import annotations

from pathlib import Path

import torch
from einops import rearrange
from torch import Tensor, nn

from pointtrack.layers.encoder import build_pyramid
from pointtrack.models.checkpoint import save_checkpoint
from pointtrack.models.point_tracker import PointTracker
from train.checkpointing import recomputed
from train.data.batch import ClipBatch
from train.loop import Task
from train.losses import matching_loss


class MatchingTask(Task):
    """Soft-max matching of query features over whole frames, at every level of the pyramid.

    Only the encoder of the tracker learns; its refinement stays unchanged (a new tracker has none), so the saved
    tracker works by its first guess.

    Args:
        tracker: whose encoder is trained.
        held_out: batches for validation.
    """

    def __init__(self, tracker: PointTracker, held_out: list[ClipBatch]):
        super().__init__()
        self.tracker = tracker.requires_grad_(False)
        self.tracker.encoder.requires_grad_(True)
        # Start from the learnt sharpness: another one would first spoil the features that suit it.
        start = tracker.match_sharpness.detach().log()
        self.log_sharpness = nn.Parameter(start.repeat(tracker.config.correlation.levels))
        self.held_out = held_out

    def forward(self, batch: ClipBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss and share of hits within 6 px."""
        b = len(batch)
        with recomputed(self.tracker, self.recompute):
            features = self.tracker.encoder(rearrange(batch.frames, "b t c h w -> (b t) c h w").float())
        pyramid = build_pyramid(features, len(self.log_sharpness))
        maps = [rearrange(x, "(b t) c h w -> b t c h w", b=b) for x in pyramid]
        loss, hits = matching_loss(maps, batch, self.log_sharpness.exp())
        return loss, {"hits": hits}

    @torch.no_grad()
    def validate(self, folder: Path) -> dict[str, float]:
        """Mean loss and hits over the held-out batches."""
        device = self.log_sharpness.device
        results = [self(batch.to(device)) for batch in self.held_out]
        return {
            "loss": sum(float(loss) for loss, _ in results) / len(results),
            "hits": sum(float(figures["hits"]) for _, figures in results) / len(results),
        }

    @torch.no_grad()
    def save(self, path: Path) -> None:
        """Write the tracker, with the sharpness that matching learnt."""
        self.tracker.match_sharpness.copy_(self.log_sharpness[0].exp())
        save_checkpoint(path, self.tracker)
