"""Tracking backward: the same tracking through reversed frames, put in front of what was tracked forward."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from pointtrack.types import Queries, Tracks


def flipped_queries(queries: Queries) -> tuple[int, Queries]:
    """Points that have frames before theirs, as points of the reversed frames `frames[late::-1]`.

    Returns:
        `late`, the last frame that a point is asked for on, and the points after frame 0, ids kept, with frames
        counted from it backward. 0 and no points where all are on frame 0.

    >>> late, points = flipped_queries(Queries([0, 4, 7], [[1, 1], [2, 2], [3, 3]]))
    >>> late, points.frame.tolist(), points.ids.tolist()
    (7, [3, 0], [1, 2])
    """
    later = queries.select(queries.frame > 0)
    late = int(later.frame.max()) if len(later) else 0
    return late, Queries(late - later.frame, later.xy, later.ids)


def joined_both_ways(ahead: Tracks, back: Tracks) -> Tracks:
    """Tracks with what was tracked backward put in front of the points' own frames.

    Args:
        ahead: of all points, over all frames.
        back: of those with a frame after 0, in the same order, over the reversed frames from the last query frame to 0.
    """
    count = len(back)
    later = ahead.queries.frame > 0
    before = torch.arange(count)[:, None] < ahead.queries.frame[later]
    parts = {}
    for name in ("xy", "visibility", "confidence"):
        value = getattr(ahead, name).clone()
        where = before if value.ndim == 2 else before[..., None]
        value[:count, later] = torch.where(where, getattr(back, name).flip(0), value[:count, later])
        parts[name] = value
    return replace(ahead, **parts)


def without(tracks: Tracks, where: Tensor) -> Tracks:
    """The same tracks, with nothing known where (t, n) bool `where` says so."""
    return replace(
        tracks,
        xy=tracks.xy.masked_fill(where[..., None], torch.nan),
        visibility=tracks.visibility.masked_fill(where, 0.0),
        confidence=tracks.confidence.masked_fill(where, 0.0),
    )
