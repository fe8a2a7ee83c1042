"""Distil the tracker's encoder into a thinner one with the same features, so that the rest of the tracker can stay."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from pointtrack.config import EncoderConfig
from pointtrack.layers.encoder import Encoder, build_pyramid
from pointtrack.models.checkpoint import save_checkpoint
from pointtrack.models.point_tracker import PointTracker
from train.data.batch import ClipBatch
from train.data.pictures import PictureBatch
from train.loop import Task
from train.losses import matching_loss

CELLS = 128  # cells per picture to compare with all of its cells
SHARPNESS = 20.0  # factor on cosines before a soft-max over cells, close to what matching learns
RANKED = 0.5  # weight of the similarities between cells, relative to the features themselves

# Settings of an encoder that may differ from the teacher's; those of the trunk and of joint features stay.
SIZES = ("stem_channels", "stage_channels", "stage_strides", "blocks_per_stage", "fusion")


class DistillingTask(Task):
    """Train a new encoder on the features of a tracker's encoder, at every level of the pyramid.

    The loss has two parts: one minus the cosine of every cell's two features; and, for some random cells, how far the
    two encoders differ in which other cells of the picture are similar. Tracking depends on the second.

    Args:
        tracker: tracker whose encoder teaches; everything else of it is kept.
        encoder: sizes of the new encoder; output channels, trunk and joint features stay.
        held_out: clips for validation.
    """

    def __init__(self, tracker: PointTracker, encoder: EncoderConfig, held_out: list[ClipBatch]):
        super().__init__()
        sizes = {name: getattr(encoder, name) for name in SIZES}
        config = replace(tracker.config, encoder=replace(tracker.config.encoder, **sizes))
        self.tracker = PointTracker(config)
        others = {name: x for name, x in tracker.state_dict().items() if not name.startswith("encoder.")}
        self.tracker.load_state_dict(others, strict=False)
        self.tracker.inference = tracker.inference
        self.tracker.requires_grad_(False)
        self.tracker.encoder.requires_grad_(True)
        self.teacher: Encoder = tracker.encoder.requires_grad_(False)
        self.levels = config.correlation.levels
        self.held_out = held_out

    def forward(self, batch: PictureBatch) -> tuple[Tensor, dict[str, Tensor]]:  # type: ignore[override]
        """Loss and mean cosine at the finest level."""
        pixels = batch.frames.float()
        with torch.no_grad():
            wanted = build_pyramid(self.teacher(pixels), self.levels)
        found = build_pyramid(self.tracker.encoder(pixels), self.levels)
        alike = [F.cosine_similarity(x, y, dim=1).mean() for x, y in zip(found, wanted, strict=True)]
        ranked = [surprise(x, y) for x, y in zip(found, wanted, strict=True)]
        unlike = 1 - torch.stack(alike).mean()
        order = torch.stack(ranked).mean()
        return unlike + RANKED * order, {"cosine": alike[0], "order": order}

    @torch.no_grad()
    def validate(self, folder: Path) -> dict[str, float]:
        """On held-out clips: mean cosine, and share of points that each encoder finds within 6 px."""
        sums = {"cosine": 0.0, "hits": 0.0, "hits_of_teacher": 0.0}
        sharpness = self.tracker.match_sharpness.new_full((self.levels,), SHARPNESS)
        for batch in self.held_out:
            clips = batch.to(sharpness.device)
            pixels = rearrange(clips.frames, "b t c h w -> (b t) c h w").float()
            features = {"hits": self.tracker.encoder(pixels), "hits_of_teacher": self.teacher(pixels)}
            sums["cosine"] += float(
                F.cosine_similarity(features["hits"], features["hits_of_teacher"], dim=1).mean()
            )
            for name, x in features.items():
                maps = [
                    rearrange(y, "(b t) c h w -> b t c h w", b=len(clips))
                    for y in build_pyramid(x, self.levels)
                ]
                sums[name] += float(matching_loss(maps, clips, sharpness)[1])
        return {name: value / len(self.held_out) for name, value in sums.items()}

    def save(self, path: Path) -> None:
        """The tracker with the new encoder."""
        save_checkpoint(path, self.tracker)


def surprise(found: Tensor, wanted: Tensor) -> Tensor:
    """How far two feature maps (b, c, h, w) differ in the similarities between cells: a mean over some random cells.

    Per cell, the Kullback-Leibler divergence of the soft-max of its cosines with all cells of its picture.
    """
    b, _, h, w = found.shape
    cells = torch.randint(h * w, (min(CELLS, h * w),), device=found.device)
    with torch.autocast(found.device.type, enabled=False):
        mine, theirs = (
            _log_similarities(rearrange(x.float(), "b c h w -> b c (h w)"), cells) for x in (found, wanted)
        )
        return F.kl_div(mine, theirs, reduction="sum", log_target=True) / (b * len(cells))


def _log_similarities(cells: Tensor, chosen: Tensor) -> Tensor:
    """(b, c, p) features and n numbers of cells -> (b, n, p) log-similarities of every cell."""
    unit = F.normalize(cells, dim=1)
    products = unit[..., chosen].transpose(1, 2) @ unit
    return torch.log_softmax(SHARPNESS * products, dim=-1)
