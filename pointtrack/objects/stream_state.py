"""The parts of an `ObjectStream`'s state, and the check whether a stream can continue from one."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from torch import nn

from pointtrack.io.same_run import differences
from pointtrack.models.about import about_network, weights_digest
from pointtrack.models.point_tracker import PointTracker
from pointtrack.objects.answer import ObjectOptions
from pointtrack.objects.engine import ObjectResult
from pointtrack.objects.quality import Signs
from pointtrack.segment.base import Segmenter

KIND = "ObjectStream, format 1"


def about_objects(tracker: PointTracker, segmenter: Segmenter, config: ObjectOptions) -> dict[str, str]:
    """The networks and options that must be the same for a stream to continue."""
    network = getattr(segmenter, "network", getattr(segmenter, "model", None))
    weights = f", weights {weights_digest(network)}" if isinstance(network, nn.Module) else ""
    return {
        "kind": KIND,
        **about_network(tracker),
        "segmenter": f"{segmenter.name}{weights}",
        "options": json.dumps(asdict(config), default=str),
    }


def check_state(state: Any, about: dict[str, str]) -> None:
    """Raise ValueError unless a stream with the settings `about` can continue from a state."""
    known = state.get("about") if isinstance(state, dict) else None
    kind = known.get("kind", "another kind of run") if isinstance(known, dict) else type(state).__name__
    if kind != KIND:
        raise ValueError(
            f"state: expected one of {KIND}, got one of {kind}; pass what ObjectStream.state_dict gave"
        )
    assert isinstance(known, dict)
    words = differences(known, about)
    if words:
        raise ValueError(
            f"state: expected one of a stream with the same networks and settings, got other ones: {'; '.join(words)}; "
            "make the stream as before, or begin anew"
        )


def found_state(found: dict[int, ObjectResult]) -> dict[int, dict[str, Any]]:
    """The results for objects on a frame, as tensors and plain values."""
    return {number: asdict(one) for number, one in found.items()}


def found_from_state(state: dict[int, dict[str, Any]]) -> dict[int, ObjectResult]:
    """The inverse of `found_state`."""
    return {
        number: ObjectResult(**{**one, "signs": one["signs"] and Signs(**one["signs"])})
        for number, one in state.items()
    }
