"""Prompts in a stream: clicks on a frame add up, and prompts for frames to come wait for them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from pointtrack.objects.engine import ObjectResult
from pointtrack.objects.known_mask import Expected, expected_mask
from pointtrack.objects.point_prompts import Shown
from pointtrack.objects.prompted import answer_prompt
from pointtrack.objects.propagator import ObjectPropagator
from pointtrack.segment.base import Embedding, Prompt


@dataclass(frozen=True, eq=False)
class _Answered:
    """The latest prompt of an object.

    Attributes:
        frame: on which it was given.
        prompt: all clicks there.
        mask: (h, w) bool, the answer.
        corrects: (h, w) bool, the mask that was given or shown there before, which the clicks correct, or None.
    """

    frame: int
    prompt: Prompt
    mask: Tensor
    corrects: Tensor | None


class StreamPrompts:
    """Prompts of one stream.

    Args:
        propagator: of the stream; holds its frames and what is known of its objects.

    Attributes:
        to_come: prompts on frames not pushed yet, by frame and object.
    """

    def __init__(self, propagator: ObjectPropagator):
        self._propagator = propagator
        self.to_come: defaultdict[int, dict[int, Prompt]] = defaultdict(dict)
        self._answered: dict[int, _Answered] = {}
        self._seen: tuple[int, Embedding] | None = None  # of the frame with the latest prompt

    def wait(self, object_id: int, frame: int, prompt: Prompt) -> None:
        """Keep a prompt until its frame is pushed."""
        before = self.to_come[frame].get(object_id)
        self.to_come[frame][object_id] = prompt if before is None else _both(before, prompt)

    def answer(
        self,
        object_id: int,
        frame: int,
        prompt: Prompt,
        shown: Tensor | None,
    ) -> ObjectResult:
        """Answer a prompt together with the earlier clicks on its frame.

        Args:
            shown: (h, w) bool, the mask of the object that was given or shown there, which the first clicks correct; or
                None.

        Raises:
            ValueError: the segmenter finds nothing there, or all clicks are beside an object without a mask there.
        """
        corrects, answered = None, None
        if prompt.box is None:
            last = self._answered.get(object_id)
            if last is not None and last.frame == frame:
                corrects, answered = last.corrects, Shown(len(last.prompt.points), last.mask)
                prompt = _both(last.prompt, prompt)
            elif shown is not None and shown.any():
                corrects = shown
        if prompt.box is None and corrects is None and not prompt.labels.any():
            raise ValueError(
                f"object {object_id}: expected a click on the object, or a box, as nothing is known of it on frame {frame}; "
                "got clicks beside it alone"
            )
        if self._seen is None or self._seen[0] != frame:
            self._seen = frame, self._closer(frame)
        expected = partial(self._expected, object_id, frame)
        segmenter, embedding = self._propagator.segmenter, self._seen[1]
        answer = answer_prompt(segmenter, embedding, prompt, corrects, answered, expected)
        if not answer.mask.any():
            raise ValueError(
                f"object {object_id}: expected something at the prompt on frame {frame}, but the segmenter sees nothing "
                "there; click elsewhere, or more often"
            )
        self._answered[object_id] = _Answered(frame, prompt, answer.mask, corrects)
        return answer

    def _closer(self, frame: int) -> Embedding:
        """The segmenter's closer embedding of a frame."""
        frames, segmenter = self._propagator.frames, self._propagator.segmenter
        whole = frames.wh == frames.full_wh
        known = self._propagator.embedding(frame) if whole else segmenter.encode(frames.full(frame))
        return segmenter.look_closer(frames.full(frame), known)

    def _expected(self, object_id: int, frame: int) -> Expected | None:
        """What earlier frames tell of an object on a frame, if anything."""
        state = self._propagator.states.get(object_id)
        if state is None:
            return None
        cells = Embedding(self._propagator.frames.full_wh, self._propagator.grid(frame, final=False).features)
        return expected_mask(state.memory, cells, self._propagator.config.prior, state.first)

    def begin_anew(self, object_id: int) -> None:
        """Forget an object's clicks so far, as a mask was given."""
        self._answered.pop(object_id, None)

    def forget(self, object_id: int) -> None:
        """Forget all prompts of an object that is removed."""
        self.begin_anew(object_id)
        for prompts in self.to_come.values():
            prompts.pop(object_id, None)

    def state_dict(self) -> dict[str, Any]:
        """All prompts, as tensors and plain values."""
        return {
            "to_come": {
                frame: {number: asdict(prompt) for number, prompt in prompts.items()}
                for frame, prompts in self.to_come.items()
            },
            "answered": {number: asdict(one) for number, one in self._answered.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state`; these prompts must be new."""
        for frame, prompts in state["to_come"].items():
            self.to_come[frame].update({number: Prompt(**prompt) for number, prompt in prompts.items()})
        for number, one in state["answered"].items():
            self._answered[number] = _Answered(**{**one, "prompt": Prompt(**one["prompt"])})


def _both(one: Prompt, other: Prompt) -> Prompt:
    """Both prompts on one frame together; a box in the later one starts over."""
    if other.box is not None:
        return other
    points, labels = torch.cat([one.points, other.points]), torch.cat([one.labels, other.labels])
    return Prompt(points, labels, one.box)
