"""Turns a person's prompt for an object on a frame into a keyframe."""

from __future__ import annotations

import torch
from torch import Tensor

from pointtrack.objects.engine import Engine
from pointtrack.objects.point_prompts import Shown
from pointtrack.segment.base import Prompt
from pointtrack.sessions.keyframes import Keyframe, SessionObject
from pointtrack.types import Video


def answered(
    engine: Engine,
    video: Video,
    one: SessionObject,
    frame: int,
    requested: Prompt,
    found: Tensor | None,
    found_from: int,
) -> Keyframe:
    """Make the keyframe for a prompt, together with the earlier clicks on the frame.

    Args:
        engine: answers the prompt.
        video: the frames.
        one: the object.
        frame: on which it is prompted.
        requested: clicks or a box.
        found: (h, w) bool, the computed mask of the object there, which clicks correct, empty if it was not found; or
            None. On the frame of a keyframe, its mask with what other keyframes corrected in it.
        found_from: 1 or -1 if that mask comes from following the object forward or backward in time.

    Returns:
        The keyframe, with serial 0.

    Raises:
        ValueError: the segmenter finds nothing there, or all clicks are beside an object without a mask there.
    """
    key, shown = one.key(frame), None
    if requested.box is not None or (key is not None and not key.mask.any()):
        base, points, labels, box = None, requested.points, requested.labels, requested.box
        followed = 0
    elif key is not None:
        base, box, followed = key.base, key.box, key.followed
        current = key.mask if found is None else found
        # Where other keyframes corrected the mask, asking for the box would undo that.
        if not torch.equal(current, key.mask):
            base, box = current, None
        elif not len(key.points) and box is None:  # the clicks correct a given mask
            base = current
        shown = Shown(len(key.points), current)
        points, labels = torch.cat([key.points, requested.points]), torch.cat([key.labels, requested.labels])
    else:
        base = found
        points, labels, box = requested.points, requested.labels, None
        followed = 0 if base is None else found_from
    nothing = base is None or not base.any()
    if box is None and nothing and not labels.any():
        raise ValueError(
            f"object {one.id}: expected a click on the object, or a box, as nothing is known of it on frame {frame}; "
            "got clicks beside it alone"
        )
    requested, corrects = Prompt(points, labels, box), None if nothing else base
    answer = engine.answer(video, frame, requested, corrects, shown, one.elsewhere(frame))
    if not answer.mask.any():
        raise ValueError(
            f"object {one.id}: expected something at the prompt on frame {frame}, but the segmenter sees nothing "
            "there; click elsewhere, or more often, or mark the object as absent"
        )
    return Keyframe(frame, 0, answer.mask, points, labels, box, base, followed, answer.score)
