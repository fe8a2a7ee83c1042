"""Searches whole frames for lost points: by appearance, in both directions, and by where their neighbours are found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from pointtrack.tracking.appearance import read_appearance, search


@dataclass(frozen=True)
class RedetectionRules:
    """When a lost point counts as found again.

    Args:
        every: frames from one search to the next.
        min_similarity: least similarity of a place to the query, a cosine.
        margin: by how much its similarity must exceed that of any other place, if no neighbours support it.
        back_cells: how many cells from the query a search back on the query frame may end.
        neighbours: number of points, the nearest on the query frame, that may support a place.
        agreeing: how many of them must have moved alike.
        stretch: share of the distance between two points by which their moves may differ.

    Raises:
        ValueError: a number is out of range.
    """

    every: int = 4
    min_similarity: float = 0.8
    margin: float = 0.05
    back_cells: float = 1.5
    neighbours: int = 8
    agreeing: int = 2
    stretch: float = 0.35

    def __post_init__(self) -> None:
        for name, least in (
            ("every", 1),
            ("neighbours", 1),
            ("agreeing", 1),
            ("back_cells", 0),
            ("stretch", 0),
        ):
            if not getattr(self, name) >= least:
                raise ValueError(f"redetection {name}: expected {least} or more, got {getattr(self, name)}")


@dataclass(frozen=True)
class Redetection:
    """A lost point that was found again.

    Attributes:
        id: id of the point.
        frame: number of the frame.
        xy: (x, y) in pixels.
        score: similarity of the place to the query, at most 1.
        name: the id under which the stream tracks it from there on.
    """

    id: int
    frame: int
    xy: tuple[float, float]
    score: float
    name: int


@dataclass(frozen=True, eq=False)
class QueryMaps:
    """Features of the query frames, for the search back.

    Attributes:
        cells: (n, 2) positions of the queries on them.
        frame: (n,) the query frames.
        maps: frame -> (c, h, w) unit cells; must include the query frames of all points searched for.
        rules: when a place counts as the point.
    """

    cells: Tensor
    frame: Tensor
    maps: Mapping[int, Tensor]
    rules: RedetectionRules = RedetectionRules()

    def lead_back(self, which: Tensor, appearance: Tensor) -> Tensor:
        """(k,) bool: a search for (k, c, 9) appearances on the query frames of points (k,) ends at their queries."""
        back = torch.full((len(which), 2), torch.nan)
        for frame in self.frame[which].unique().tolist():
            here = self.frame[which] == frame
            back[here] = search(self.maps[frame], appearance[here]).cells
        return (back - self.cells[which]).abs().amax(dim=-1) <= self.rules.back_cells


def find_again(
    level: Tensor, appearance: Tensor, which: Tensor, queries: QueryMaps
) -> tuple[Tensor, Tensor, Tensor]:
    """Search a frame for points.

    Args:
        level: (c, h, w) unit cells of the frame.
        appearance: (n, c, 9) of the queries of all points.
        which: (k,) points to search for.
        queries: their query frames.

    Returns:
        (j,) the points found, (j, 2) their cells in whole numbers, and (j,) scores.
    """
    match, rules = search(level, appearance[which]), queries.rules
    alike = match.score >= rules.min_similarity
    which, cells, score, rival = which[alike], match.cells[alike], match.score[alike], match.rival[alike]
    if not len(which):
        return which, cells, score
    sure = queries.lead_back(which, read_appearance(level, cells))
    which, cells, score, rival = which[sure], cells[sure], score[sure], rival[sure]
    if len(which) > rules.agreeing:
        trusted = agreeing(queries.cells[which], cells, rules) >= rules.agreeing
    else:
        trusted = score - rival >= rules.margin
    return which[trusted], cells[trusted], score[trusted]


def agreeing(before: Tensor, after: Tensor, rules: RedetectionRules | None = None) -> Tensor:
    """(n,) how many of each point's nearest neighbours moved as it did, from (n, 2) to (n, 2) cells."""
    apart = torch.cdist(before, before).fill_diagonal_(torch.inf)
    rules = rules or RedetectionRules()
    near = apart.topk(min(rules.neighbours, len(before) - 1), dim=1, largest=False)
    way = after - before
    differing = (way[near.indices] - way[:, None]).norm(dim=-1)
    return (differing <= rules.stretch * near.values + 1).sum(dim=1)  # one cell more, as cells are whole ones
