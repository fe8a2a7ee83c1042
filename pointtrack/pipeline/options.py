"""How points are tracked, whatever the frames come from and wherever the tracks go."""

from __future__ import annotations

from dataclasses import dataclass

from pointtrack.regions.placement import RegionOptions
from pointtrack.states.stream import StateOptions


@dataclass(frozen=True)
class TrackOptions:
    """Which stages there are between frames and tracks.

    Attributes:
        states: say of every point and frame what became of it, in this way; None for no states.
        regions: follow small things in crops of the full-resolution frame too, in this way; None for no crops.
        smooth: even out final positions over so many frames on each side; 0 for not.
        support_grid: side of a grid of helper points that is tracked along, and left out of the answer; 0 for none. They
            tell the tracker how the rest of the scene moves.
        backward: also track every point from its own frame back to the first one.

    Raises:
        ValueError: a negative number.
    """

    states: StateOptions | None = None
    regions: RegionOptions | None = None
    smooth: int = 0
    support_grid: int = 5
    backward: bool = True

    def __post_init__(self) -> None:
        for name in ("smooth", "support_grid"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: expected 0 or more, got {getattr(self, name)}")
