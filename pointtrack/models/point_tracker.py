"""The network: encodes frames, and refines the tracks of one window. It keeps no state of its own."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from pointtrack.config import TrackerConfig
from pointtrack.layers.correlation import (
    CORRELATIONS,
    FeatureCorrelation,
    PatchCorrelation,
    averaged,
    channels_last,
    read_patch,
)
from pointtrack.layers.encoder import Encoder, build_pyramid
from pointtrack.layers.precision import narrow
from pointtrack.models.initialization import Search, match_through, repeat_last
from pointtrack.models.joint_features import JointWeights, build_trunk
from pointtrack.models.joint_head import LOOKED_AT, JointHead, JointLook, coarser
from pointtrack.models.neighbours import Neighbours
from pointtrack.models.object_keys import KEY_STRIDE, ObjectKeys
from pointtrack.models.proposals import REACH, path_moves, peak_moves
from pointtrack.models.tokens import CELL, Tokens, View
from pointtrack.models.tracking_network import TrackingNetwork
from pointtrack.models.updater import FilledUp, Updater
from pointtrack.models.window import Estimate, Templates, Window, WindowQueries, WindowState

SURE_LOGIT = 6.0  # visibility and confidence of a point on its own query frame
NEVER = -1.0  # no cosine is below it


class PointTracker(TrackingNetwork):
    """CoTracker-style tracker of any points: see `docs/explain/architecture.md` for a drawing.

    The published CoTracker models and our own are configs of it (`models/published.py`, `config.py`).
    Use `pointtrack.Tracker`; this class knows windows only.
    """

    def __init__(self, config: TrackerConfig):
        super().__init__()
        self.config = config
        self.filler: Tensor | None = None  # (b, n) bool, see `hiding`
        self.encoder = Encoder(config.encoder)
        self.joint_head = JointHead(config.encoder) if config.encoder.joint_channels else None
        self.object_keys = ObjectKeys(config.encoder) if config.encoder.key_channels else None
        if config.encoder.trunk_stride:
            self.trunk = build_trunk(config.encoder)
            self.joint = JointWeights(config)
        self.correlation: PatchCorrelation | FeatureCorrelation = CORRELATIONS[config.correlation.kind](
            config.correlation
        )
        self.joint_look = JointLook(self.correlation.width) if config.encoder.joint_channels else None
        self.tokens = Tokens(config, self.correlation.width)
        self.updater = Updater(config.transformer, self.tokens.width)
        levels, channels, width = config.correlation.levels, config.encoder.channels, config.transformer.width
        self.suggests_moves = "moves" in config.tokens.parts
        self.renews_features = config.correlation.kind == "feature"
        if self.renews_features:
            # A free move (x, y) and the update of the feature, from which the visibility is read at the end.
            self.head = nn.Linear(width, 2 + channels)
            self.renewal = nn.Sequential(nn.LayerNorm(channels), nn.Linear(channels, channels), nn.GELU())
            self.visibility = nn.Linear(channels, 1)
        else:
            # A free move (x, y), changes of the two logits, and how much of each proposed move to make.
            self.head = nn.Linear(width, 4 + (levels + len(REACH)) * self.suggests_moves)
        # An untrained refinement changes nothing: the first guess is already good, and must not be lost.
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        if self.suggests_moves:
            # Logarithm of the factor on products before a soft-max over a patch; the plain factor would hardly learn.
            self.log_sharpness = nn.Parameter(torch.full((levels,), 3.0))
        if config.window.start == "match":
            # Factor on cosines before a soft-max over cells; trained by matching, used for the first guess only.
            self.match_sharpness = nn.Parameter(torch.tensor(12.0))
            # Turns the cosine of a match into a first logit: (factor, bias) of visibility and confidence.
            self.score_to_logit = nn.Parameter(torch.tensor([[6.0, -3.0], [6.0, -4.0]]))

    @property
    def tells_confidence(self) -> bool:
        """Whether confidence is predicted separately; otherwise it repeats the visibility."""
        return not self.renews_features

    @property
    def looks_through_trunk(self) -> bool:
        """Whether there are joint features: the encoder's and the trunk's side by side."""
        return self.config.encoder.trunk_stride > 0

    @property
    def appearance_channels(self) -> int:
        """Channels of the features by which things are recognised."""
        encoder = self.config.encoder
        if encoder.joint_channels:
            return encoder.joint_channels
        return encoder.channels + (self.trunk.channels if self.looks_through_trunk else 0)

    def appearance_level(self, stride: int) -> int:
        """The level to pass to `read_level` for the features by which things are recognised, at a stride of 4, 8, 16 ...

        The joint features follow the pyramid's own levels. A tracker without a trunk has only its own levels; the
        coarsest of them then serves for all coarser strides.
        """
        step = (stride // CELL).bit_length() - 1
        levels = self.config.correlation.levels
        return levels + step if self.looks_through_trunk else min(step, levels - 1)

    def level_stride(self, level: int) -> int:
        """Pixels per cell of a level, or of one of the joint features that follow the levels."""
        levels = self.config.correlation.levels
        return CELL << (level - levels if level >= levels else level)

    def read_level(self, pyramid: list[Tensor], level: int) -> Tensor:
        """(b, t, h, w, c) float32 features of a level; levels beyond the last are repeated 2x2 averages of it.

        If the tracker has keys for objects, these are the appearance from their stride on.
        """
        last = self.config.correlation.levels if self.looks_through_trunk else len(pyramid) - 1
        if level <= last:
            return pyramid[level].float()
        beyond = level - self.appearance_level(KEY_STRIDE)
        if self.object_keys is not None and beyond >= 0:
            return averaged(pyramid[-1], 2**beyond)
        return averaged(pyramid[last], 2 ** (level - last))

    def encode(self, frames: Tensor) -> list[Tensor]:
        """(b, t, 3, h, w) RGB 0..255 -> pyramid, per level (b, t, h / 2^(l+2), w / 2^(l+2), c).

        If the tracker has a trunk, the joint features, (b, t, h / 4, w / 4, c) float16, follow the levels; if they are
        learnt, their coarser maps for the refinement come after them, and then keys for objects, if it has any.
        On a CPU that refines in bfloat16, features are kept in bfloat16 too: reading them is most of the cost of
        comparing.
        """
        pixels = rearrange(frames, "b t c h w -> (b t) c h w").float()
        with narrow(pixels.device, self.inference.narrow):
            features = self.encoder(pixels)
            joint: Tensor | None = None
            keys: Tensor | None = None
            if self.joint_head is not None:
                joint, keys = self._learnt(self.joint_head, pixels, features)
            elif self.looks_through_trunk:
                joint = self._side_by_side(pixels, features)
        pyramid = build_pyramid(features, self.config.correlation.levels)
        if self.inference.narrow and pixels.device.type == "cpu":
            pyramid = [x.bfloat16() for x in pyramid]
        maps = [channels_last(x, len(frames)) for x in pyramid]
        if joint is not None:
            joint = rearrange(joint, "(b t) h w c -> b t h w c", b=len(frames))
            maps += [joint] if self.joint_look is None else [joint, *coarser(joint)]
        if keys is not None:
            maps.append(rearrange(keys, "(b t) h w c -> b t h w c", b=len(frames)))
        return maps

    def _learnt(self, head: JointHead, pixels: Tensor, features: Tensor) -> tuple[Tensor, Tensor | None]:
        """(b, 3, h, w) frames and the encoder's features of them -> joint features, and keys if the tracker has any.

        Joint features are (b, h / 4, w / 4, c) of unit length; in float16, except in training: they take most of the
        memory that a frame needs, and float16 is enough for cosines. Keys are as from `ObjectKeys`.
        """
        # One frame at a time on a CPU, as in the encoder, for the cache.
        alone = pixels.device.type == "cpu" and not torch.is_grad_enabled()
        joints, keys = [], []
        for frame, own in zip(*(x.split(1 if alone else len(x)) for x in (pixels, features)), strict=True):
            maps, wide = self.trunk.compared(frame)
            joint = head(own, maps, wide)
            joints.append((joint if joint.requires_grad else joint.half()).contiguous())
            if self.object_keys is not None:
                keys.append(self.object_keys(joint, maps, wide))
        with torch.autocast(pixels.device.type, enabled=False):  # on a CPU it does not support float16
            return torch.cat(joints), torch.cat(keys) if keys else None

    def _side_by_side(self, pixels: Tensor, features: Tensor) -> Tensor:
        """Frames and the encoder's features, as in `_learnt` -> joint features of its parts, float16 too."""
        # No gradient flows through a first guess.
        own, context = (
            rearrange(x, "b c h w -> b h w c").half().contiguous()
            for x in (features.detach(), self.trunk(pixels).float())
        )
        beside = [own, *context.split(self.joint.channels[1:], dim=-1)]
        with torch.autocast(pixels.device.type, enabled=False):  # on a CPU it does not support float16
            scaled = [part * scale for part, scale in zip(beside, self.joint.scales(), strict=True)]
            return torch.cat(scaled, dim=-1)

    def looked_at(self, pyramid: list[Tensor]) -> list[Tensor]:
        """The maps of joint features that refinement compares, of those from `encode`."""
        first = self.appearance_level(CELL)
        return [] if self.joint_look is None else pyramid[first : first + len(LOOKED_AT)]

    @property
    def shares_batch(self) -> bool:
        """Yes, unless it reproduces a fault that depends on the number of points."""
        return not self.inference.strict_parity

    @property
    def led_by_pixels(self) -> bool:
        """Yes for our own trackers, which search for points frame by frame."""
        return self.config.window.start == "match"

    def hiding(self, filler: Tensor) -> PointTracker:
        """The same network, in which no other point sees the (b, n) bool points that only fill up a batch."""
        twin = copy.copy(self)
        twin._modules = {**self._modules, "updater": FilledUp(self.updater, filler)}
        twin.filler = filler
        return twin

    def unled(self) -> PointTracker:
        """The same network, in which no point follows the others."""
        twin = copy.copy(self)
        twin.config = replace(
            self.own_config, initialization=replace(self.own_config.initialization, ride=NEVER, agree=1.0)
        )
        return twin

    def bytes_per_point(self) -> int:
        """Memory that a point takes from window to window, beside its estimates: its templates and latest feature."""
        correlation = self.config.correlation
        patch = (2 * correlation.support_radius + 1) ** 2
        return 4 * (self.config.encoder.channels * correlation.levels * patch + 2 * self.appearance_channels)

    def bytes_at_work(self, wh: tuple[int, int], points: int) -> int:
        """Memory that a window of frames of this size and a chunk of points take while they are tracked.

        It counts the features of the window and of the step before it, joined and padded; the encoder at work; cells
        and products of a level twice; and a search over a whole frame for every point.
        """
        correlation, channels = self.config.correlation, self.config.encoder.channels
        frames, (width, height) = self.config.window.length or 1, wh
        cells = (width // CELL) * (height // CELL)
        features = (
            4
            * channels
            * sum((width // CELL >> i) * (height // CELL >> i) for i in range(correlation.levels))
        )
        if self.looks_through_trunk:
            features += 2 * self.appearance_channels * cells
        patch, block = (2 * correlation.support_radius + 1) ** 2, (2 * correlation.radius + 2) ** 2
        return 5 * frames * features + 8 * points * frames * block * (channels + patch) + 4 * points * cells

    def remember(self, pyramid: list[Tensor], frame: Tensor, xy: Tensor) -> Templates:
        """Read the appearance of points: (b, n) frames of this pyramid and (b, n, 2) pixels -> templates."""
        level = pyramid[self.appearance_level(CELL)]
        feature = read_patch(level, frame, xy / CELL, 0)[..., 0, :].float()
        support = [x.float() for x in self.correlation.remember(pyramid, frame, xy / CELL)]
        return Templates(support, F.normalize(feature, dim=-1))

    def forward(
        self, pyramid: list[Tensor], queries: WindowQueries, state: WindowState | None, step: int
    ) -> tuple[list[Estimate], WindowState]:
        """Track the points through one window.

        Args:
            pyramid: features of the t frames of the window, from `encode`.
            queries: the n points. If `config.window.late` is "absent", every query frame is in this window or before
                it; otherwise points whose query frame comes later have empty templates.
            state: from the previous window, None for the first.
            step: how many frames later the next window starts; it shares the frames from there on.

        Returns:
            The first guess and then the estimate after each round of refinement, and the state for the
            next window.
        """
        estimate, latest = self.first_guess(pyramid, queries, state)
        shared = 0 if state is None else state.overlap.xy.shape[1]
        window = Window(pyramid, queries, estimate.xy[:, 0].detach(), shared, self.looked_at(pyramid))
        support = self.correlation.begin(queries.templates.support, window.frames)
        estimates = [estimate]
        for _ in range(self.config.window.iterations):
            estimate, support = self.refine(window, estimate, support)
            estimates.append(estimate)
        if self.renews_features:
            logit = self.visibility(support[0])[..., 0]
            estimates[-1] = estimate = Estimate(estimate.xy, logit, logit)
        return estimates, WindowState(estimate.frames(step), latest)

    def first_guess(
        self, pyramid: list[Tensor], queries: WindowQueries, state: WindowState | None
    ) -> tuple[Estimate, Tensor]:
        """The start of the refinement, and the latest feature of each point (b, n, c)."""
        window, frames = self.config.window, pyramid[0].shape[1]
        latest = queries.templates.feature
        if window.start == "repeat":
            return self._hold(repeat_last(queries, state, frames, window.start_logit), queries), latest
        at_query = _one_hot(queries.frame, frames)
        known = torch.where(at_query[..., None], queries.xy[:, None] / CELL, torch.nan)
        anchor = queries.frame.clone()
        if state is not None:
            shared = state.overlap.xy.shape[1]
            old = state.known(queries)
            known[:, :shared] = torch.where(old[:, None, :, None], state.overlap.xy / CELL, known[:, :shared])
            anchor = torch.where(old, shared - 1, anchor)
            latest = torch.where(old[..., None], state.latest, latest)
        leads = None if self.filler is None else ~self.filler[:, : queries.xy.shape[1]]
        neighbours = Neighbours(queries.xy / CELL, queries.frame, leads)
        xy, score, latest = match_through(
            pyramid[self.appearance_level(CELL)].detach(), queries.templates, latest, anchor, known,
            Search(
                self.config.initialization, window.search_radius, self.match_sharpness.detach(), neighbours,
                self.joint.emphasis(latest.device) if self.looks_through_trunk else None,
            ),
        )  # fmt: skip
        (factor, bias), (factor_c, bias_c) = self.score_to_logit
        guess = Estimate(xy * CELL, factor * score + bias, factor_c * score + bias_c)
        if state is not None:
            in_overlap = torch.arange(frames, device=xy.device)[:, None] < shared
            guess = state.overlap.extended(frames).where(in_overlap & old[:, None], guess)
        return self._hold(guess, queries), latest

    def refine(self, window: Window, now: Estimate, support: list[Tensor]) -> tuple[Estimate, list[Tensor]]:
        """One round of refinement of all points on all frames of the window.

        Args:
            window: the inputs that stay the same in all rounds.
            now: the estimate so far. No gradient flows through its positions.
            support: what the correlation compares with, from its `begin` or the previous round.

        Returns:
            The new estimate, and the support for the next round.
        """
        now = Estimate(now.xy.detach(), now.visibility_logit, now.confidence_logit)
        cells = now.xy / CELL
        with narrow(cells.device, self.inference.narrow):
            compared, middles = self.correlation.compare(window.pyramid, support, cells)
            if self.joint_look is not None:
                looks = window.queries.templates.feature
                compared = compared + self.joint_look(window.joint, looks, cells).to(compared)
        view = View(window, now, compared.float())
        if self.renews_features:
            view.feature = support[0]
        if self.suggests_moves:
            believed = now.visibility_logit.detach().sigmoid()
            products = [x.float() for x in middles]
            peaks, view.heights = peak_moves(products, self.correlation.radius, self.log_sharpness.exp())
            view.moves = torch.stack([*peaks, *path_moves(cells, believed)], dim=-1)

        hidden = window.to_come() if self.config.window.late == "masked" else None
        tokens = self.tokens(view)
        with narrow(cells.device, self.inference.narrow):
            updated = self.updater(tokens, hidden, self.inference.strict_parity)
        answer = self.head(updated.float()).float()
        step = answer[..., :2]
        if self.renews_features:
            return replace(now, xy=now.xy + step * CELL), [support[0] + self.renewal(answer[..., 2:])]
        if view.moves is not None:
            step = step + (view.moves @ answer[..., 4:, None])[..., 0]
        moved = Estimate(
            now.xy + step * CELL,
            now.visibility_logit + answer[..., 2],
            now.confidence_logit + answer[..., 3],
        )
        return self._hold(moved, window.queries), support

    def _hold(self, estimate: Estimate, queries: WindowQueries) -> Estimate:
        """Put points at their query positions on their query frames, visible and with high confidence."""
        if not self.config.window.hold:
            return estimate
        at_query = _one_hot(queries.frame, estimate.xy.shape[1])
        logit = torch.full_like(estimate.visibility_logit, SURE_LOGIT)
        return Estimate(queries.xy[:, None].expand_as(estimate.xy), logit, logit).where(at_query, estimate)


def network_of(tracker: Any) -> PointTracker:
    """The network of a `pointtrack.Tracker`, or the network itself."""
    return getattr(tracker, "network", tracker)


def check_kind(network: Any, doing: str) -> None:
    """Raise ValueError for a network other than a `PointTracker`, where the caller needs its parts."""
    if not isinstance(network, PointTracker):
        raise ValueError(
            f"{doing}: expected a tracker built as CoTracker is, such as small, got {network.config.name}"
        )


def _one_hot(frame: Tensor, frames: int) -> Tensor:
    """(b, n) frame numbers -> (b, t, n) bool: this is the point's query frame."""
    return torch.arange(frames, device=frame.device)[:, None] == frame[:, None]
