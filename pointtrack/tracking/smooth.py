"""Smooths tracks offline, without a shift in time. It is off unless you call it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pointtrack.checks import check_shape
from pointtrack.models.point_tracker import PointTracker
from pointtrack.tracking.stream import PointStream, WrappingStream, restored, saved, stage
from pointtrack.types import VISIBLE, Queries, Tracks

# Chosen for the least error on the true tracks of the bundled clip with normal noise of 0.3 and 1 pixel.
RADIUS, DEGREE = 4, 2
CHUNK = 256  # points at a time, to bound memory
HELD_WEIGHT = 100.0  # of a frame that keeps its position: nearby fits almost pass through it, without a kink


def smooth_tracks(
    tracks: Tracks,
    *,
    radius: int = RADIUS,
    degree: int = DEGREE,
    threshold: float = VISIBLE,
    keep: Tensor | None = None,
) -> Tracks:
    """Smooth positions along time, without changing the given tracks.

    Every position becomes the value of a polynomial fitted to the frames around it, with more weight on nearer ones. A
    fit reads only frames of the same unbroken visible run. Positions on query frames, and on frames where a point is
    hidden or not tracked, stay unchanged. So does motion that is such a polynomial of time, such as straight uniform
    motion. As the fit looks ahead as far as back, the result does not lag.

    Args:
        tracks: the tracks.
        radius: frames on each side that a fit reads.
        degree: of the polynomial, at most 3: 2 follows turns, 1 trembles less but cuts corners.
        threshold: visibility above which a point counts as visible.
        keep: (t, n) bool, more positions that must stay unchanged, such as corrections by a person.

    Returns:
        New tracks with the same visibility, confidence and queries.

    Raises:
        ValueError: a radius below 1, a degree outside 0..3, or `keep` of another shape.

    Source: locally weighted regression with tricube weights (Cleveland, 1979), without its robust rounds.
    """
    if radius < 1:
        raise ValueError(f"radius: expected at least 1 frame on each side, got {radius}")
    if not 0 <= degree <= 3:
        raise ValueError(f"degree: expected 0..3, got {degree}")
    frame = torch.arange(len(tracks))[:, None] + tracks.first_frame
    held = frame == tracks.queries.frame
    if keep is not None:
        check_shape(keep, f"{len(tracks)} {len(tracks.ids)}", "keep")
        held = held | torch.as_tensor(keep, dtype=torch.bool)
    usable = tracks.tracked() & tracks.visible(threshold)
    columns = [slice(start, start + CHUNK) for start in range(0, len(tracks.ids), CHUNK)]
    parts = [
        _smoothed(tracks.xy[:, part], usable[:, part], held[:, part], radius, degree) for part in columns
    ]
    return replace(tracks, xy=torch.cat(parts, dim=1) if parts else tracks.xy)


class Smoother:
    """`smooth_tracks` for consecutive pieces. A row comes out once all rows that its fit reads are known.

    Args:
        radius: as in `smooth_tracks`.
    """

    def __init__(self, radius: int):
        self.radius = radius
        self.before: Tracks | None = None  # rows already returned, which the next fits read
        self.held: Tracks | None = None  # rows not returned yet

    def push(self, rows: Tracks) -> Tracks:
        """Take in a piece; the smoothed rows that it completes."""
        held = rows if self.held is None else Tracks.concat([self.held, rows])
        return self._release(held, max(len(held) - self.radius, 0))

    def finish(self) -> list[Tracks]:
        """The remaining smoothed rows: one piece, or none if nothing was pushed."""
        return [] if self.held is None else [self._release(self.held, len(self.held))]

    def _release(self, held: Tracks, count: int) -> Tracks:
        """The first `count` of the held rows, smoothed; the others stay held."""
        known = held if self.before is None else Tracks.concat([self.before, held])
        first = len(known) - len(held)
        smooth = smooth_tracks(known, radius=self.radius).clip(first, first + count)
        self.before, self.held = (
            known.clip(max(first + count - self.radius, 0), first + count),
            held.clip(count),
        )
        if torch.equal(smooth.ids, held.ids):
            return smooth
        columns = {point: column for column, point in enumerate(smooth.ids.tolist())}
        return smooth.select(torch.tensor([columns[point] for point in held.ids.tolist()], dtype=torch.int64))


@stage
class SmoothStream(WrappingStream):
    """A stage that smooths positions. Rows become final `radius` frames later; previews are not smoothed."""

    def __init__(self, inner: PointStream, radius: int = RADIUS):
        super().__init__(inner)
        self._smoother = Smoother(radius)

    @property
    def lag(self) -> int:
        """Number of frames pushed whose final rows were not returned yet."""
        return self.inner.lag + len(self._smoother.held or ())

    def push(self, frames: np.ndarray | Tensor) -> Tracks:
        """As `PointStream.push`."""
        return self._smoother.push(self.inner.push(frames))

    def preview(self) -> Tracks:
        """As `PointStream.preview`."""
        return self.inner.preview()

    def finish(self) -> Tracks:
        """As `PointStream.finish`."""
        return Tracks.concat([self._smoother.push(self.inner.finish()), *self._smoother.finish()])

    def add(self, queries: Queries) -> Tracks:
        """As `PointStream.add`."""
        late, held = self.inner.add(queries), self._smoother.held
        if held is None or not len(held) or not len(late):
            return late
        first = held.first_frame - late.first_frame
        self._smoother.held = held.beside(late.clip(max(first, 0)))
        return late.clip(0, max(first, 0))

    def remove(self, ids: Tensor | Sequence[int]) -> None:
        """As `PointStream.remove`."""
        self.inner.remove(ids)
        for name in ("before", "held"):
            rows = getattr(self._smoother, name)
            kept = None if rows is None else rows.select(torch.isin(rows.ids, self.queries.ids))
            setattr(self._smoother, name, kept)

    def state_dict(self) -> dict[str, Any]:
        """As `PointStream.state_dict`."""
        rows = {name: getattr(self._smoother, name) for name in ("before", "held")}
        kept = {name: None if value is None else asdict(value) for name, value in rows.items()}
        return {"inner": saved(self.inner), "radius": self._smoother.radius, **kept}

    @classmethod
    def from_state_dict(cls, network: PointTracker, state: dict[str, Any]) -> SmoothStream:
        """The stream as it was when its state was saved, on the same network."""
        again = cls(restored(network, state["inner"]), state["radius"])
        for name in ("before", "held"):
            setattr(again._smoother, name, None if state[name] is None else Tracks.from_dict(state[name]))
        return again


def _smoothed(xy: Tensor, usable: Tensor, held: Tensor, radius: int, degree: int) -> Tensor:
    """(t, n, 2) positions; `usable` and `held` (t, n) bool."""
    t, n = usable.shape
    values = torch.where(usable[..., None], xy, 0.0).double()
    # Frames belong to the same run if equally many unusable frames precede them.
    run = (~usable).cumsum(dim=0)
    moments = torch.zeros(t, n, 2 * degree + 1, dtype=torch.float64)
    products = torch.zeros(t, n, degree + 1, 2, dtype=torch.float64)
    seen = torch.zeros(t, n, dtype=torch.int64)
    for offset in range(-min(radius, t - 1), min(radius, t - 1) + 1):
        here, there = slice(max(-offset, 0), t - max(offset, 0)), slice(max(offset, 0), t + min(offset, 0))
        share = offset / (radius + 1)
        together = usable[here] & usable[there] & (run[here] == run[there])
        weight = together * (1 - abs(share) ** 3) ** 3 * torch.where(held[there], HELD_WEIGHT, 1.0)
        powers = torch.tensor([share**k for k in range(2 * degree + 1)], dtype=torch.float64)
        moments[here] += weight[..., None].double() * powers
        products[here] += (weight[..., None].double() * powers[: degree + 1])[..., None] * values[
            there, :, None
        ]
        seen[here] += together
    fitted = usable & ~held & (seen > degree + 1)  # with fewer frames the fit is exact
    order = torch.arange(degree + 1)
    matrix = moments[fitted][:, order[:, None] + order]
    result = xy.clone()
    result[fitted] = torch.linalg.solve(matrix, products[fitted])[:, 0].to(xy.dtype)
    return result
