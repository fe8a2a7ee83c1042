"""Groups of points that are tracked together, with everything needed to continue them later."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from torch import Tensor

from pointtrack.models.point_tracker import PointTracker
from pointtrack.models.window import Estimate
from pointtrack.models.window_loop import TrackedWindow, WindowLoop
from pointtrack.types import Queries


@dataclass
class PointGroup:
    """Points that are tracked together, independently of the points of other groups.

    Attributes:
        queries: the points of the group that were not removed.
        places: (k,) their indices among the points of the loop.
        loop: tracks them.
        last: the newest window of the loop.
    """

    queries: Queries
    places: Tensor
    loop: WindowLoop
    last: TrackedWindow | None = None

    def keep(self, windows: list[TrackedWindow]) -> list[TrackedWindow]:
        """Keep the newest of some windows as `last`, and return all of them."""
        self.last = windows[-1] if windows else self.last
        return windows

    def state_dict(self) -> dict[str, Any]:
        """Everything that `from_state_dict` needs, as tensors and plain values."""
        last = self.last and asdict(replace(self.last, estimates=self.last.estimates[-1:]))
        return {
            "queries": asdict(self.queries),
            "places": self.places,
            "loop": self.loop.state_dict(),
            "last": last,
        }

    @classmethod
    def from_state_dict(cls, tracker: PointTracker, state: dict[str, Any]) -> PointGroup:
        """The group as it was when `state` was saved."""
        last = state["last"]
        if last is not None:
            last = TrackedWindow(**{**last, "estimates": [Estimate(**part) for part in last["estimates"]]})
        loop = tracker.loop.from_state_dict(tracker, state["loop"])
        return cls(Queries(**state["queries"]), state["places"].cpu(), loop, last)
