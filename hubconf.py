"""Entries for torch.hub, under the names that CoTracker's users know.

>>> model = torch.hub.load("OWNER/pointtrack", "cotracker3_offline")  # doctest: +SKIP
>>> tracks, visible = model(video, grid_size=10)  # doctest: +SKIP

`pretrained=False` gives the network before any training; nothing is downloaded then.

The `cotracker...` weights are not ours: CC BY-NC 4.0, no commercial use. `pointtrack_small` is, and comes along.
"""

from pointtrack.cotracker import CoTrackerOnlinePredictor, CoTrackerPredictor
from pointtrack.models.point_tracker import PointTracker
from pointtrack.models.published import PUBLISHED

dependencies = ["torch", "numpy", "einops", "safetensors", "huggingface_hub", "cv2", "av"]


def _network(name: str, pretrained: bool) -> PointTracker | str:
    """The name, whose weights are then loaded; or the network as it is before any training."""
    return name if pretrained else PointTracker(PUBLISHED[name].config).eval()


def cotracker2(*, pretrained: bool = True, checkpoint: str | None = None) -> CoTrackerPredictor:
    """CoTracker2 for whole videos; weights from the hub, or a local file of them."""
    return CoTrackerPredictor(checkpoint, tracker=_network("cotracker2", pretrained))


def cotracker2_online(*, pretrained: bool = True, checkpoint: str | None = None) -> CoTrackerOnlinePredictor:
    """CoTracker2 for streams."""
    return CoTrackerOnlinePredictor(checkpoint, tracker=_network("cotracker2", pretrained))


def cotracker2v1(*, pretrained: bool = True, checkpoint: str | None = None) -> CoTrackerPredictor:
    """CoTracker2.1 for whole videos."""
    return CoTrackerPredictor(checkpoint, tracker=_network("cotracker2.1", pretrained))


def cotracker2v1_online(
    *, pretrained: bool = True, checkpoint: str | None = None
) -> CoTrackerOnlinePredictor:
    """CoTracker2.1 for streams."""
    return CoTrackerOnlinePredictor(checkpoint, tracker=_network("cotracker2.1", pretrained))


def cotracker3_offline(*, pretrained: bool = True, checkpoint: str | None = None) -> CoTrackerPredictor:
    """CoTracker3 for whole videos."""
    return CoTrackerPredictor(checkpoint, tracker=_network("cotracker3-offline", pretrained))


def cotracker3_online(*, pretrained: bool = True, checkpoint: str | None = None) -> CoTrackerOnlinePredictor:
    """CoTracker3 for streams."""
    return CoTrackerOnlinePredictor(checkpoint, tracker=_network("cotracker3-online", pretrained))


def pointtrack_small() -> CoTrackerPredictor:
    """Our own small model, Apache-2.0, for whole videos; nothing is downloaded."""
    return CoTrackerPredictor(tracker="small")


def pointtrack_small_online() -> CoTrackerOnlinePredictor:
    """Our own small model for streams."""
    return CoTrackerOnlinePredictor(tracker="small")
