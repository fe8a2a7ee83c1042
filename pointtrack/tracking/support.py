"""Support points: tracked along with the queries to improve their tracks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pointtrack.geometry import grid_points
from pointtrack.models.point_tracker import PointTracker
from pointtrack.models.tracking_network import TrackingNetwork
from pointtrack.tracking.stream import WrappingStream, restored, saved, stage
from pointtrack.types import Queries, Tracks


def support_queries(
    queries: Queries,
    wh: tuple[int, int],
    global_size: int = 5,
    local_size: int = 0,
    local_extent: float = 50.0,
) -> Queries:
    """Points to track along with the queries to improve their tracks; drop them from the result.

    Args:
        queries: the requested points.
        wh: size of the video as (width, height) in pixels.
        global_size: points per side of a grid over the whole image, on frame 0; 0 for none.
        local_size: points per side of a grid around every query point, on its frame; 0 for none.
        local_extent: width and height of a local grid in pixels.

    Returns:
        `Queries` marked as `support`, with the ids -1, -2, ..., which never clash with those of the queries (if the
        queries have negative ids themselves, counting starts below the lowest). Positions are clamped into the image.
        May be empty.

    Raises:
        ValueError: a negative size, or an extent that is not positive.
    """
    if min(global_size, local_size) < 0:
        raise ValueError(f"support grids: expected sizes of 0 or more, got {global_size} and {local_size}")
    if not local_extent > 0:
        raise ValueError(f"local_extent: expected a positive number of pixels, got {local_extent}")
    frames, points = [torch.zeros(0, dtype=torch.int64)], [torch.zeros(0, 2)]
    if global_size:
        grid = grid_points(global_size, wh)
        frames.append(torch.zeros(len(grid), dtype=torch.int64))
        points.append(grid)
    if local_size:
        offsets = _square_grid(local_size, local_extent)
        frames.append(queries.frame.repeat_interleave(len(offsets)))
        points.append((queries.xy[:, None] + offsets).reshape(-1, 2))
    frame, xy = torch.cat(frames), torch.cat(points)
    xy = torch.minimum(xy.clamp(min=0), torch.tensor([wh[0] - 1.0, wh[1] - 1.0]))
    lowest = min([0, *queries.ids.tolist()])
    names = lowest - 1 - torch.arange(len(xy))
    return Queries(frame, xy, names, support=torch.ones(len(xy)))


def with_support(
    network: TrackingNetwork,
    queries: Queries,
    wh: tuple[int, int],
    global_size: int = 5,
    local_size: int = 0,
) -> Queries:
    """The points, followed by `support_queries` if the network uses support points."""
    if not network.uses_support:
        return queries
    return Queries.concat([queries, support_queries(queries, wh, global_size, local_size)])


def named_apart(groups: Sequence[Queries]) -> list[Queries]:
    """The same groups of points, with ids of support points that are distinct across groups."""
    named, lowest = [], 0
    for group in groups:
        ids = torch.where(group.support, lowest - group.support.cumsum(0), group.ids)
        lowest = min([lowest, *ids.tolist()])
        named.append(replace(group, ids=ids))
    return named


def _square_grid(size: int, extent: float) -> Tensor:
    """(size * size, 2) offsets around (0, 0), from -extent / 2 to extent / 2."""
    side = torch.linspace(-extent / 2, extent / 2, size) if size > 1 else torch.zeros(1)
    y, x = torch.meshgrid(side, side, indexing="ij")
    return torch.stack([x, y], dim=-1).reshape(-1, 2)


@stage
class RequestedStream(WrappingStream):
    """The outermost stage: it passes on the requested points and leaves out the support points."""

    @property
    def queries(self) -> Queries:
        """The points tracked now, in the order of the tracks."""
        return self.inner.queries.requested()

    def push(self, frames: np.ndarray | Tensor) -> Tracks:
        """As `PointStream.push`."""
        return self.inner.push(frames).requested()

    def preview(self) -> Tracks:
        """As `PointStream.preview`."""
        return self.inner.preview().requested()

    def finish(self) -> Tracks:
        """As `PointStream.finish`."""
        return self.inner.finish().requested()

    def add(self, queries: Queries) -> Tracks:
        """As `PointStream.add`; support points may be among them."""
        return self.inner.add(queries).requested()

    def remove(self, ids: Tensor | Sequence[int]) -> None:
        """As `PointStream.remove`."""
        self.inner.remove(self.queries.known_ids(ids, "remove"))

    def state_dict(self) -> dict[str, Any]:
        """As `PointStream.state_dict`."""
        return {"inner": saved(self.inner)}

    @classmethod
    def from_state_dict(cls, network: PointTracker, state: dict[str, Any]) -> RequestedStream:
        """The stream as it was when its state was saved, on the same network."""
        return cls(restored(network, state["inner"]))
