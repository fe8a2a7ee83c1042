"""Follow objects that were clicked, boxed or drawn on one frame: mask to points, points to tracks, tracks to masks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from pointtrack.masks import Masks
from pointtrack.models.tracker import PointTracker
from pointtrack.objects.densify import DensifyConfig, Progress, points_inside, segment_tracks
from pointtrack.objects.prompts import GivenMask
from pointtrack.predict import track
from pointtrack.segment.base import Prompt, Segmenter
from pointtrack.types import Queries, Video

INSIDE, AROUND = 16, 16  # points tracked on every object, and on the background close around it
BELT = 0.3  # width of that belt, in square roots of the object's area


@dataclass(frozen=True, eq=False)
class ObjectPrompt:
    """Where an object is on one frame.

    Args:
        frame: number of the frame.
        prompt: clicks or a box for the segmenter; or
        mask: (h, w) bool of the video's size, taken as it is.

    Raises:
        ValueError: neither or both of prompt and mask.
    """

    frame: int
    prompt: Prompt | None = None
    mask: Tensor | None = None

    def __post_init__(self) -> None:
        if (self.prompt is None) == (self.mask is None):
            raise ValueError("object prompt: expected either a prompt or a mask, got both or neither")


def follow_objects(
    video: Video,
    prompts: Mapping[int, ObjectPrompt],
    tracker: PointTracker,
    segmenter: Segmenter,
    *,
    config: DensifyConfig | None = None,
    progress: Progress | None = None,
) -> Masks:
    """Masks of objects on all frames from one prompt each.

    Args:
        video: the frames.
        prompts: object id (1 or more) -> where it is.
        tracker: from `load_tracker`.
        segmenter: from `load_segmenter`.
        config: how points become masks.
        progress: called with the number of frames segmented since the last call.

    Returns:
        Masks (t, o, h, w), objects in the order of their ids. On its own frame an object has the mask given, or what the segmenter
        makes of the prompt.

    Raises:
        ValueError: no object, an id below 1, a frame that the video does not have, a mask of another size, or a
            prompt in which the segmenter sees nothing.
    """
    if not prompts or min(prompts) < 1:
        raise ValueError(f"prompts: expected objects with ids from 1 on, got ids {sorted(prompts)}")
    first = {number: _first_mask(video, number, prompts[number], segmenter) for number in sorted(prompts)}
    frames, points, objects = [], [], []
    for number, start in first.items():
        frame = start.frame
        rest = [other.mask for n, other in first.items() if n != number and other.frame == frame]
        for owner, area in ((number, start.mask), (0, _belt(start.mask, rest))):
            if not area.any():
                continue
            xy = points_inside(area, INSIDE if owner else AROUND)
            points.append(xy)
            frames.append(torch.full((len(xy),), frame))
            objects.append(torch.full((len(xy),), owner))
    queries = Queries(torch.cat(frames), torch.cat(points))
    tracks = track(tracker, video, queries)
    return segment_tracks(
        video, tracks, segmenter,
        objects=torch.cat(objects), given=first, tracker=tracker, config=config, progress=progress,
    )  # fmt: skip


def _first_mask(video: Video, number: int, asked: ObjectPrompt, segmenter: Segmenter) -> GivenMask:
    """The mask of an object on the frame it is given on."""
    if asked.prompt is None:
        assert asked.mask is not None
        start = GivenMask(asked.frame, torch.as_tensor(asked.mask))
    else:
        if not 0 <= asked.frame < len(video):
            raise ValueError(f"object {number}: expected a frame in 0..{len(video) - 1}, got {asked.frame}")
        candidates = segmenter.decode(segmenter.encode(video.frames[asked.frame]), asked.prompt)
        mask = candidates.masks[candidates.best()].cpu()
        if not mask.any():
            raise ValueError(
                f"object {number}: expected something at the prompt on frame {asked.frame}, but the segmenter "
                "sees nothing there; click elsewhere, or more often"
            )
        start = GivenMask(asked.frame, mask)
    start.check(video, number)
    return start


def _belt(mask: Tensor, others: list[Tensor]) -> Tensor:
    """The background close around a mask: near it, but neither it, nor its outline, nor another object."""
    width = max(int(BELT * float(mask.sum()) ** 0.5), 4)
    picture = mask.numpy().astype(np.uint8)

    def grown(pixels: int) -> Tensor:
        return torch.from_numpy(cv2.dilate(picture, np.ones((2 * pixels + 1,) * 2, np.uint8)) > 0)

    belt = grown(width) & ~grown(max(width // 4, 2))
    for other in others:
        belt &= ~other
    return belt
