"""Spoil first guesses on purpose, so that refinement learns to correct wrong points and keep right ones.

On its training clips a tracker's first guess is mostly right. Refinement that learns from these alone seldom meets the
errors of real video, such as a point that jumps to a look-alike for some frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pointtrack.models.point_tracker import PointTracker
from pointtrack.models.window import Estimate, Templates, WindowQueries, WindowState
from train.data.batch import ClipBatch

NEIGHBOURS = 8  # a point may be confused with one of so many nearest points
LOOK_ALIKES = 4  # a point may be confused with one of so many most similar points
ASIDE_PX = (8.0, 64.0)  # distance by which a point is thrown onto the background


@dataclass(frozen=True)
class SpoilConfig:
    """How to spoil the first guess of a window, point by point.

    Attributes:
        thrown: share of the points moved elsewhere for some frames: onto a look-alike, a neighbour, the background,
            or their position on the frame before.
        right: share of the points moved to their true positions, with a little noise; they should stay there.
        frames: fewest and most frames for which a point is thrown.
        noise_px: standard deviation of that noise, per axis.
    """

    thrown: float = 0.33
    right: float = 0.33
    frames: tuple[int, int] = (3, 12)
    noise_px: float = 1.2

    def __post_init__(self) -> None:
        if min(self.thrown, self.right) < 0 or self.thrown + self.right > 1:
            raise ValueError(
                f"spoil: expected shares of at least 0 that are 1 at most together, got {self.thrown} and {self.right}"
            )
        if not 1 <= self.frames[0] <= self.frames[1] or self.noise_px < 0:
            raise ValueError(
                "spoil: expected 1 <= shortest <= longest time and noise of at least 0, "
                f"got frames={self.frames}, noise_px={self.noise_px}"
            )

    @property
    def is_nothing(self) -> bool:
        """Whether nothing is spoilt."""
        return self.thrown + self.right == 0


AS_GUESSED = SpoilConfig(thrown=0, right=0)


@contextmanager
def spoilt(tracker: PointTracker, batch: ClipBatch, config: SpoilConfig, step: int) -> Iterator[None]:
    """Within this context, spoil the first guesses of a tracker in windows over a batch.

    Args:
        tracker: must run through the batch's frames once, in windows `step` apart; all points are in the first one.
        batch: the truth. On frames on which a point is not visible, its guess stays unchanged.
        config: how much to spoil; nothing happens if `is_nothing`.
        step: step of the windows.
    """
    if config.is_nothing:
        yield
        return
    guess = tracker.first_guess
    # Of the batch, so that runs can be repeated.
    seed = int(batch.query_frame.sum()) + 7919 * int(batch.visible.sum())
    generator = torch.Generator().manual_seed(seed)
    begin = 0

    def spoil(
        pyramid: list[Tensor], queries: WindowQueries, state: WindowState | None
    ) -> tuple[Estimate, Tensor]:
        nonlocal begin
        estimate, latest = guess(pyramid, queries, state)
        shared = 0 if state is None else state.overlap.xy.shape[1]
        window = slice(begin, begin + estimate.xy.shape[1])
        begin += step
        known = batch.visible[:, window].clone()
        known[:, :shared] = False  # there the guess is the answer of the window before
        estimate = _spoil(estimate, batch.xy[:, window], known, queries.templates, config, generator)
        return tracker._hold(estimate, queries), latest

    tracker.first_guess = spoil  # type: ignore[method-assign]
    try:
        yield
    finally:  # uncover the method of the class
        del tracker.first_guess


def _spoil(
    estimate: Estimate,
    truth: Tensor,
    known: Tensor,
    templates: Templates,
    config: SpoilConfig,
    generator: torch.Generator,
) -> Estimate:
    """The first guess with some points thrown and some put right, where `known` (b, t, n)."""
    b, t, n = known.shape
    device = truth.device

    def draw(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator).to(device)

    kind = draw(b, 1, n)
    first, longest = config.frames
    start = (draw(b, 1, n) * t).floor()
    length = first + (draw(b, 1, n) * (longest - first + 1)).floor()
    frame = torch.arange(t, device=device)[:, None]
    during = (frame >= start) & (frame < start + length)
    thrown = (kind < config.thrown) & during & known
    right = (kind >= config.thrown) & (kind < config.thrown + config.right) & known

    noise = config.noise_px * torch.randn(b, t, n, 2, generator=generator).to(device)
    elsewhere = _elsewhere(truth, known, start.long(), templates, draw)
    xy = torch.where(thrown[..., None], elsewhere, estimate.xy)
    xy = torch.where(right[..., None], truth + noise, xy)
    # Scores must not give wrong positions away, so half of these get the scores of the point on another frame.
    other = torch.randint(t, (b, t, n), generator=generator).to(device)
    lies = thrown & (draw(b, 1, n) < 0.5)
    logits = {
        name: torch.where(lies, value.gather(1, other), value)
        for name, value in vars(estimate).items()
        if name != "xy"
    }
    return replace(estimate, xy=xy, **logits)


def _elsewhere(truth: Tensor, known: Tensor, start: Tensor, templates: Templates, draw) -> Tensor:  # type: ignore[no-untyped-def]
    """(b, t, n, 2) wrong places: a neighbour's, a look-alike's, beside the point, or where it was at `start` (b, 1, n)."""
    b, t, n, _ = truth.shape
    at_start = truth.gather(1, start[..., None].expand(-1, -1, -1, 2))[:, 0]  # (b, n, 2)
    far = torch.cdist(at_start, at_start)
    far = far + 1e6 * (far < ASIDE_PX[0])  # itself and what lies on it
    seen = known.gather(1, start)[:, 0]
    far = far + 1e5 * ~seen[:, None]  # rather not where nothing is known
    alike = templates.feature @ templates.feature.mT - far.gt(1e5).float() * 4
    places = []
    for order, count in (
        (far.argsort(dim=-1), NEIGHBOURS),
        (alike.argsort(dim=-1, descending=True), LOOK_ALIKES),
    ):
        chosen = order[..., : min(count, n)].gather(2, (draw(b, n, 1) * min(count, n)).long())[..., 0]
        places.append(truth.gather(2, chosen[:, None, :, None].expand(-1, t, -1, 2)))
    angle, length = 2 * torch.pi * draw(b, n), ASIDE_PX[0] + draw(b, n) * (ASIDE_PX[1] - ASIDE_PX[0])
    aside = torch.stack([angle.cos(), angle.sin()], dim=-1) * length[..., None]
    places += [truth + aside[:, None], at_start[:, None].expand_as(truth)]
    which = (draw(b, 1, n, 1) * len(places)).long().expand(b, t, n, 2)
    return torch.stack(places).gather(0, which[None])[0]
