"""The mask methods by name: the baselines, and pointtrack's own methods through public calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import torch

from evaluation.masks.baselines import MASK_BASELINES, mask_of_prompt
from evaluation.masks.clicks import Click
from evaluation.masks.protocol import FirstPrompt, MaskMethod
from pointtrack.models.point_tracker import PointTracker
from pointtrack.objects.memory_only import propagate_masks, tracker_features
from pointtrack.objects.point_prompts import KnownMask
from pointtrack.segment.base import Segmenter
from pointtrack.segment.zoo import load_segmenter
from pointtrack.sessions.object_session import ObjectSession
from pointtrack.types import Video
from pointtrack.types.masks import Masks
from pointtrack.zoo import load_tracker


@cache
def _tracker(looks: int = 1) -> PointTracker:
    return load_tracker(looks=looks)


@cache
def _segmenter() -> Segmenter:
    return load_segmenter()


def memory(video: Video, prompts: Mapping[int, FirstPrompt]) -> Masks:
    """Masks alone, by space-time memory on the shipped tracker's features. Clicks become a mask by GrabCut."""
    given = {
        number: KnownMask(prompt.frame, torch.from_numpy(mask_of_prompt(video, prompt)))
        for number, prompt in prompts.items()
    }
    return propagate_masks(video, given, tracker_features(_tracker()))


class PointsSession:
    """pointtrack's `ObjectSession` as a method that takes clicks on any frame; see `protocol.MaskSession`.

    Args:
        video: the frames.
    """

    looks = 1

    def __init__(self, video: Video) -> None:
        self.session = ObjectSession(video, tracker=_tracker(self.looks), segmenter=_segmenter())

    def tell(self, object_id: int, prompt: FirstPrompt) -> None:
        """Take a mask or all clicks on one frame."""
        self._known(object_id)
        if prompt.mask is not None:
            self.session.prompt(object_id, prompt.frame, mask=torch.from_numpy(prompt.mask))
            return
        assert prompt.points is not None and prompt.labels is not None  # the prompt checks this
        for point, label in zip(prompt.points, prompt.labels, strict=True):  # one by one, as people click
            self.session.prompt(object_id, prompt.frame, points=point[None], labels=label[None])

    def click(self, object_id: int, frame: int, clicks: Sequence[Click]) -> None:
        """Take a click, the last of those on its frame."""
        self._known(object_id)
        last = clicks[-1]
        self.session.prompt(object_id, frame, points=[[last.x, last.y]], labels=[last.positive])

    def masks(self) -> Masks:
        """All frames."""
        return self.session.propagate()

    def _known(self, object_id: int) -> None:
        if object_id not in self.session.objects:
            self.session.add_object(object_id=object_id)


class PointsSeenTwice(PointsSession):
    """The same with two looks at every frame (`pointtrack segment --speed exact`)."""

    looks = 2


def points(video: Video, prompts: Mapping[int, FirstPrompt]) -> Masks:
    """Prompt the shipped segmenter with points tracked from the first mask or clicks, corrected by memory."""
    return _told(PointsSession(video), prompts)


def points_seen_twice(video: Video, prompts: Mapping[int, FirstPrompt]) -> Masks:
    """The same with two looks at every frame."""
    return _told(PointsSeenTwice(video), prompts)


def _told(session: PointsSession, prompts: Mapping[int, FirstPrompt]) -> Masks:
    for number, prompt in prompts.items():
        session.tell(number, prompt)
    return session.masks()


MASK_METHODS: dict[str, MaskMethod] = {
    **MASK_BASELINES,
    "memory": memory,
    "points": points,
    "points-exact": points_seen_twice,
}
MASK_SESSIONS = {"points": PointsSession, "points-exact": PointsSeenTwice}


def build_mask_methods(names: Sequence[str]) -> dict[str, MaskMethod]:
    """Name -> callable (Video, {object id: FirstPrompt}) -> Masks.

    Raises:
        ValueError: an unknown name, or none.
    """
    unknown = [name for name in names if name not in MASK_METHODS]
    if unknown or not names:
        raise ValueError(
            f"methods: expected some of {', '.join(MASK_METHODS)}, got {', '.join(unknown) or 'none'}"
        )
    return {name: MASK_METHODS[name] for name in names}
