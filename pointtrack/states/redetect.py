"""Lost points searched for over whole frames: by their looks, there and back, and by where their neighbours are found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from pointtrack.tracking.appearance import read_appearance, search

SCORE = 0.8  # likeness that a find needs
MARGIN = 0.05  # by which it must be more alike than any other place, where no neighbours speak for it
BACK = 1.5  # cells that a search back on the query's frame may end beside the query
NEIGHBOURS = 8  # points nearest on the query's frame that may speak for a find
AGREEING = 2  # of them that must have moved alike
STRETCH = 0.35  # of the distance of two points: by so much may their moves differ


@dataclass(frozen=True)
class Redetection:
    """A lost point that was found again.

    Attributes:
        id: of the point.
        frame: number of the frame.
        xy: (x, y) in pixels.
        score: how alike the place is to that of the query, at most 1.
        name: the id by which the stream follows it from there on.
    """

    id: int
    frame: int
    xy: tuple[float, float]
    score: float
    name: int


@dataclass(frozen=True, eq=False)
class QueryMaps:
    """Features of the frames that points were asked for on, to search back on.

    Attributes:
        cells: (n, 2) where the queries are on them.
        frame: (n,) which.
        maps: frame -> (c, h, w) unit cells; of points that are searched for theirs must be there.
    """

    cells: Tensor
    frame: Tensor
    maps: Mapping[int, Tensor]

    def lead_back(self, which: Tensor, appearance: Tensor) -> Tensor:
        """(k,) bool: a search for (k, c, 9) looks on the query frames of points (k,) ends where these were asked for."""
        back = torch.full((len(which), 2), torch.nan)
        for frame in self.frame[which].unique().tolist():
            here = self.frame[which] == frame
            back[here] = search(self.maps[frame], appearance[here]).cells
        return (back - self.cells[which]).abs().amax(dim=-1) <= BACK


def find_again(
    level: Tensor, appearance: Tensor, which: Tensor, queries: QueryMaps
) -> tuple[Tensor, Tensor, Tensor]:
    """Search a frame for points.

    Args:
        level: (c, h, w) unit cells of the frame.
        looks: (n, c, 9) of the queries of all points.
        which: (k,) points that are searched for.
        queries: the frames that they were asked for on.

    Returns:
        (j,) those that are found, (j, 2) cells, whole ones, and (j,) scores.
    """
    match = search(level, appearance[which])
    alike = match.score >= SCORE
    which, cells, score, rival = which[alike], match.cells[alike], match.score[alike], match.rival[alike]
    if not len(which):
        return which, cells, score
    sure = queries.lead_back(which, read_appearance(level, cells))
    which, cells, score, rival = which[sure], cells[sure], score[sure], rival[sure]
    if len(which) > AGREEING:
        trusted = agreeing(queries.cells[which], cells) >= AGREEING
    else:
        trusted = score - rival >= MARGIN
    return which[trusted], cells[trusted], score[trusted]


def agreeing(before: Tensor, after: Tensor) -> Tensor:
    """How many of each point's nearest neighbours moved as it did, from (n, 2) to (n, 2) cells: (n,)."""
    apart = torch.cdist(before, before).fill_diagonal_(torch.inf)
    near = apart.topk(min(NEIGHBOURS, len(before) - 1), dim=1, largest=False)
    way = after - before
    differing = (way[near.indices] - way[:, None]).norm(dim=-1)
    return (differing <= STRETCH * near.values + 1).sum(dim=1)  # a cell more, as they are whole ones
