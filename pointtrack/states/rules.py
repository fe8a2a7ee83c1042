"""Rules that decide whether a point is visible, hidden, out of frame or lost, from the output of any tracker.

A tracker that has lost a point reports this only until something similar passes by. So its output alone is not enough:
a point reported as visible must also look as it did before, and lie where its partners say.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pointtrack.geometry import inside_image
from pointtrack.types import VISIBLE
from pointtrack.types.point_states import PointState

ROUNDS = 3  # steps in which guidance passes from point to point
FEWEST = 2  # partners with a known position that a point needs for guidance
PARTNERS = 8  # points whose motion shows where a missing one should be
POOL = 512  # points from which partners are chosen; time grows with the square of their number
MEMORY = 5  # frames over which the motion of two points is compared
TOGETHER = 4.0  # pixels of distance that count as much as one pixel of different motion
RENEWAL = 0.1  # weight of the newest similarity in a point's usual one

# The tensors that a `StateMachine` keeps, and the axis of each that counts the points.
KEPT = {
    "state": 0, "expected": 0, "guided": 0, "known": 0, "_usual": 0, "_recent": 1, "_sure_xy": 0, "_partners": 0,
    "_partner_xy": 0, "_doubtful": 0, "_blind": 0, "_for_it": 0, "_cut_off": 0,
}  # fmt: skip


@dataclass(frozen=True)
class StateRules:
    """When a point counts as lost. Distances are shares of the diagonal of the image.

    Args:
        visible: visibility above which the tracker reports a point as visible.
        unsure: confidence below which the tracker does not know where a point is.
        patience: number of doubtful frames in a row (unsure, or unlike the query) after which the point is lost.
        min_similarity: share of its usual similarity to the query that a returning point must have to be believed.
        min_similarity_seen: the same for a point that was visible on the previous frame.
        min_cosine: least similarity to the query, a cosine, for any point to be believed. Without it, the usual
            similarity of a point that drifts off slowly would sink with it.
        reach: how far a point may be from where it should be.
        blind: by how much this grows on every frame on which no partners show where the point should be.
        blind_limit: the most that it may grow.
        returning: number of frames in a row that must support a lost point before it counts as visible.

    Raises:
        ValueError: a number is out of range.
    """

    visible: float = VISIBLE
    unsure: float = 0.1
    patience: int = 8
    min_similarity: float = 0.85
    min_similarity_seen: float = 0.6
    min_cosine: float = 0.45
    reach: float = 0.04
    blind: float = 0.004
    blind_limit: float = 0.1
    returning: int = 3

    def __post_init__(self) -> None:
        for name in (
            "visible",
            "unsure",
            "min_similarity",
            "min_similarity_seen",
            "min_cosine",
            "reach",
            "blind",
            "blind_limit",
        ):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"state rules: expected {name} in 0..1, got {getattr(self, name)}")
        for name in ("patience", "returning"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"state rules: expected {name} of 1 frame or more, got {getattr(self, name)}"
                )


class StateMachine:
    """Gives every point its state, frame by frame.

    Args:
        points: number of points.
        image_wh: size of the frames as (width, height) in pixels.
        rules: when a point counts as lost.

    Attributes:
        state: (n,) uint8, state of every point on the latest frame.
        expected: (n, 2) pixels: where its partners say that a point should be on that frame; NaN before its start.
        guided: (n,) bool: enough of its partners are visible on that frame.
        known: (n,) bool: for enough of its partners it is known where they are or should be.
    """

    def __init__(self, points: int, image_wh: tuple[int, int], rules: StateRules | None = None):
        self.rules, self.wh = rules or StateRules(), image_wh
        self.diagonal = math.hypot(*image_wh)
        self.state = torch.full((points,), PointState.NOT_TRACKED, dtype=torch.uint8)
        self.expected = torch.full((points, 2), torch.nan)
        self.guided, self.known = torch.zeros(2, points, dtype=torch.bool)
        self._usual = torch.ones(points)  # similarity
        self._recent = torch.full((MEMORY, points, 2), torch.nan)  # positions on the latest frames
        self._sure_xy = torch.full((points, 2), torch.nan)  # the last believed position
        self._partners = torch.zeros(points, PARTNERS, dtype=torch.int64)
        self._partner_xy = torch.full((points, PARTNERS, 2), torch.nan)  # where they were then
        self._doubtful = torch.zeros(points, dtype=torch.int64)  # frames in a row
        self._blind = torch.zeros(points, dtype=torch.int64)  # frames since then without a partner
        self._for_it = torch.zeros(points, dtype=torch.int64)  # frames in a row that support a lost point
        self._cut_off = torch.zeros(points, dtype=torch.bool)

    def tensors(self) -> dict[str, Tensor]:
        """All that `from_tensors` needs to continue from here; not copies, and the machine changes some in place."""
        return {name: getattr(self, name) for name in KEPT}

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, Tensor], image_wh: tuple[int, int], rules: StateRules | None = None
    ) -> StateMachine:
        """A machine that continues from copies of another one's tensors."""
        machine = cls(len(tensors["state"]), image_wh, rules)
        vars(machine).update({name: tensors[name].clone() for name in KEPT})
        return machine

    @classmethod
    def concat(cls, machines: Sequence[StateMachine]) -> StateMachine:
        """The points of all machines, which are at the same frame; from now on all may be partners."""
        joined = {
            name: torch.cat([getattr(one, name) for one in machines], dim=axis) for name, axis in KEPT.items()
        }
        before = torch.tensor([0, *(len(one.state) for one in machines[:-1])]).cumsum(0)
        partners = [one._partners + first for one, first in zip(machines, before.tolist(), strict=True)]
        return cls.from_tensors(
            {**joined, "_partners": torch.cat(partners)}, machines[0].wh, machines[0].rules
        )

    def select(self, chosen: Tensor) -> StateMachine:
        """Keep only the points (n,) bool; the others are no longer partners."""
        left = {
            name: getattr(self, name).index_select(axis, chosen.nonzero()[:, 0])
            for name, axis in KEPT.items()
        }
        gone = ~chosen[left["_partners"]]
        left["_partner_xy"] = left["_partner_xy"].masked_fill(gone[..., None], torch.nan)
        left["_partners"] = (chosen.cumsum(0) - 1)[left["_partners"]].masked_fill(gone, 0)
        return StateMachine.from_tensors(left, self.wh, self.rules)

    def begin(self, which: Tensor, xy: Tensor, similarity: Tensor) -> None:
        """Start points (n,) bool at known positions (n, 2) on the frame that the next `step` gets."""
        self.state[which] = PointState.VISIBLE
        self._sure_xy[which] = self.expected[which] = xy[which]
        self._partner_xy[which] = self._recent[:, which] = torch.nan
        self._usual[which] = similarity[which]
        for count in (self._doubtful, self._blind, self._for_it):
            count[which] = 0
        self._cut_off[which] = False

    def cut(self) -> None:
        """Begin a new shot with the next frame: all tracked points are lost."""
        tracked = self.state != PointState.NOT_TRACKED
        self.state[tracked] = PointState.LOST
        self._cut_off |= tracked

    def step(self, xy: Tensor, visibility: Tensor, confidence: Tensor, similarity: Tensor) -> None:
        """Take the tracker's output for the next frame; `state` and `expected` are then those of this frame.

        Args:
            xy: (n, 2) pixels; NaN where a point is not tracked.
            visibility, confidence, similarity: (n,); the last is between the place and the query.
        """
        rules, located = self.rules, torch.isfinite(xy).all(-1)
        estimated = located & (self.state != PointState.NOT_TRACKED)
        before = self.state.clone()
        was_seen = before == PointState.VISIBLE
        claimed = estimated & (visibility > rules.visible) & inside_image(xy, self.wh) & ~self._cut_off
        on_its_way = (xy - self._sure_xy - self._step()).norm(dim=-1)
        self._expect(xy, claimed & was_seen)
        off, limit = (xy - self.expected).norm(dim=-1), self.limit()
        placed = (off <= limit) | (was_seen & (on_its_way <= limit))
        enough = torch.where(was_seen, rules.min_similarity_seen, rules.min_similarity) * self._usual
        alike = similarity >= enough.clamp(min=rules.min_cosine)
        believed = claimed & placed & alike
        outside = ~inside_image(torch.where(self.known[:, None], self.expected, xy), self.wh)
        doubtful = (confidence < rules.unsure) | (claimed & ~alike)
        self._doubtful = torch.where(estimated & doubtful & ~outside, self._doubtful + 1, 0)
        self._for_it = torch.where(believed, self._for_it + 1, 0)

        lost = (
            (claimed & ~placed) | (self.guided & (off > limit)) | (self._doubtful >= rules.patience)
        ) & ~outside
        lost |= before == PointState.LOST
        state = torch.full_like(before, PointState.HIDDEN)
        state[outside] = PointState.OUT_OF_FRAME
        state[lost] = PointState.LOST
        state[believed & ((before != PointState.LOST) | (self._for_it >= rules.returning))] = (
            PointState.VISIBLE
        )
        self.state = torch.where(estimated, state, before)
        self._remember(xy, similarity, estimated & (self.state == PointState.VISIBLE), estimated)

    def limit(self) -> Tensor:
        """(n,) pixels by which a point may be off."""
        blind = (self.rules.blind * self._blind).clamp(max=self.rules.blind_limit)
        return self.diagonal * (self.rules.reach + blind)

    def _expect(self, xy: Tensor, reliable: Tensor) -> None:
        """Move `expected` with the partners."""
        places, known = xy, reliable
        for turn in range(ROUNDS):
            usable = known[self._partners] & torch.isfinite(self._partner_xy[..., 0])
            moved = torch.where(usable[..., None], places[self._partners] - self._partner_xy, torch.nan)
            led = usable.sum(1) >= FEWEST
            expected = torch.where(led[:, None], self._sure_xy + moved.nanmedian(dim=1).values, self.expected)
            if turn == 0:
                self.guided = led
            places, known = torch.where(reliable[:, None], xy, expected), reliable | led
        self.expected, self.known = expected, led
        self._blind = torch.where(led, 0, self._blind + 1)

    def _remember(self, xy: Tensor, similarity: Tensor, sure: Tensor, estimated: Tensor) -> None:
        """Note where visible points are, how similar they look, and which points move with them."""
        self._sure_xy[sure] = self.expected[sure] = xy[sure]
        self._blind[sure] = 0
        self._usual[sure] += RENEWAL * (similarity[sure] - self._usual[sure])
        pool = sure.nonzero()[:, 0]
        pool = pool[:: -(-len(pool) // POOL)] if len(pool) else pool
        if len(pool) > FEWEST:
            way = xy - self._recent[0]  # over some frames, as far as they are known
            way = torch.where(torch.isfinite(way), way, torch.nan_to_num(xy - self._recent[-1]))
            apart = torch.cdist(xy[sure], xy[pool]) + TOGETHER * torch.cdist(way[sure], way[pool])
            apart[sure.nonzero()[:, :1] == pool] = torch.inf  # no point is its own partner
            near = apart.topk(min(PARTNERS, len(pool) - 1), dim=1, largest=False).indices
            partners = torch.zeros(len(near), PARTNERS, dtype=torch.int64)
            places = torch.full((len(near), PARTNERS, 2), torch.nan)
            partners[:, : near.shape[1]], places[:, : near.shape[1]] = pool[near], xy[pool[near]]
            self._partners[sure], self._partner_xy[sure] = partners, places
        newest = torch.where(sure[:, None], xy, torch.nan)
        moved_on = torch.cat([self._recent[1:], newest[None]])
        self._recent = torch.where(estimated[:, None], moved_on, self._recent)

    def _step(self) -> Tensor:
        """(n, 2) how far the points moved on the latest frame; 0 if unknown."""
        return torch.nan_to_num(self._recent[-1] - self._recent[-2])
