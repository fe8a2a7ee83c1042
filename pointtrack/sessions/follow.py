"""Follows objects from one prompt each: a session in one call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pointtrack.models.point_tracker import PointTracker, network_of
from pointtrack.objects.answer import ObjectOptions
from pointtrack.objects.point_engine import PointEngine
from pointtrack.objects.prompt_texts import Told, tell
from pointtrack.segment.base import Prompt, Segmenter
from pointtrack.sessions.object_session import ObjectSession
from pointtrack.tracker import Tracker
from pointtrack.tracking.stream import Progress
from pointtrack.types import Video
from pointtrack.types.masks import Masks


@dataclass(frozen=True, eq=False)
class ObjectPrompt:
    """A prompt for an object on one frame.

    Args:
        frame: number of the frame.
        prompt: clicks or a box for the segmenter; or
        mask: (h, w) bool of the video's size, taken as it is.

    Raises:
        ValueError: neither or both of prompt and mask are given.
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
    tracker: Tracker | PointTracker,
    segmenter: Segmenter,
    *,
    config: ObjectOptions | None = None,
    progress: Progress | None = None,
) -> Masks:
    """Follow objects through all frames from one prompt each; use `ObjectSession` to correct masks.

    Args:
        video: the frames.
        prompts: object id (1 or more) -> its prompt.
        tracker: a `Tracker`, or a loaded network.
        segmenter: from `load_segmenter`.
        config: how points become masks.
        progress: as of `ObjectSession.propagate`.

    Returns:
        Masks (t, o, h, w), objects in the order of their ids; objects may overlap. On its prompted frame an object has
        the given mask, or the segmenter's answer to the prompt.

    Raises:
        ValueError: no object, an id below 1, a frame that the video does not have, a mask of another size, or a
            prompt at which the segmenter finds nothing.
    """
    if not prompts or min(prompts) < 1:
        raise ValueError(f"prompts: expected objects with ids from 1 on, got ids {sorted(prompts)}")
    engine = PointEngine(network_of(tracker), segmenter, config)
    session = ObjectSession(video, engine=engine, exclusive=False)
    for number in sorted(prompts):
        requested = prompts[number]
        session.add_object(object_id=number)
        if requested.prompt is None:
            session.prompt(number, requested.frame, mask=requested.mask)
        else:
            prompt = requested.prompt
            session.prompt(
                number, requested.frame, points=prompt.points, labels=prompt.labels, box=prompt.box
            )
    return session.propagate(progress=progress)


def say_all(session: ObjectSession, told: Iterable[Told], progress: Progress | None = None) -> None:
    """Pass parsed prompts to a session, and add the objects that it does not have yet.

    What the session was told before is not said again, so that a command may be repeated. Clicks beside an object alone correct its mask, so they come last, and the object is followed to their frames first;
    `progress` is as of `ObjectSession.propagate`.

    Raises:
        ValueError: as `ObjectSession.prompt` and `mark_absent`.
    """
    for given in sorted(told, key=lambda one: one.corrects):
        one = _unsaid(session, given)
        if one is None:
            continue
        if one.object_id not in session.objects:
            session.add_object(object_id=one.object_id)
        unknown = one.corrects and session.mask(one.object_id, one.frame) is None
        if unknown and session.keyframes(one.object_id):
            session.propagate(one.frame, one.frame + 1, progress=progress)
        tell(session, [one])


def _unsaid(session: ObjectSession, told: Told) -> Told | None:
    """What of a prompt its frame of the session does not have yet; None if it has all of it."""
    key = session.keyframe(told.object_id, told.frame) if told.object_id in session.objects else None
    if key is None:
        return told
    given = key.mask if key.base is None or key.followed else key.base  # clicks correct a given mask
    if told.absent:
        return told if given.any() else None
    if told.mask is not None:
        return None if torch.equal(given, told.mask) else told
    said = told.prompt()
    if said.box is not None and (key.box is None or not torch.equal(key.box, said.box)):
        return told  # another box replaces the clicks of before
    there = [(*xy, label) for xy, label in zip(key.points.tolist(), key.labels.tolist(), strict=True)]
    rows = zip(said.points.tolist(), said.labels.tolist(), strict=True)
    new = [place for place, (xy, label) in enumerate(rows) if (*xy, label) not in there]
    if not new:
        return None
    return replace(told, points=[told.points[i] for i in new], labels=[told.labels[i] for i in new], box=None)
