"""The batch type of training: clips with exact tracks."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from pointtrack.checks import check_shape


@dataclass
class ClipBatch:
    """A batch of clips of one size, with the state of every point on every frame.

    Attributes:
        frames: (b, t, 3, h, w) uint8 RGB.
        xy: (b, t, n, 2) pixels; known also where the point is hidden or outside the image.
        visible: (b, t, n) bool: in the image and not covered.
        query_frame: (b, n) int64: a frame on which the point is visible.
        objects: (b, t, h, w) uint8 number of the layer that every pixel shows, 0 for the background; or None.
    """

    frames: Tensor
    xy: Tensor
    visible: Tensor
    query_frame: Tensor
    objects: Tensor | None = None

    def __post_init__(self) -> None:
        sizes = check_shape(self.frames, "b t 3 h w", "batch frames")
        found = check_shape(self.xy, f"{sizes['b']} {sizes['t']} n 2", "batch xy")
        check_shape(self.visible, f"{sizes['b']} {sizes['t']} {found['n']}", "batch visible")
        check_shape(self.query_frame, f"{sizes['b']} {found['n']}", "batch query_frame")

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def wh(self) -> tuple[int, int]:
        """Frame size as (width, height)."""
        return self.frames.shape[-1], self.frames.shape[-2]

    def query_xy(self) -> Tensor:
        """(b, n, 2) position of every point on its query frame."""
        index = self.query_frame[:, None, :, None].expand(-1, 1, -1, 2)
        return self.xy.gather(1, index)[:, 0]

    def points(self, which: slice) -> ClipBatch:
        """The same frames (not a copy) with some of the points."""
        return replace(
            self,
            xy=self.xy[:, :, which],
            visible=self.visible[:, :, which],
            query_frame=self.query_frame[:, which],
        )

    def to(self, device: torch.device | str) -> ClipBatch:
        """The same batch on another device."""
        moved = {}
        for item in fields(self):
            value = getattr(self, item.name)
            moved[item.name] = None if value is None else value.to(device, non_blocking=True)
        return ClipBatch(**moved)  # type: ignore[arg-type]
