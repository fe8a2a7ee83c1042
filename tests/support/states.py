"""Tracks with states, compared; and rules that believe everything."""

from __future__ import annotations

import torch

from pointtrack.states.rules import StateRules
from pointtrack.types import PointStates, Queries, Tracks
from pointtrack.types.point_states import BLANK

GENEROUS = StateRules(
    min_similarity=0.0, min_similarity_seen=0.0, min_cosine=0.0, reach=1.0, visible=0.0, unsure=0.0
)  # believes what a random tracker says
WH = (64, 48)


def some_states(frames=5, points=3, seed=0) -> PointStates:
    generator = torch.Generator().manual_seed(seed)
    return PointStates(
        torch.randint(0, 5, (frames, points), generator=generator),
        torch.rand(frames, points, generator=generator).masked_fill(torch.eye(frames, points) > 0, torch.nan),
        torch.randint(0, 3, (frames, points), generator=generator),
        torch.rand(frames, points, 2, generator=generator) * 40,
        torch.rand(frames, points, generator=generator),
    )


def some_tracks(frames=5, ids=(0, 1, 2), first=0, seed=0) -> Tracks:
    generator = torch.Generator().manual_seed(seed + 50)
    n = len(ids)
    return Tracks(
        torch.rand(frames, n, 2, generator=generator) * 40, torch.rand(frames, n, generator=generator),
        torch.rand(frames, n, generator=generator),
        Queries(torch.zeros(n), torch.full((n, 2), 5.0), torch.tensor(ids)), WH, first,
        states=some_states(frames, n, seed),
    )  # fmt: skip


def same_states(one: PointStates | None, other: PointStates | None) -> bool:
    assert one is not None
    assert other is not None
    return all(
        torch.equal(torch.nan_to_num(getattr(one, name), 9.0), torch.nan_to_num(getattr(other, name), 9.0))
        for name in BLANK
    )
