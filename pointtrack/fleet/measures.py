"""Numbers for each video that tell good results from bad ones without looking at them."""

from __future__ import annotations

from typing import Any

import torch

from pointtrack.types import Masks, Tracks
from pointtrack.types.point_states import PointState

JUMP = 0.1  # of the image's diagonal, between two frames that follow each other


def track_measures(tracks: Tracks) -> dict[str, Any]:
    """Of tracks.

    - share_visible: of all points and frames on which they are tracked, how many are visible.
    - share_lost: how many are lost, where states were asked for.
    - mean_confidence: over the same.
    - jumps: how often a point that is visible on two frames that follow each other is more than a tenth of the diagonal
      further. A cut makes many.
    """
    tracked = tracks.tracked()
    count = int(tracked.sum())
    visible = tracks.visible() & tracked
    diagonal = float(torch.tensor(tracks.wh, dtype=torch.float64).norm())
    steps = (tracks.xy[1:] - tracks.xy[:-1]).norm(dim=-1)
    jumps = (steps > JUMP * diagonal) & visible[1:] & visible[:-1]
    return {
        "points": len(tracks.ids),
        "share_visible": int(visible.sum()) / count if count else None,
        "share_lost": None
        if tracks.states is None or not count
        else int((tracks.states.state == int(PointState.LOST)).sum()) / count,
        "mean_confidence": float(tracks.confidence[tracked].double().mean()) if count else None,
        "jumps": int(jumps.sum()),
    }


def mask_measures(masks: Masks) -> dict[str, Any]:
    """Of masks.

    - objects: how many.
    - mask_present: on how many frames an object is there, as a share, over all objects.
    - mask_area: of the image that an object takes where it is there, mean.
    - mask_score: its mean score there.
    """
    present = masks.present()
    count = int(present.sum())
    area = sum(
        float(frame.sum()) for frame in masks.masks
    )  # frame by frame: never a copy of all in another type
    return {
        "objects": len(masks.object_ids),
        "mask_present": float(present.double().mean()) if present.numel() else None,
        "mask_area": area / (count * masks.wh[0] * masks.wh[1]) if count else None,
        "mask_score": float(masks.scores[present].double().mean()) if count else None,
    }
