"""Follows objects frame by frame: the state of each object, and one step of the walk."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pointtrack.io.state_file import moved
from pointtrack.objects.answer import (
    Answer,
    Evidence,
    ObjectOptions,
    answer_points,
    as_cells,
    as_logits,
    find_again,
    grown,
)
from pointtrack.objects.boundary import learn_colours, refine_outline
from pointtrack.objects.engine import ObjectResult, prompted_result
from pointtrack.objects.frame_buffer import FrameBuffer
from pointtrack.objects.known_mask import points_of, prior_from_memory, tried_colours
from pointtrack.objects.memory import Recollection
from pointtrack.objects.memory_only import Features
from pointtrack.objects.object_points import FramePoints, ObjectPoints
from pointtrack.objects.object_state import ObjectState
from pointtrack.objects.point_prompts import KnownMask, area, overlap, read_mask
from pointtrack.objects.quality import Signs, quality
from pointtrack.objects.signs import signs_of
from pointtrack.segment.base import Embedding, Segmenter

MOST_MISSES = 1000  # entries in `ObjectState.misses` before those of dropped points are removed

Sight = tuple[np.ndarray, Tensor]  # a picture (h, w, 3) of the video, and the mask (h, w) of an object there


@dataclass(frozen=True)
class _Seen:
    """An object on a frame: the answer (None if it is absent), and the evidence for it.

    Attributes:
        doubt: for an absent object, in [0, 1], the evidence that it is there all the same.
        again: it was found by its appearance alone, not by its points.
    """

    answer: Answer | None = None
    signs: Signs = field(default_factory=Signs)
    doubt: float = 0.0
    again: bool = False


class ObjectPropagator:
    """Steps along the frames of a walk.

    Args:
        frames: frames of the walk; frame numbers here are places in it. Frames before the next one are dropped.
        segmenter: from `load_segmenter`.
        feed: the points; new ones are seeded there if it has a tracker.
        states: object number -> its state so far; changed during the walk.
        config: how points become masks.
        rivals: use the points of other objects as points beside an object. Without this, no object depends on another.
        appearance: (h, w, 3) uint8 RGB frame -> (c, h', w') features for the memory. None takes those of the segmenter,
            which do not distinguish objects well enough to find one again.
    """

    def __init__(
        self,
        frames: FrameBuffer,
        segmenter: Segmenter,
        feed: ObjectPoints,
        states: MutableMapping[int, ObjectState],
        config: ObjectOptions,
        *,
        rivals: bool,
        appearance: Features | None = None,
    ):
        self.frames, self.segmenter, self.feed = frames, segmenter, feed
        self.states, self.config, self.rivals, self.appearance = states, config, rivals, appearance
        self._embeddings: dict[int, Embedding] = {}  # of frames from the next one on
        self._begun: dict[int, KnownMask] = {}  # masks of objects that begin on the next frame

    def embedding(self, place: int, known: Embedding | None = None) -> Embedding:
        """The segmenter's embedding of a frame at the size that masks are worked on; `known`, if the caller has it."""
        if place not in self._embeddings:
            self._embeddings[place] = self.segmenter.encode(self.frames[place]) if known is None else known
        return self._embeddings[place]

    def begin(
        self,
        place: int,
        given: Mapping[int, KnownMask],
        elsewhere: Mapping[int, Sequence[Sight]] | None = None,
    ) -> None:
        """Set certain masks of objects on the next frame, and seed points on and around each.

        An object that is followed already starts over there; an empty mask means that it is absent.

        Args:
            place: of the frame.
            given: object number -> its mask there.
            elsewhere: object number -> other frames of the video with a certain mask of it. The memory keeps its
                appearance there.
        """
        grid = self.grid(place)
        for number, one in given.items():
            mask = self.frames.shrunk_mask(one.mask)
            if number in self.states:
                self.states[number].lose()
                self.feed.drop_object(number)
            state = self.states.setdefault(number, ObjectState())
            state.known.clear()
            state.first = one.score
            shown = (elsewhere or {}).get(number, ())
            sights = [(self.frames.shrunk(image), self.frames.shrunk_mask(other)) for image, other in shown]
            for picture, other in sights:
                seen = self._grid_of(picture)
                state.memory.add(None, seen.features, as_cells(other, seen)[None], given=True)
            # Read before this frame is added, as a memory that holds the frame would give its mask back.
            prior = prior_from_memory(state.memory, grid, self.config.prior)
            self._remember(number, place, grid, mask, given=True)
            for picture, other in sights:
                self._learn_colours(state, picture, other)
            if state.colours is not None and self._sharpens() and mask.any():
                state.colours = tried_colours(
                    self.segmenter,
                    self.embedding(place),
                    self.frames[place],
                    mask,
                    state.colours,
                    prior,
                    self.config,
                )
                state.sharpens = state.colours is not None
            if self.feed.tracker is not None and mask.any():
                self._seed(place, number, mask)
        self._begun |= given

    def ready(self, place: int) -> bool:
        """Whether enough frames are there for a step to this one."""
        return place < self.frames.stop and self.feed.ready(place)

    def step(self, place: int, known: Mapping[int, Tensor] | None = None) -> dict[int, ObjectResult]:
        """Find every object on the next frame, which must be `ready`. Masks in `known` are certain."""
        begun, self._begun = self._begun, {}
        known = known or {}
        if self.states.keys() - begun.keys():
            embedding = self.embedding(place)
        points = self.feed.on(place)
        if self.states.keys() - begun.keys():
            grid = self.grid(place)
        found: dict[int, ObjectResult] = {}
        for number in self.states:
            if number in begun:
                mask = self.frames.shrunk_mask(begun[number].mask)
                found[number] = prompted_result(begun[number].mask, begun[number].score)
                if mask.any():
                    self._learn(place, number, points, mask, confident=False)
                continue
            if number in known:
                mask = self.frames.shrunk_mask(known[number])
                self._remember(number, place, grid, mask, given=True)
                found[number] = ObjectResult(known[number], 1.0, 1.0)
                self._learn(place, number, points, mask, confident=True)
                continue
            seen = self._look(place, number, points, embedding, grid)
            found[number] = self._result(seen)
            if seen.answer is None:
                continue
            if seen.again:
                # Its points, if any, are in the wrong place: start over with new ones on the mask.
                self.feed.drop(points.ids[points.of(number)])
                if self.feed.tracker is not None:
                    self.states[number].lose()
                    self._seed(place, number, seen.answer.mask)
            agrees = seen.answer.agrees >= self.config.confident_agreement
            confident = agrees and self.states[number].usual(seen.answer.mask)
            if confident:
                self._remember(number, place, grid, seen.answer.mask)
            self._learn(place, number, points, seen.answer.mask, confident=confident)
        self.frames.forget_before(min(place + 1, self.feed.next_frame))
        self._embeddings = {other: one for other, one in self._embeddings.items() if other > place}
        return found

    def preview(self, *, across_a_cut: bool) -> dict[int, ObjectResult]:
        """Preview the newest frame; nothing is learnt from it.

        Args:
            across_a_cut: a new shot began after the final frames, so objects are searched for by their appearance.
        """
        place = self.frames.stop - 1
        if not self.states:
            return {}
        points = self.feed.preview()
        if across_a_cut:
            points = FramePoints.none()
        grid, embedding = self.grid(place, final=False), self.embedding(place)
        return {
            number: self._result(self._look(place, number, points, embedding, grid, note=False))
            for number in self.states
        }

    def cut(self) -> None:
        """Begin another shot with the next frame: drop all points, and forget where objects are."""
        self.feed.forget()
        for state in self.states.values():
            state.lose()

    def remove(self, number: int) -> None:
        """Stop following an object."""
        del self.states[number]
        self._begun.pop(number, None)
        self.feed.drop_object(number)

    def state_dict(self) -> dict[str, Any]:
        """The complete state of the objects and their points, as tensors and plain values."""
        return {
            "states": {number: state.state_dict() for number, state in self.states.items()},
            "feed": self.feed.state_dict(),
            "embeddings": {place: dict(vars(one)) for place, one in self._embeddings.items()},
            "begun": {number: dict(vars(one)) for number, one in self._begun.items()},
        }

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """Continue from `state`; this propagator must be new and have the same networks.

        Args:
            device: where the keys of memories are read.
        """
        for number, one in state["states"].items():
            self.states[number] = ObjectState.from_state_dict(one, device)
        self.feed.load_state_dict(state["feed"])
        looks = moved(state["embeddings"], self.segmenter.device)
        self._embeddings = {place: Embedding(**one) for place, one in looks.items()}
        self._begun = {number: KnownMask(**one) for number, one in state["begun"].items()}

    def _result(self, seen: _Seen) -> ObjectResult:
        if seen.answer is None:
            nothing = torch.zeros(self.frames.full_wh[::-1], dtype=torch.bool)
            return ObjectResult(nothing, 0.0, 1 - seen.doubt)
        score = quality(seen.signs)
        return ObjectResult(self.frames.enlarged(seen.answer.mask), score, score, seen.signs)

    def _look(
        self,
        place: int,
        number: int,
        points: FramePoints,
        embedding: Embedding,
        grid: Embedding,
        *,
        note: bool = True,
    ) -> _Seen:
        """Look for an object on a frame; without `note` this leaves the memory and the state unchanged."""
        state = self.states[number]
        own = points.of(number)
        recollection = None
        if own.any():
            prior = torch.zeros(self.frames.wh[::-1])
            if len(state.memory) and self.config.prior:
                recollection = state.memory.read(grid.features, note=note)
                prior = self.config.prior * as_logits(recollection.share[0], grid)
            beside = points.xy[points.beside(number, self.rivals)]
            evidence = Evidence(points.xy[own], beside, prior, state.moved_mask(points.ids, points.xy))
            answer = answer_points(self.segmenter, embedding, evidence, self.config)
            if answer is not None:
                refined = self._sharpened(place, answer, evidence, state)
                kept = 1.0 if evidence.before is None else overlap(refined.mask, evidence.before)
                settled = overlap(answer.mask, refined.mask)
                signs = signs_of(refined, state, grid, recollection, kept=kept, settled=settled, note=note)
                if (elsewhere := self._elsewhere(signs, state, embedding, grid, recollection)) is not None:
                    return elsewhere
                # Features of a segmenter do not distinguish objects well enough.
                enough = self.appearance is None or int(own.sum()) >= self.config.few
                if enough or signs.recognised(self.config.recognised):
                    return _Seen(refined, signs)
        if len(state.memory) and self.appearance is not None:
            recollection = state.memory.read(grid.features, anywhere=True, note=note)
            answer = find_again(self.segmenter, embedding, grid, recollection, self.config)
            if answer is not None:
                signs = signs_of(answer, state, grid, recollection, note=note)
                if signs.recognised(self.config.found_recognised):
                    return _Seen(answer, signs, again=True)
        return _Seen(doubt=0.5 * float(own.any()))

    def _elsewhere(
        self,
        signs: Signs,
        state: ObjectState,
        embedding: Embedding,
        grid: Embedding,
        recollection: Recollection | None,
    ) -> _Seen | None:
        """Find the object in another place, if its mask has moved to something else and little of it is recognised.

        None if no other place is recognised clearly better. Only given frames are compared: the rest of the memory has
        followed the mask.
        """
        # Features of a segmenter do not distinguish objects well enough to find one again.
        if self.appearance is None or recollection is None or recollection.certain is None:
            return None
        if signs.faded <= self.config.faded:
            return None
        certain = replace(recollection, share=recollection.certain)
        answer = find_again(self.segmenter, embedding, grid, certain, self.config)
        if answer is None:
            return None
        better = signs_of(answer, state, grid, recollection, note=False)
        clearly = better.known > signs.known + self.config.faded
        found = clearly and better.recognised(self.config.found_recognised)
        return _Seen(answer, better, again=True) if found else None

    def _sharpened(self, place: int, answer: Answer, evidence: Evidence, state: ObjectState) -> Answer:
        """The answer with its outline moved to where the object's colours end.

        The memory is not used here: it learns from these masks, so an error of both would stay for good.
        """
        if state.colours is None or not self._sharpens():
            return answer
        picture = self.frames[place]
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

    def grid(self, place: int, *, final: bool = True) -> Embedding:
        """A frame's cells for the memory, with features of the tracker, or else of the segmenter."""
        if self.appearance is None:
            return self.embedding(place)
        # The tracker's features of the frame, if it still holds them, are the same.
        seen = self.feed.features(place, final=final)
        return self._grid_of(self.frames[place]) if seen is None else Embedding(self.frames.wh, seen)

    def _grid_of(self, picture: np.ndarray) -> Embedding:
        """As `grid`, for any picture (h, w, 3) of the video at the size that masks are worked on."""
        if self.appearance is None:
            return self.segmenter.encode(picture)
        return Embedding(self.frames.wh, self.appearance(picture))

    def _remember(
        self, number: int, place: int, grid: Embedding, mask: Tensor, *, given: bool = False
    ) -> None:
        """Remember a mask on a frame; a given one is certain."""
        state = self.states[number]
        state.memory.add(self.frames.number(place), grid.features, as_cells(mask, grid)[None], given=given)
        if given:
            self._learn_colours(state, self.frames[place], mask)

    def _learn_colours(self, state: ObjectState, picture: np.ndarray, mask: Tensor) -> None:
        """Learn the colours under the first certain mask that is not empty, unless a test has ruled colours out."""
        if state.sharpens and state.colours is None and mask.any():
            state.colours = learn_colours(picture, mask, self.config.outline)

    def _learn(self, place: int, number: int, points: FramePoints, mask: Tensor, *, confident: bool) -> None:
        """Store a mask as the last one. If `confident`, drop points that keep leaving it, and seed if few stay."""
        state, config = self.states[number], self.config
        own = points.of(number)
        ids, xy = points.ids[own], points.xy[own]
        order = ids.argsort()
        state.mask, state.frame, state.points = mask, place, (ids[order], xy[order])
        state.areas.append(area(mask))
        if not confident:
            return
        outside = ~read_mask(grown(mask, 2), xy)
        misses = {
            point: state.misses.get(point, 0) + 1 if out else 0
            for point, out in zip(ids.tolist(), outside.tolist(), strict=True)
        }
        state.misses |= misses
        if len(state.misses) > MOST_MISSES:  # with those of dropped points
            counting = self.feed.counting(torch.tensor(list(state.misses)))
            pairs = zip(state.misses.items(), counting.tolist(), strict=True)
            state.misses = {point: count for (point, count), counts in pairs if counts}
        gone = [point for point, count in misses.items() if count >= config.max_misses]
        if gone:
            self.feed.drop(torch.tensor(gone))
        few = len(ids) - len(gone) < config.reseed_below
        rested = state.seeded is None or abs(place - state.seeded) >= config.reseed_every
        if few and rested and self.feed.tracker is not None:
            self._seed(place, number, mask)

    def _seed(self, place: int, number: int, mask: Tensor) -> None:
        """Track points on a mask and close around it from this frame on."""
        own, beside = points_of(mask)
        points = {number: own, -number: beside} if len(beside) else {number: own}
        self.feed.seed(place, points)
        self.states[number].seeded = place
