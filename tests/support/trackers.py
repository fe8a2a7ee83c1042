"""Trackers made from the tiny one."""

from __future__ import annotations

from dataclasses import replace

from pointtrack.models.point_tracker import PointTracker


def variant(tracker: PointTracker, **window) -> PointTracker:
    """The same weights with another way of cutting windows."""
    config = replace(tracker.config, window=replace(tracker.config.window, **window))
    other = PointTracker(config)
    other.load_state_dict(tracker.state_dict(), strict=False)
    return other.eval().requires_grad_(False)
