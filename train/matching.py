"""First stage: teach the encoder features by which a point is found again anywhere in another frame."""

from __future__ import annotations

from pathlib import Path

import torch
from einops import rearrange
from safetensors.torch import save_file
from torch import Tensor, nn

from pointtrack.layers.encoder import Encoder, build_pyramid
from train.data.batch import ClipBatch
from train.loop import Task
from train.losses import matching_loss


class MatchingTask(Task):
    """Soft-max matching of query features over whole frames, at the strides 4, 8 and 16.

    Args:
        encoder: the encoder to train.
        held_out: batches for validation.
    """

    LEVELS = 3

    def __init__(self, encoder: Encoder, held_out: list[ClipBatch]):
        super().__init__()
        self.encoder = encoder
        self.log_temperature = nn.Parameter(torch.full((self.LEVELS,), 2.5))
        self.held_out = held_out

    def forward(self, batch: ClipBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss and share of hits within 6 px."""
        b = len(batch)
        features = self.encoder(rearrange(batch.frames, "b t c h w -> (b t) c h w").float())
        pyramid = [rearrange(x, "(b t) c h w -> b t c h w", b=b) for x in build_pyramid(features, self.LEVELS)]
        loss, hits = matching_loss(pyramid, batch, self.log_temperature.exp())
        return loss, {"hits": hits}

    @torch.no_grad()
    def validate(self, folder: Path) -> dict[str, float]:
        """Mean loss and hits over the held-out batches."""
        device = self.log_temperature.device
        results = [self(batch.to(device)) for batch in self.held_out]
        return {
            "loss": sum(float(loss) for loss, _ in results) / len(results),
            "hits": sum(float(figures["hits"]) for _, figures in results) / len(results),
        }

    def save(self, path: Path) -> None:
        """Encoder weights as safetensors."""
        save_file({name: x.contiguous() for name, x in self.encoder.state_dict().items()}, path)
