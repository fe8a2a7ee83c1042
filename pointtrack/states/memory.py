"""The memory of points while their states are determined, frame by frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from pointtrack.states.redetect import Redetection
from pointtrack.states.rules import StateMachine, StateRules
from pointtrack.types import Queries

ROWS = ("appearance", "names", "starts", "times_redetected")  # tensors with a row for every point


@dataclass
class PointMemory:
    """The memory of n points so far.

    Attributes:
        queries: the points.
        machine: determines their states.
        appearance: (n, v, c, 9) of the queries, from `PointStream.appearance`.
        names: (n,) ids under which the stream tracks them now.
        starts: (n,) first frame on which it tracks them under this id.
        times_redetected: (n,) how often they were found again.
    """

    queries: Queries
    machine: StateMachine
    appearance: Tensor
    names: Tensor
    starts: Tensor
    times_redetected: Tensor

    @classmethod
    def fresh(
        cls, queries: Queries, image_wh: tuple[int, int], rules: StateRules, shape: tuple[int, int, int]
    ) -> PointMemory:
        """An empty memory of points whose appearance has this shape (v, c, 9)."""
        n = len(queries)
        machine, appearance = StateMachine(n, image_wh, rules), torch.zeros(n, *shape)
        nothing = torch.zeros(n, dtype=torch.int64)
        return cls(queries, machine, appearance, queries.ids.clone(), queries.frame.clone(), nothing)

    @property
    def requested(self) -> Tensor:
        """(n,) bool: the requested points; the others are support points."""
        return ~self.queries.support

    @classmethod
    def concat(cls, parts: Sequence[PointMemory]) -> PointMemory:
        """The points of all parts, in order; all parts are at the same frame."""
        joined = [torch.cat([getattr(part, name) for part in parts]) for name in ROWS]
        queries = Queries.concat([part.queries for part in parts])
        return cls(queries, StateMachine.concat([part.machine for part in parts]), *joined)

    def select(self, chosen: Tensor) -> PointMemory:
        """Keep only the points (n,) bool."""
        left = [getattr(self, name)[chosen] for name in ROWS]
        return PointMemory(self.queries.select(chosen), self.machine.select(chosen), *left)

    def follow(self, find: Redetection) -> None:
        """Switch a point to the track that the stream starts where the point was found again."""
        point = self.queries.ids == find.id
        self.names[point], self.starts[point] = find.name, find.frame
        self.times_redetected[point] += 1

    def state_dict(self) -> dict[str, Any]:
        """All that `from_state_dict` needs, as tensors and plain values."""
        machine = {name: value.clone() for name, value in self.machine.tensors().items()}
        kept = {name: getattr(self, name).clone() for name in ROWS}
        about = {"wh": self.machine.wh, "rules": asdict(self.machine.rules)}
        return {"queries": asdict(self.queries), "judge": machine, **kept, **about}

    @classmethod
    def from_state_dict(cls, state: dict[str, Any]) -> PointMemory:
        """The memory as it was when `state` was taken."""
        machine = StateMachine.from_tensors(state["judge"], tuple(state["wh"]), StateRules(**state["rules"]))
        kept = [state[name].clone() for name in ROWS]
        return cls(Queries(**state["queries"]), machine, *kept)
