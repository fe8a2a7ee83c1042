"""Families of networks that track points: how to recognise their files, and where to find the published ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from pointtrack.config import TrackerConfig
from pointtrack.models import published
from pointtrack.models.alltracker import weights as alltracker
from pointtrack.models.alltracker.config import FULL, TINY, AllTrackerConfig
from pointtrack.models.alltracker.network import AllTracker
from pointtrack.models.locotrack import weights as locotrack
from pointtrack.models.locotrack.config import BASE, SMALL, LocoTrackConfig
from pointtrack.models.locotrack.network import LocoTrack
from pointtrack.models.point_tracker import PointTracker
from pointtrack.models.published import Published
from pointtrack.models.tracking_network import TrackingNetwork


@dataclass(frozen=True)
class Family:
    """Networks of one architecture.

    Attributes:
        config: class of their configs.
        network: builds a network from a config.
        recognise: tensors of a file -> config of the published network they belong to, or None.
        from_published: tensors of a published file, a network and the path -> the network's state dict.
    """

    config: type[Any]
    network: Callable[[Any], TrackingNetwork]
    recognise: Callable[[Mapping[str, Tensor]], Any]
    from_published: Callable[[Mapping[str, Tensor], Any, str | Path], dict[str, Tensor]]


# Keyed by the family name in our own files.
FAMILIES: dict[str, Family] = {
    "point_tracker": Family(TrackerConfig, PointTracker, published.recognise, published.from_published),
    "locotrack": Family(LocoTrackConfig, LocoTrack, locotrack.recognise, locotrack.from_published),
    "alltracker": Family(AllTrackerConfig, AllTracker, alltracker.recognise, alltracker.from_published),
}

LOCOTRACK = "hamacojr/LocoTrack-pytorch-weights"
ALLTRACKER = "aharley/alltracker"
LOCOTRACK_TERMS = (
    "code under Apache-2.0; of the weights no licence is stated in the repository: see their page, "
    "https://huggingface.co/datasets/hamacojr/LocoTrack-pytorch-weights"
)
ALLTRACKER_TERMS = (
    "code under MIT; the weights under MIT by their page on the hub, while the authors' demonstration there states "
    "CC-BY-NC-4.0; some of the training data is for research only"
)

PUBLISHED: dict[str, Published] = {
    **published.PUBLISHED,
    "locotrack-small": Published(
        SMALL, LOCOTRACK, "locotrack_small.ckpt", repo_type="dataset", terms=LOCOTRACK_TERMS, megabytes=33
    ),
    "locotrack-base": Published(
        BASE, LOCOTRACK, "locotrack_base.ckpt", repo_type="dataset", terms=LOCOTRACK_TERMS, megabytes=46.1
    ),
    "alltracker-tiny": Published(
        TINY, ALLTRACKER, "alltracker_tiny.pth", "43991b4fc", terms=ALLTRACKER_TERMS, megabytes=25.2
    ),
    "alltracker": Published(
        FULL, ALLTRACKER, "alltracker.pth", "ffd9ebcfb6d2", terms=ALLTRACKER_TERMS, megabytes=66
    ),
}


def family_of(config: Any) -> str:
    """Name of the family that a config belongs to."""
    return next(name for name, family in FAMILIES.items() if type(config) is family.config)


def recognise(tensors: Mapping[str, Tensor]) -> Any:
    """The config of the published network that a file's tensors belong to, or None."""
    found = (family.recognise(tensors) for family in FAMILIES.values())
    return next((config for config in found if config is not None), None)


def terms_of(name: str) -> str | None:
    """The stated licence terms of a published network, if one word is not enough. `name` is the config's."""
    return next((row.terms for row in PUBLISHED.values() if row.config.name == name), None)
