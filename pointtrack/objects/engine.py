"""The interface of an engine, which follows objects for a session: it answers prompts and walks from known frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from pointtrack.models.point_tracker import PointTracker
from pointtrack.objects.point_prompts import KnownMask, Shown, area
from pointtrack.objects.quality import Signs
from pointtrack.segment.base import Prompt
from pointtrack.types import Masks, Video


@dataclass(frozen=True, eq=False)
class ObjectResult:
    """An object on a frame.

    Attributes:
        mask: (h, w) bool of the video's size, on the CPU; empty where the object is absent.
        score: in [0, 1], the expected overlap (IoU) with the true mask; 0 if the object is absent.
        quality: in [0, 1], how likely a person would leave the frame as it is. For a present object this equals the
            score; an absence has a quality too.
        signs: the parts of the score of a followed mask; None for others.
    """

    mask: Tensor
    score: float
    quality: float
    signs: Signs | None = None


Found = dict[int, ObjectResult]  # by object id


def prompted_result(mask: Tensor, score: float) -> ObjectResult:
    """The result for a mask that a person drew, or that answers a prompt.

    Args:
        mask: (h, w) bool; an empty one means that the object is absent for certain.
        score: the expected overlap (IoU) of the mask, in [0, 1].
    """
    there = area(mask) > 0
    return ObjectResult(mask, score * there, score if there else 1.0)


def masks_of(found: Sequence[Found], wh: tuple[int, int], first: int, fps: float) -> Masks:
    """Masks of the results from frame `first` on, of width and height `wh`; an object without a result is absent."""
    ids = sorted({number for row in found for number in row})
    masks = torch.zeros(len(found), len(ids), wh[1], wh[0], dtype=torch.bool)
    scores = torch.zeros(len(found), len(ids))
    for t, row in enumerate(found):
        for o, number in enumerate(ids):
            if number in row:
                masks[t, o], scores[t, o] = row[number].mask, row[number].score
    return Masks(masks, torch.tensor(ids, dtype=torch.int64), scores, first, fps)


class Corrector(Protocol):
    """Corrects masks where a correction on another frame contradicts them.

    Attributes:
        tracker: tracks the points of the correction to them.
    """

    tracker: PointTracker

    def correct(self, video: Video, frame: int, points: Prompt, mask: Tensor) -> ObjectResult:
        """Change a mask where tracked points contradict it.

        Args:
            video, frame: where the mask is.
            points: on and beside the object there.
            mask: (h, w) bool, not empty.

        Returns:
            The corrected mask, and the overlap (IoU) that is expected of it.
        """
        ...


class Engine(Protocol):
    """Follows objects through a video. It holds models and caches, but no prompts.

    Attributes:
        name: name of its models.
        licence: SPDX name of the licence of the weights that draw the masks.
        own_answers: True if it answers prompts by our rules: every click is honoured, and no click beside an object makes
            its mask larger. Otherwise the model's library answers them.
    """

    name: str
    licence: str
    own_answers: bool

    @property
    def corrector(self) -> Corrector | None:
        """Carries corrections to other frames; None if they stay where they are."""

    def answer(
        self,
        video: Video,
        frame: int,
        prompt: Prompt,
        before: Tensor | None = None,
        shown: Shown | None = None,
        elsewhere: Sequence[KnownMask] = (),
    ) -> ObjectResult:
        """Answer a prompt on its frame, at once and without following the object to it.

        Args:
            video, frame: where the prompt is.
            prompt: points or a box, without mask logits.
            before: (h, w) bool mask of the frame that the prompt corrects.
            shown: the earlier answer to the first clicks of the prompt, if there was one.
            elsewhere: settled masks of the object on other frames. An engine may use them to tell what a first click or
                a box means.

        Raises:
            ValueError: a prompt outside the frame.
        """
        ...

    def answers(
        self,
        video: Video,
        frame: int,
        prompt: Prompt,
        before: Tensor | None = None,
        elsewhere: Sequence[KnownMask] = (),
    ) -> list[ObjectResult]:
        """All candidates for a prompt, the best first. Arguments and errors as of `answer`."""
        ...

    def walk(
        self,
        video: Video,
        known: Mapping[int, Sequence[KnownMask]],
        frames: range,
        cuts: Sequence[int] = (),
    ) -> Iterator[dict[int, ObjectResult]]:
        """Follow objects along some frames, forward or backward, as far as the caller asks for the next frame.

        The results for a frame do not depend on how many more the caller asks for.

        Args:
            video: all frames.
            known: object id (1 or more) -> its masks on settled frames. The walk starts beside frame
                `frames.start - frames.step`, on which every object has a mask; an empty mask means absent. The masks
                on other frames also show what the object looks like.
            frames: to walk, of step 1 or -1.
            cuts: frames on which a new shot begins. Nothing is tracked across a cut: an object has to be
                found again there by its appearance, or it is absent.

        Returns:
            Per frame, in the order of `frames`, the result for every object.
        """
        ...
