"""Numbers for each video that show whether its results are good or bad, without looking at them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from pointtrack.types import Masks, Tracks
from pointtrack.types.point_states import PointState

JUMP = 0.1  # share of the image's diagonal, between consecutive frames


def track_measures(pieces: Iterable[Tracks]) -> dict[str, Any]:
    """Measure tracks, which come in consecutive pieces.

    - share_visible: share of all tracked points and frames on which the point is visible.
    - share_lost: share on which it is lost, if the tracks have states.
    - mean_confidence: mean over all tracked points and frames.
    - jumps: how often a point, visible on two consecutive frames, moves by more than a tenth of the diagonal
      between them. A cut makes many.
    """
    points = count = seen = lost = jumps = 0
    confidence, states = 0.0, True
    before: Tracks | None = None
    for rows in pieces:
        tracked = rows.tracked()
        points, count = len(rows.ids), count + int(tracked.sum())
        seen += int((rows.visible() & tracked).sum())
        confidence += float(rows.confidence[tracked].double().sum())
        states = states and rows.states is not None
        if rows.states is not None:
            lost += int((rows.states.state == int(PointState.LOST)).sum())
        jumps += _jumps(rows if before is None else Tracks.concat([before, rows]))
        before = rows.clip(len(rows) - 1)
    return {
        "points": points,
        "share_visible": seen / count if count else None,
        "share_lost": lost / count if states and count else None,
        "mean_confidence": confidence / count if count else None,
        "jumps": jumps,
    }


def _jumps(tracks: Tracks) -> int:
    visible = tracks.visible() & tracks.tracked()
    diagonal = float(torch.tensor(tracks.wh, dtype=torch.float64).norm())
    steps = (tracks.xy[1:] - tracks.xy[:-1]).norm(dim=-1)
    return int(((steps > JUMP * diagonal) & visible[1:] & visible[:-1]).sum())


def mask_measures(masks: Masks) -> dict[str, Any]:
    """Measure masks.

    - objects: number of objects.
    - mask_present: share of frames on which an object is present, over all objects.
    - mask_area: mean share of the image that an object takes where it is present.
    - mask_score: mean score where an object is present.
    """
    present = masks.present()
    count = int(present.sum())
    # Frame by frame, to avoid a copy of all masks in another type.
    area = sum(float(frame.sum()) for frame in masks.masks)
    return {
        "objects": len(masks.object_ids),
        "mask_present": float(present.double().mean()) if present.numel() else None,
        "mask_area": area / (count * masks.wh[0] * masks.wh[1]) if count else None,
        "mask_score": float(masks.scores[present].double().mean()) if count else None,
    }
