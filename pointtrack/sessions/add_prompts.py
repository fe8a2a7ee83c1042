"""Adds the prompts of a command to a session, without those that it has already."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import torch

from pointtrack.objects.prompt_texts import ParsedPrompt, apply_prompts
from pointtrack.sessions.object_session import ObjectSession
from pointtrack.tracking.stream import Progress


def add_prompts(
    session: ObjectSession, prompts: Iterable[ParsedPrompt], progress: Progress | None = None
) -> None:
    """Give a session the prompts that it does not have yet, so that a command may be repeated; adds missing objects.

    Clicks beside an object alone correct its mask. So they come last, and the object is followed to their frames first.

    Args:
        session: the session.
        prompts: from `parse_prompts`.
        progress: as of `ObjectSession.propagate`.

    Raises:
        ValueError: as `ObjectSession.prompt` and `mark_absent`.
    """
    for given in sorted(prompts, key=lambda one: one.corrects):
        one = _new_part(session, given)
        if one is None:
            continue
        if one.object_id not in session.objects:
            session.add_object(object_id=one.object_id)
        unknown = one.corrects and session.mask(one.object_id, one.frame) is None
        if unknown and session.keyframes(one.object_id):
            session.propagate(one.frame, one.frame + 1, progress=progress)
        apply_prompts(session, [one])


def _new_part(session: ObjectSession, wanted: ParsedPrompt) -> ParsedPrompt | None:
    """The part of a prompt that its frame of the session does not have yet; None if it has all of it."""
    key = session.keyframe(wanted.object_id, wanted.frame) if wanted.object_id in session.objects else None
    if key is None:
        return wanted
    given = key.mask if key.base is None or key.followed else key.base  # clicks correct a given mask
    if wanted.absent:
        return wanted if given.any() else None
    if wanted.mask is not None:
        return None if torch.equal(given, wanted.mask) else wanted
    prompt = wanted.prompt()
    if prompt.box is not None and (key.box is None or not torch.equal(key.box, prompt.box)):
        return wanted  # another box replaces the earlier clicks
    there = [(*xy, label) for xy, label in zip(key.points.tolist(), key.labels.tolist(), strict=True)]
    rows = zip(prompt.points.tolist(), prompt.labels.tolist(), strict=True)
    new = [place for place, (xy, label) in enumerate(rows) if (*xy, label) not in there]
    if not new:
        return None
    points, labels = [wanted.points[i] for i in new], [wanted.labels[i] for i in new]
    return replace(wanted, points=points, labels=labels, box=None)
