"""The network: encodes frames, and refines the tracks of one window. It keeps no state of its own."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from pointtrack.config import TrackerConfig
from pointtrack.layers.correlation import PatchCorrelation, channels_last, read_patch
from pointtrack.layers.embeddings import neighbour_motion, time_code
from pointtrack.layers.encoder import Encoder, build_pyramid
from pointtrack.models.moves import REACH, path_moves, peak_moves
from pointtrack.models.start import match_through
from pointtrack.models.updater import Updater
from pointtrack.models.window import Estimate, Templates, WindowQueries, WindowState

MOTION_OCTAVES = 8
SURE_LOGIT = 6.0  # visibility and confidence of a point on its own query frame
CELL = Encoder.stride  # pixels per cell of the finest level


class PointTracker(nn.Module):
    """CoTracker-style tracker of any points: see `docs/architecture.md` for a drawing.

    Use `pointtrack.track` or `StreamTracker`; this class knows windows only.
    """

    def __init__(self, config: TrackerConfig):
        super().__init__()
        self.config = config
        self.encoder = Encoder(config.encoder)
        self.correlation = PatchCorrelation(config.correlation)
        levels = config.correlation.levels
        moves = levels + len(REACH)
        width = self.correlation.width + 2 * levels + 2 * moves + 4 + 8 * MOTION_OCTAVES + 6
        self.updater = Updater(config.transformer, width)
        self.token_width = width
        # A free move (x, y), changes of the two logits, and how much of each suggested move to make.
        self.head = nn.Linear(config.transformer.width, 4 + moves)
        # Refinement starts as no change at all: the first guess is already good, and must not be lost.
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.sharpness = nn.Parameter(torch.full((levels,), 12.0))
        # Factor on cosines before a soft-max over cells; learnt by matching, and used for the first guess only.
        self.match_sharpness = nn.Parameter(torch.tensor(12.0))
        # How the cosine of a match turns into a first logit: (factor, bias) of visibility and confidence.
        self.score_to_logit = nn.Parameter(torch.tensor([[6.0, -3.0], [6.0, -4.0]]))

    def encode(self, frames: Tensor) -> list[Tensor]:
        """(b, t, 3, h, w) RGB 0..255 -> pyramid, per level (b, t, h / 2^(l+2), w / 2^(l+2), c)."""
        features = self.encoder(rearrange(frames, "b t c h w -> (b t) c h w").float())
        return [
            channels_last(x, len(frames)) for x in build_pyramid(features, self.config.correlation.levels)
        ]

    def remember(self, pyramid: list[Tensor], frame: Tensor, xy: Tensor) -> Templates:
        """What points look like: (b, n) frames of this pyramid and (b, n, 2) pixels -> templates."""
        feature = read_patch(pyramid[0], frame, xy / CELL, 0)[..., 0, :]
        return Templates(self.correlation.remember(pyramid, frame, xy / CELL), F.normalize(feature, dim=-1))

    def forward(
        self, pyramid: list[Tensor], queries: WindowQueries, state: WindowState | None, step: int
    ) -> tuple[list[Estimate], WindowState]:
        """Track the points through one window.

        Args:
            pyramid: features of the t frames of the window, from `encode`.
            queries: the n points; every one has its query frame in this window or before it.
            state: what the window before handed on, None for the first.
            step: by how many frames the next window begins later; it shares the frames from there on.

        Returns:
            The first guess and then the estimate after each round of refinement, and the state for the
            next window.
        """
        estimate, latest = self.first_guess(pyramid, queries, state)
        estimates = [estimate]
        for _ in range(self.config.window.iterations):
            estimate = self.refine(pyramid, queries, state, estimate)
            estimates.append(estimate)
        return estimates, WindowState(estimate.frames(step), latest)

    def first_guess(
        self, pyramid: list[Tensor], queries: WindowQueries, state: WindowState | None
    ) -> tuple[Estimate, Tensor]:
        """Positions and logits from matching alone, and the latest look of each point (b, n, c)."""
        frames = pyramid[0].shape[1]
        at_query = _one_hot(queries.frame, frames)
        known = torch.where(at_query[..., None], queries.xy[:, None] / CELL, torch.nan)
        anchor, latest = queries.frame.clone(), queries.templates.feature
        if state is not None:
            shared = state.overlap.xy.shape[1]
            old = state.known()
            known[:, :shared] = torch.where(old[:, None, :, None], state.overlap.xy / CELL, known[:, :shared])
            anchor = torch.where(old, shared - 1, anchor)
            latest = torch.where(old[..., None], state.latest, latest)
        xy, score, latest = match_through(
            pyramid[0].detach(), queries.templates, latest, anchor, known,
            self.config.window.search_radius, self.match_sharpness.detach(),
        )  # fmt: skip
        (factor, bias), (factor_c, bias_c) = self.score_to_logit
        visibility, confidence = factor * score + bias, factor_c * score + bias_c
        if state is not None:
            known_logits = old[:, None].expand(-1, shared, -1)
            visibility = _put_first(visibility, state.overlap.visibility_logit, known_logits)
            confidence = _put_first(confidence, state.overlap.confidence_logit, known_logits)
        return self._hold(Estimate(xy * CELL, visibility, confidence), queries), latest

    def refine(
        self, pyramid: list[Tensor], queries: WindowQueries, state: WindowState | None, now: Estimate
    ) -> Estimate:
        """One round of refinement of all points on all frames of the window."""
        b, t, n, _ = now.xy.shape
        xy = now.xy.detach()
        products = self.correlation.products(pyramid, queries.templates.support, xy / CELL)
        wh = xy.new_tensor([pyramid[0].shape[3], pyramid[0].shape[2]]) * CELL
        age = (torch.arange(t, device=xy.device)[:, None] - queries.frame[:, None]).clamp(-t, 2 * t) / 16
        shared = 0 if state is None else state.overlap.xy.shape[1]
        was_there = (torch.arange(t, device=xy.device) < shared).to(xy.dtype)[:, None].expand(b, t, n)
        place = xy / wh - 0.5
        peaks, heights = peak_moves(products, self.correlation.radius, self.sharpness)
        moves = torch.stack([*peaks, *path_moves(xy / CELL, now.visibility_logit.detach().sigmoid())], dim=-1)
        tokens = torch.cat(
            [
                torch.stack([now.visibility_logit / 4, now.confidence_logit / 4, age, was_there], dim=-1),
                place.clamp(-1, 1),
                self.correlation(products),
                heights,
                (moves / 4).flatten(-2),
                neighbour_motion(place, MOTION_OCTAVES),
            ],
            dim=-1,
        )
        code = time_code(t, self.token_width + self.token_width % 2)[:, : self.token_width].to(tokens)
        change = self.head(self.updater(tokens + code[:, None])).float()
        step = change[..., :2] + (moves @ change[..., 4:, None])[..., 0]
        return self._hold(
            Estimate(
                xy + step * CELL,
                now.visibility_logit + change[..., 2],
                now.confidence_logit + change[..., 3],
            ),
            queries,
        )

    def _hold(self, estimate: Estimate, queries: WindowQueries) -> Estimate:
        """Points stay where they were asked for on their query frame, visible and sure."""
        at_query = _one_hot(queries.frame, estimate.xy.shape[1])
        return Estimate(
            torch.where(at_query[..., None], queries.xy[:, None], estimate.xy),
            torch.where(at_query, SURE_LOGIT, estimate.visibility_logit),
            torch.where(at_query, SURE_LOGIT, estimate.confidence_logit),
        )


def _one_hot(frame: Tensor, frames: int) -> Tensor:
    """(b, n) frame numbers -> (b, t, n) bool: this is the point's own frame."""
    return torch.arange(frames, device=frame.device)[:, None] == frame[:, None]


def _put_first(values: Tensor, first: Tensor, where: Tensor) -> Tensor:
    """Replace the first frames of (b, t, n) values by `first` (b, s, n) where `where` says so."""
    shared = first.shape[1]
    return torch.cat([torch.where(where, first, values[:, :shared]), values[:, shared:]], dim=1)
