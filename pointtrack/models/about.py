"""Describes a network in a few words, which saved runs hold, so that a run resumes only with the same network."""

from __future__ import annotations

import json
import zlib

from torch import nn

from pointtrack.config import to_dict
from pointtrack.models.point_tracker import PointTracker


def weights_digest(network: nn.Module) -> str:
    """Checksum of the weights as eight hex digits, the same on every device."""
    digest = 0
    for value in network.state_dict().values():
        digest = zlib.crc32(value.detach().cpu().contiguous().float().numpy().tobytes(), digest)
    return f"{digest:08x}"


def about_network(network: PointTracker) -> dict[str, str]:
    """The properties of a tracker that must not change for a run to resume."""
    settings = to_dict(network.config) | {"inference": to_dict(network.inference)}
    return {
        "tracker": f"{network.config.name}, weights {weights_digest(network)}",
        "settings of the tracker": json.dumps(settings),
    }
