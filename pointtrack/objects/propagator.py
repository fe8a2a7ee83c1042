"""Objects frame by frame: what is known of each as the frames go by, and one step of the walk."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pointtrack.objects.answer import (
    Answer,
    Evidence,
    ObjectOptions,
    answer_points,
    as_cells,
    as_logits,
    belt_around,
    find_again,
    grown,
    points_inside,
)
from pointtrack.objects.boundary import ObjectColours, learn_colours, refine_outline
from pointtrack.objects.engine import ObjectResult
from pointtrack.objects.memory import ObjectMemory
from pointtrack.objects.memory_only import Features
from pointtrack.objects.object_points import FramePoints, ObjectPoints
from pointtrack.objects.point_prompts import KnownMask, overlap, read_mask
from pointtrack.objects.quality import Signs, agreement_of_memory, change_of_size, quality
from pointtrack.segment.base import Embedding, Segmenter
from pointtrack.types import Video

INSIDE, AROUND = 16, 16  # points that are seeded on an object, and on what lies close around it
AREAS, MOST_GROWTH = 12, 1.6
BELT = 0.3  # width of that belt, in square roots of the object's area


@dataclass
class ObjectState:
    """What is known of an object as the frames go by.

    Attributes:
        memory: what it and its surroundings looked like.
        colours: those under the mask that was given first; sharpens: whether outlines that go by them are better ones.
        mask, frame: the last mask that was believed and its frame.
        points: (ids, xy) of its points there.
        areas: pixels of its latest masks.
        max_misses: id -> frames in a row that the point was outside the mask.
        seeded: frame on which points were last taken from the mask.
    """

    memory: ObjectMemory = field(default_factory=lambda: ObjectMemory(1))
    colours: ObjectColours | None = None
    sharpens: bool = True
    mask: Tensor | None = None
    frame: int = -1
    points: tuple[Tensor, Tensor] = field(default_factory=lambda: (torch.zeros(0), torch.zeros(0, 2)))
    areas: deque[int] = field(default_factory=lambda: deque(maxlen=AREAS))
    max_misses: dict[int, int] = field(default_factory=dict)
    seeded: int | None = None

    def usual(self, mask: Tensor) -> bool:
        """Whether a mask is about as large as the latest ones; one that grew or shrank at once has leaked or lost parts."""
        if not self.areas:
            return True
        ratio = int(mask.sum()) / max(float(np.median(self.areas)), 1.0)
        return 1 / MOST_GROWTH < ratio < MOST_GROWTH

    def place(self) -> tuple[Tensor | None, int, tuple[Tensor, Tensor]]:
        """Where it was last."""
        return self.mask, self.frame, self.points

    def resume(self, place: tuple[Tensor | None, int, tuple[Tensor, Tensor]]) -> None:
        """Begin anew at a place, as `place` gave it."""
        self.lose()
        self.mask, self.frame, self.points = place

    def lose(self) -> None:
        """Nothing is known of where it is any more; what it looks like stays known."""
        self.mask, self.frame, self.seeded = None, -1, None
        self.areas.clear()
        self.points, self.max_misses = (torch.zeros(0), torch.zeros(0, 2)), {}


class ObjectPropagator:
    """Steps along the frames of a feed.

    Args:
        video: the frames.
        segmenter: from `load_segmenter`.
        feed: the points; new ones are seeded there if it has a tracker.
        states: object number -> what is known of it so far; changed on the way.
        config: how points become masks.
        look: (h, w, 3) uint8 RGB frame -> (c, h', w') what the memory knows objects by. The features of the segmenter
            where not given; these do not tell objects apart well enough to find one again.
        rivals: the points of other objects say where an object is not. Without that no object depends on another.
    """

    def __init__(
        self,
        video: Video,
        segmenter: Segmenter,
        feed: ObjectPoints,
        states: Mapping[int, ObjectState],
        config: ObjectOptions,
        *,
        rivals: bool,
        appearance: Features | None = None,
    ):
        self.video, self.segmenter, self.feed = video, segmenter, feed
        self.states, self.config, self.rivals, self.appearance = states, config, rivals, appearance

    def start(self, frame: int, given: Mapping[int, Tensor], embedding: Embedding) -> None:
        """Take the masks (h, w) of objects on a frame for certain, and seed points on and around each.

        An empty mask says that the object is absent there.
        """
        grid = self._grid(frame, embedding)
        for number, mask in given.items():
            self._remember(number, frame, grid, mask, given=True)
            state = self.states[number]
            if state.colours is not None and self._sharpens() and mask.any():
                state.colours = self._tried(frame, mask, state.colours, embedding)
                state.sharpens = state.colours is not None
            if self.feed.tracker is not None and mask.any():
                self._seed(frame, number, mask)
        points = self.feed.on(frame)
        for number, mask in given.items():
            if mask.any():
                self._learn(frame, number, points, mask, False)

    def learn(self, given: Mapping[int, Iterable[KnownMask]]) -> None:
        """Remember masks of objects on any frames, without going there."""
        for number, masks in given.items():
            for one in masks:
                self._remember(number, one.frame, self._grid(one.frame, None), one.mask, given=True)

    def step(self, frame: int, known: Mapping[int, Tensor] | None = None) -> dict[int, ObjectResult]:
        """Find every object on the next frame. Masks that are known are taken for certain."""
        embedding = self.segmenter.encode(self.video.frames[frame])
        points = self.feed.on(frame)
        grid = self._grid(frame, embedding)
        found: dict[int, ObjectResult] = {}
        for number in self.states:
            if known and number in known:
                mask = known[number]
                self._remember(number, frame, grid, mask, given=True)
                found[number] = ObjectResult(mask, 1.0, 1.0)
                self._learn(frame, number, points, mask, True)
                continue
            answer, signs, doubt = self._find(frame, number, points, embedding, grid)
            if answer is None:
                found[number] = ObjectResult(
                    torch.zeros(self.video.wh[1], self.video.wh[0], dtype=torch.bool), 0.0, 1 - doubt
                )
                continue
            score = quality(signs)
            found[number] = ObjectResult(answer.mask, score, score, signs)
            agrees = answer.agrees >= self.config.confident_agreement
            sure = agrees and self.states[number].usual(answer.mask)
            if sure:
                self._remember(number, frame, grid, answer.mask)
            self._learn(frame, number, points, answer.mask, sure)
        return found

    def cut(self) -> None:
        """The next frame begins another shot: points end, and where objects are is not known."""
        self.feed.forget()
        for state in self.states.values():
            state.lose()

    def _find(
        self, frame: int, number: int, points: FramePoints, embedding: Embedding, grid: Embedding
    ) -> tuple[Answer | None, Signs, float]:
        """The object, what speaks for it, and if it is absent, in [0, 1] how much speaks for its being there all the same."""
        state = self.states[number]
        own = points.of(number)
        share = None
        if own.any():
            prior = torch.zeros(self.video.wh[1], self.video.wh[0])
            if len(state.memory) and self.config.prior:
                share = state.memory.read(grid.features).share[0]
                prior = self.config.prior * as_logits(share, grid)
            beside = points.xy[points.beside(number, self.rivals)]
            evidence = Evidence(points.xy[own], beside, prior, self._moved(points, state))
            answer = answer_points(self.segmenter, embedding, evidence, self.config)
            if answer is not None:
                refined = self._sharpened(frame, answer, evidence, state)
                kept = 1.0 if evidence.before is None else overlap(refined.mask, evidence.before)
                settled = overlap(answer.mask, refined.mask)
                return refined, self._signs(refined, state, grid, share, kept, settled), 0.0
        answer = None
        if len(state.memory) and self.appearance is not None:
            recalled = state.memory.read(grid.features, anywhere=True)
            answer, share = (
                find_again(self.segmenter, embedding, grid, recalled, self.config),
                recalled.share[0],
            )
        if answer is None:
            return None, Signs(), 0.5 * float(own.any())
        signs = self._signs(answer, state, grid, share, kept=0.5, settled=1.0)
        # What its points say is wrong, if there are any: they begin anew on the mask.
        self.feed.drop(points.ids[own])
        if self.feed.tracker is not None:
            state.lose()
            self._seed(frame, number, answer.mask)
        return answer, signs, 0.0

    def _signs(
        self,
        answer: Answer,
        state: ObjectState,
        grid: Embedding,
        share: Tensor | None,
        kept: float,
        settled: float,
    ) -> Signs:
        """What speaks for an answer. Arguments as the attributes of `Signs`; `share` is what the memory says of the cells."""
        recalled = leaked = None
        if share is not None:
            shape = (share.shape[0], share.shape[1])
            cells = F.adaptive_avg_pool2d(as_cells(answer.mask, grid)[None, None], shape)[0, 0]
            recalled, leaked = agreement_of_memory(share.float().cpu(), cells)
        return Signs(
            agrees=min(max(answer.agrees, 0.0), 1.0),
            predicted=answer.predicted,
            there=answer.there,
            kept=kept,
            changed=change_of_size(answer.mask, list(state.areas)),
            recalled=1.0 if recalled is None else recalled,
            leaked=0.0 if leaked is None else leaked,
            settled=settled,
        )

    def _sharpened(self, frame: int, answer: Answer, evidence: Evidence, state: ObjectState) -> Answer:
        """The same with its outline where the object's colours end.

        The memory has no say in this: it learns from these masks, and what both got wrong would stay for good.
        """
        if state.colours is None or not self._sharpens():
            return answer
        picture = self.video.frames[frame]
        mask = refine_outline(
            picture,
            answer.mask,
            state.colours,
            inside=evidence.own,
            outside=evidence.beside,
            rules=self.config.outline,
        )
        return replace(answer, mask=mask)

    def _sharpens(self) -> bool:
        return self.segmenter.coarse if self.config.sharpen is None else self.config.sharpen

    def _tried(
        self, frame: int, mask: Tensor, colours: ObjectColours, embedding: Embedding
    ) -> ObjectColours | None:
        """How to draw an object's outlines, tried where its mask is known, on the segmenter's answer to points alone.

        Where its surroundings have its colours thin parts must be kept; elsewhere that would keep what is wrong. None where
        colours do not find nearly the whole object, clearly better than the segmenter: what they get wrong, the memory
        learns.
        """
        own, belt = points_inside(mask, INSIDE), belt_around(mask, BELT)
        beside = points_inside(belt, AROUND) if belt.any() else own[:0]
        nothing = torch.zeros(mask.shape)
        answer = answer_points(self.segmenter, embedding, Evidence(own, beside, nothing, None), self.config)
        if answer is None:
            return colours
        picture, coarse = self.video.frames[frame], answer.mask
        ways = (colours, replace(colours, thin=True))  # of equally good ones the first
        rules = self.config.outline
        drawn = [
            refine_outline(picture, coarse, way, inside=own, outside=beside, rules=rules) for way in ways
        ]
        right = [overlap(one, mask) for one in drawn]
        proved = max(rules.proved, overlap(coarse, mask) + rules.gain)
        return ways[int(np.argmax(right))] if max(right) >= proved else None

    def _grid(self, frame: int, embedding: Embedding | None) -> Embedding:
        """What the memory is told of a frame: its cells, as the tracker or else the segmenter sees them.

        Where the tracker's are wanted, the segmenter's embedding need not be there.
        """
        if self.appearance is None:
            return self.segmenter.encode(self.video.frames[frame]) if embedding is None else embedding
        seen = self.feed.features(frame)  # the same, where the tracker has looked at the frame anyway
        return Embedding(self.video.wh, self.appearance(self.video.frames[frame]) if seen is None else seen)

    def _remember(
        self, number: int, frame: int, grid: Embedding, mask: Tensor, *, given: bool = False
    ) -> None:
        state = self.states[number]
        state.memory.add(frame, grid.features, as_cells(mask, grid)[None], given=given)
        if given and state.sharpens and state.colours is None and mask.any():
            state.colours = learn_colours(self.video.frames[frame], mask, self.config.outline)

    def _moved(self, points: FramePoints, state: ObjectState) -> Tensor | None:
        """The last mask, moved as its points have moved since."""
        if state.mask is None:
            return None
        ids, xy = state.points
        here = torch.isin(points.ids, ids)
        if not here.any():
            return None
        order = torch.searchsorted(ids, points.ids[here])
        dx, dy = (points.xy[here] - xy[order]).median(dim=0).values.tolist()
        shift = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
        moved = cv2.warpAffine(
            state.mask.numpy().astype(np.uint8), shift, self.video.wh, flags=cv2.INTER_NEAREST
        )
        return torch.from_numpy(moved > 0)

    def _learn(self, frame: int, number: int, points: FramePoints, mask: Tensor, sure: bool) -> None:
        """Take a mask as the last one; if it is sure, drop points that keep leaving it, add points if few are left."""
        state, config = self.states[number], self.config
        own = points.of(number)
        ids, xy = points.ids[own], points.xy[own]
        order = ids.argsort()
        state.mask, state.frame, state.points = mask, frame, (ids[order], xy[order])
        state.areas.append(int(mask.sum()))
        if not sure:
            return
        outside = ~read_mask(grown(mask, 2), xy)
        max_misses = {
            point: state.max_misses.get(point, 0) + 1 if out else 0
            for point, out in zip(ids.tolist(), outside.tolist(), strict=True)
        }
        state.max_misses |= max_misses
        gone = [point for point, count in max_misses.items() if count >= config.max_misses]
        if gone:
            self.feed.drop(torch.tensor(gone))
        few = len(ids) - len(gone) < config.reseed_below
        rested = state.seeded is None or abs(frame - state.seeded) >= config.reseed_every
        if few and rested and self.feed.tracker is not None:
            self._seed(frame, number, mask)

    def _seed(self, frame: int, number: int, mask: Tensor) -> None:
        """Track points on a mask and close around it from this frame on."""
        points = {number: points_inside(mask, INSIDE)}
        belt = belt_around(mask, BELT)
        if belt.any():
            points[-number] = points_inside(belt, AROUND)
        self.feed.seed(frame, points)
        self.states[number].seeded = frame
