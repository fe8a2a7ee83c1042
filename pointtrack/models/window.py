"""Inputs and outputs of the refinement of one window of frames. Axes: b t n, model pixels."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass
class Templates:
    """Features of every queried point, read on its query frame; zeros until that frame arrives.

    Attributes:
        support: what the correlation compares with, from its `remember`: a list of (b, n, ...).
        feature: (b, n, c) unit-length feature of the point itself.
    """

    support: list[Tensor]
    feature: Tensor

    def select(self, index: Tensor) -> Templates:
        """The points at the given positions."""
        return Templates([x[:, index] for x in self.support], self.feature[:, index])

    def put(self, index: Tensor, new: Templates, where: Tensor) -> Templates:
        """These, with `new` (b, k, ...) at positions `index` (k,) wherever `where` (b, k) is true."""

        def placed(old: Tensor, values: Tensor) -> Tensor:
            chosen = where.reshape(*where.shape, *[1] * (values.ndim - 2))
            result = old.clone()
            result[:, index] = torch.where(chosen, values, old[:, index])
            return result

        support = [placed(old, values) for old, values in zip(self.support, new.support, strict=True)]
        return Templates(support, placed(self.feature, new.feature))

    def zeros(self, points: int) -> Templates:
        """Empty templates of `points` points."""
        return Templates([_empty(x, points) for x in self.support], _empty(self.feature, points))

    @classmethod
    def concat(cls, parts: list[Templates]) -> Templates:
        """The points of all parts in order."""
        levels = zip(*(part.support for part in parts), strict=True)
        support = [torch.cat(level, dim=1) for level in levels]
        return cls(support, torch.cat([part.feature for part in parts], dim=1))


@dataclass
class WindowQueries:
    """The points of one window.

    Attributes:
        frame: (b, n) int64 query frame counted from the first frame of the window; negative if earlier.
        xy: (b, n, 2) query positions in pixels of the model's input.
        templates: appearance of the points.
    """

    frame: Tensor
    xy: Tensor
    templates: Templates


@dataclass
class Window:
    """The inputs that stay the same in all rounds of refinement of a window.

    Attributes:
        pyramid: per level (b, t, h, w, c) features.
        queries: the n points.
        begin: (b, n, 2) pixels, the first guess of the points on the first frame.
        shared: number of frames, from the first on, that the previous window tracked too.
        joint: maps of joint features for the refinement, if it uses any.
    """

    pyramid: list[Tensor]
    queries: WindowQueries
    begin: Tensor
    shared: int
    joint: list[Tensor]

    @property
    def frames(self) -> int:
        """t, the number of frames."""
        return self.pyramid[0].shape[1]

    def numbers(self) -> Tensor:
        """(t, 1) numbers of the frames, to compare with (n) frames of queries."""
        return torch.arange(self.frames, device=self.begin.device)[:, None]

    def to_come(self) -> Tensor | None:
        """(b, n) bool: the query frame is in a later window; None if there are no such points."""
        later = self.queries.frame >= self.frames
        return later if bool(later.any()) else None


@dataclass
class Estimate:
    """Positions in model pixels (b, t, n, 2), logits of visibility and of confidence (b, t, n)."""

    xy: Tensor
    visibility_logit: Tensor
    confidence_logit: Tensor

    def extended(self, frames: int) -> Estimate:
        """The same, with the last frame repeated up to `frames` frames."""
        index = torch.arange(frames, device=self.xy.device).clamp(max=self.xy.shape[1] - 1)
        return Estimate(*(getattr(self, f.name)[:, index] for f in fields(self)))

    def where(self, condition: Tensor, other: Estimate) -> Estimate:
        """This where a (b, n) or (b, t, n) condition holds, `other` elsewhere."""
        full = condition if condition.ndim == 3 else condition[:, None]
        return Estimate(
            torch.where(full[..., None], self.xy, other.xy),
            torch.where(full, self.visibility_logit, other.visibility_logit),
            torch.where(full, self.confidence_logit, other.confidence_logit),
        )

    def frames(self, start: int, stop: int | None = None) -> Estimate:
        """Frames start..stop-1."""
        return Estimate(*(getattr(self, f.name)[:, start:stop] for f in fields(self)))


@dataclass
class WindowState:
    """What one window passes to the next.

    Attributes:
        overlap: estimate for the frames that both windows share; NaN for new points.
        latest: (b, n, c) feature on the last frame with a good view of the point; NaN for new points.
    """

    overlap: Estimate
    latest: Tensor

    def known(self, queries: WindowQueries) -> Tensor:
        """(b, n) bool: the previous window tracked the point, and its query frame had arrived."""
        shared = self.overlap.xy.shape[1]
        return torch.isfinite(self.overlap.xy).all(-1).all(1) & (queries.frame < shared)

    def joined_by(self, points: int) -> WindowState:
        """The same with room for `points` more points, whose values are NaN."""

        def wider(x: Tensor, axis: int) -> Tensor:
            shape = list(x.shape)
            shape[axis] = points
            return torch.cat([x, x.new_full(shape, torch.nan)], dim=axis)

        overlap = Estimate(*(wider(getattr(self.overlap, f.name), 2) for f in fields(Estimate)))
        return WindowState(overlap, wider(self.latest, 1))


def _empty(x: Tensor, points: int) -> Tensor:
    return x.new_zeros(x.shape[0], points, *x.shape[2:])
