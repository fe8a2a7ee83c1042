"""Batches of labels that several views of a video agree on (`train/pseudo_labels.py`)."""

from __future__ import annotations

import numpy as np
import torch

from pointtrack.datasets.clip import TrueTracks
from train.data.batch import ClipBatch
from train.data.clips import FolderClips


class AgreedBatch(ClipBatch):
    """A batch whose positions are known where `visible`, and in which nothing else is known."""

    def to(self, device: torch.device | str) -> AgreedBatch:
        """The same batch on another device."""
        return AgreedBatch(**vars(super().to(device)))


class AgreedClips(FolderClips):
    """Numbered batches from the clips of `train.pseudo_labels.label_videos`; arguments and errors of `FolderClips`."""

    def points(self, tracks: TrueTracks, rows: np.ndarray) -> TrueTracks:
        """All points with a label on any of the frames; not visible where the label does not count."""
        visible = tracks.visible[rows]
        kept = visible.any(dim=0)
        xy = torch.where(visible[..., None], tracks.xy[rows], 0.0)
        return TrueTracks(xy[:, kept], visible[:, kept], ids=tracks.ids[kept])

    def __getitem__(self, index: int) -> AgreedBatch:
        return AgreedBatch(**vars(super().__getitem__(index)))
