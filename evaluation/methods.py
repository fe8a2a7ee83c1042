"""The methods by name: the baselines, and our own tracker by its public calls only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from evaluation.baselines import BASELINES, Method
from evaluation.metrics import QueryMode
from pointtrack.types import Queries, Tracks, Video

OWN = "pointtrack"


def build_methods(
    names: Sequence[str], tracker: str | None = None, mode: QueryMode = "first"
) -> dict[str, Method]:
    """Name -> callable (Video, Queries) -> Tracks.

    Args:
        names: of "pointtrack" and the baselines.
        tracker: which tracker "pointtrack" loads, a name or a checkpoint file; None for its default.
        mode: with "strided", pointtrack also tracks backward, as the frames before a query count there.

    Raises:
        ValueError: an unknown name.
    """
    known = [OWN, *BASELINES]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise ValueError(f"methods: expected some of {', '.join(known)}, got {', '.join(unknown) or 'none'}")
    return {name: _own_tracker(tracker, mode) if name == OWN else BASELINES[name] for name in names}


def both_ways(method: Method) -> Method:
    """A method that tracks forward only -> one that fills the frames before each query as well.

    It runs a second time on the reversed video.
    """

    def run(video: Video, queries: Queries) -> Tracks:
        forward = method(video, queries)
        reversed_video = Video(np.ascontiguousarray(video.frames[::-1]), fps=video.fps)
        last = len(video) - 1
        backward = method(reversed_video, Queries(last - queries.frame, queries.xy, queries.ids))
        before = torch.arange(len(video))[:, None] < queries.frame
        return replace(
            forward,
            xy=torch.where(before[..., None], backward.xy.flip(0), forward.xy),
            visibility=torch.where(before, backward.visibility.flip(0), forward.visibility),
            confidence=torch.where(before, backward.confidence.flip(0), forward.confidence),
        )

    return run


def _own_tracker(name: str | None, mode: QueryMode) -> Method:
    import pointtrack  # the models take long to import, and the baselines need none of them

    tracker = pointtrack.load_tracker() if name is None else pointtrack.load_tracker(name)

    def run(video: Video, queries: Queries) -> Tracks:
        return pointtrack.track(tracker, video, queries)

    return both_ways(run) if mode == "strided" else run
