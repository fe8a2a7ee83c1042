"""The mask methods by name: the baselines, and our own ways by the public calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import torch

from evaluation.mask_baselines import MASK_BASELINES, mask_of_prompt
from evaluation.mask_protocol import FirstPrompt, MaskMethod
from pointtrack.masks import Masks
from pointtrack.models.tracker import PointTracker
from pointtrack.models.zoo import load_tracker
from pointtrack.objects.follow import ObjectPrompt, follow_objects
from pointtrack.objects.prompts import GivenMask
from pointtrack.objects.propagate import propagate_masks, tracker_features
from pointtrack.segment.base import Prompt, Segmenter
from pointtrack.segment.zoo import load_segmenter
from pointtrack.types import Video


@cache
def _tracker() -> PointTracker:
    return load_tracker()


@cache
def _segmenter() -> Segmenter:
    return load_segmenter()


def memory(video: Video, prompts: Mapping[int, FirstPrompt]) -> Masks:
    """Masks alone, by space-time memory on the shipped tracker's features. Clicks become a mask by GrabCut."""
    given = {
        number: GivenMask(prompt.frame, torch.from_numpy(mask_of_prompt(video, prompt)))
        for number, prompt in prompts.items()
    }
    return propagate_masks(video, given, tracker_features(_tracker()))


def points(video: Video, prompts: Mapping[int, FirstPrompt]) -> Masks:
    """Points tracked from the first mask or clicks prompt the shipped segmenter, corrected by memory."""
    asked = {
        number: ObjectPrompt(prompt.frame, mask=torch.from_numpy(prompt.mask))
        if prompt.mask is not None
        else ObjectPrompt(prompt.frame, Prompt(prompt.points, prompt.labels))
        for number, prompt in prompts.items()
    }
    return follow_objects(video, asked, _tracker(), _segmenter())


MASK_METHODS: dict[str, MaskMethod] = {**MASK_BASELINES, "memory": memory, "points": points}


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
