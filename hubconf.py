"""Entries for torch.hub, under the names that CoTracker's users know.

>>> model = torch.hub.load("OWNER/pointtrack", "cotracker3_offline")  # doctest: +SKIP
>>> tracks, visible = model(video, grid_size=10)  # doctest: +SKIP

The `cotracker...` weights are not ours: CC BY-NC 4.0, no commercial use. `pointtrack_small` is, and comes along.
"""

from pointtrack.cotracker import CoTrackerOnlinePredictor, CoTrackerPredictor

dependencies = ["torch", "numpy", "einops", "safetensors", "huggingface_hub", "cv2", "av"]


def cotracker2(*, checkpoint: str | None = None) -> CoTrackerPredictor:
    """CoTracker2 for whole videos; weights from the hub, or a local file of them."""
    return CoTrackerPredictor(checkpoint, tracker="cotracker2")


def cotracker2_online(*, checkpoint: str | None = None) -> CoTrackerOnlinePredictor:
    """CoTracker2 for streams."""
    return CoTrackerOnlinePredictor(checkpoint, tracker="cotracker2")


def cotracker2v1(*, checkpoint: str | None = None) -> CoTrackerPredictor:
    """CoTracker2.1 for whole videos."""
    return CoTrackerPredictor(checkpoint, tracker="cotracker2.1")


def cotracker2v1_online(*, checkpoint: str | None = None) -> CoTrackerOnlinePredictor:
    """CoTracker2.1 for streams."""
    return CoTrackerOnlinePredictor(checkpoint, tracker="cotracker2.1")


def cotracker3_offline(*, checkpoint: str | None = None) -> CoTrackerPredictor:
    """CoTracker3 for whole videos."""
    return CoTrackerPredictor(checkpoint, tracker="cotracker3-offline")


def cotracker3_online(*, checkpoint: str | None = None) -> CoTrackerOnlinePredictor:
    """CoTracker3 for streams."""
    return CoTrackerOnlinePredictor(checkpoint, tracker="cotracker3-online")


def pointtrack_small() -> CoTrackerPredictor:
    """Our own small model, Apache-2.0, for whole videos; nothing is downloaded."""
    return CoTrackerPredictor(tracker="small")


def pointtrack_small_online() -> CoTrackerOnlinePredictor:
    """Our own small model for streams."""
    return CoTrackerOnlinePredictor(tracker="small")
