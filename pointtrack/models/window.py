"""What goes into the refinement of one window of frames, and what comes out. Axes: b t n, model pixels."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass
class Templates:
    """What is remembered of every queried point, read on its query frame.

    Attributes:
        support: per pyramid level (b, n, q, c) patch around the query.
        feature: (b, n, c) unit-length feature of the point itself.
    """

    support: list[Tensor]
    feature: Tensor

    def select(self, index: Tensor) -> Templates:
        """The points at the given positions."""
        return Templates([x[:, index] for x in self.support], self.feature[:, index])

    @classmethod
    def concat(cls, parts: list[Templates]) -> Templates:
        """Points of all parts in order."""
        levels = zip(*(part.support for part in parts), strict=True)
        support = [torch.cat(level, dim=1) for level in levels]
        return cls(support, torch.cat([part.feature for part in parts], dim=1))


@dataclass
class WindowQueries:
    """The points of one window.

    Attributes:
        frame: (b, n) int64 query frame counted from the first frame of the window; negative if earlier.
        xy: (b, n, 2) query positions in pixels of the model's input.
        templates: what the points look like.
    """

    frame: Tensor
    xy: Tensor
    templates: Templates


@dataclass
class Estimate:
    """Positions in model pixels (b, t, n, 2), logits of visibility and of confidence (b, t, n)."""

    xy: Tensor
    visibility_logit: Tensor
    confidence_logit: Tensor

    def frames(self, start: int, stop: int | None = None) -> Estimate:
        """Frames start..stop-1."""
        return Estimate(*(getattr(self, f.name)[:, start:stop] for f in fields(self)))


@dataclass
class WindowState:
    """What one window hands to the next.

    Attributes:
        overlap: estimate for the frames that both windows share; NaN for points that are new.
        latest: (b, n, c) feature at the last frame on which the point was seen well; NaN for new points.
    """

    overlap: Estimate
    latest: Tensor

    def known(self) -> Tensor:
        """(b, n) bool: the point was tracked by the window before."""
        return torch.isfinite(self.overlap.xy).all(-1).all(1) & torch.isfinite(self.latest).all(-1)
