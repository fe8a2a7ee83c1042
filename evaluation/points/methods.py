"""The methods by name: the baselines, and pointtrack's own tracker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from evaluation.points.metrics import QueryMode
from evaluation.points.protocol import OWN_WAY, Protocol
from evaluation.points.run_tracker import AskedTracker
from pointtrack.tracking.classical import BASELINES, Method
from pointtrack.zoo import load_tracker

OWN = "pointtrack"


def build_methods(
    names: Sequence[str],
    tracker: str | None = None,
    mode: QueryMode = "first",
    iterations: int | None = None,
    protocol: Protocol = OWN_WAY,
    *,
    step: int | None = None,
    length: int | None = None,
    looks: int = 1,
) -> dict[str, Method]:
    """Name -> callable (Video, Queries) -> Tracks.

    Args:
        names: of "pointtrack" and the baselines.
        tracker: which tracker "pointtrack" loads, a name or a checkpoint file; None for its default.
        iterations: its rounds of refinement per window; None for the protocol's, or its own number.
        mode: with "strided", pointtrack also tracks backward, as the frames before a query count there.
        protocol: how to query pointtrack; "cotracker" never tracks backward.
        step: frames between the starts of its windows; None for its own number.
        length: frames per window; None for its choice with that step and these iterations.
        looks: 2 for two looks at every frame (`load_tracker`).

    Raises:
        ValueError: an unknown name, or a protocol that the tracker cannot follow.
    """
    known = [OWN, *BASELINES]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise ValueError(f"methods: expected some of {', '.join(known)}, got {', '.join(unknown) or 'none'}")
    return {
        name: _own_tracker(tracker, mode, iterations, protocol, step, length, looks)
        if name == OWN
        else BASELINES[name]
        for name in names
    }


def _own_tracker(
    name: str | None,
    mode: QueryMode,
    iterations: int | None,
    protocol: Protocol,
    step: int | None,
    length: int | None,
    looks: int,
) -> AskedTracker:
    if looks > 1 and not protocol.by_public_call:
        raise ValueError(
            f"looks: expected 1 with protocol {protocol.preset}, which queries the network directly, got {looks}"
        )
    rounds = protocol.iterations if iterations is None else iterations
    tracker = load_tracker(*([] if name is None else [name]), iterations=rounds, step=step, looks=looks)
    if length is not None:
        tracker.config = replace(tracker.config, window=replace(tracker.config.window, length=length))
    # In the query mode "first" no frame before a query counts, so half of the work can be saved.
    return AskedTracker.by(tracker, protocol, backward=mode == "strided")
