"""The methods by name: the baselines, and our own tracker by its public calls only."""

from __future__ import annotations

from collections.abc import Sequence

from evaluation.baselines import BASELINES, Method
from evaluation.metrics import QueryMode

OWN = "pointtrack"


def build_methods(
    names: Sequence[str],
    tracker: str | None = None,
    mode: QueryMode = "first",
    iterations: int | None = None,
) -> dict[str, Method]:
    """Name -> callable (Video, Queries) -> Tracks.

    Args:
        names: of "pointtrack" and the baselines.
        tracker: which tracker "pointtrack" loads, a name or a checkpoint file; None for its default.
        iterations: its rounds of refinement per window; None for its own number.
        mode: with "strided", pointtrack also tracks backward, as the frames before a query count there.

    Raises:
        ValueError: an unknown name.
    """
    known = [OWN, *BASELINES]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise ValueError(f"methods: expected some of {', '.join(known)}, got {', '.join(unknown) or 'none'}")
    return {
        name: _own_tracker(tracker, mode, iterations) if name == OWN else BASELINES[name] for name in names
    }


def _own_tracker(name: str | None, mode: QueryMode, iterations: int | None) -> Method:
    import pointtrack  # the models take long to import, and the baselines need none of them

    tracker = pointtrack.load_tracker(*([] if name is None else [name]), iterations=iterations)
    # In the query mode "first" no frame before a query counts: half of the work can be saved.
    return lambda video, queries: pointtrack.track(tracker, video, queries, backward=mode == "strided")
