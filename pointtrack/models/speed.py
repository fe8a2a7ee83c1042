"""Three ways to trade time for exactness, as options of a loaded tracker."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pointtrack.config import InferenceOptions

SPEEDS = ("fast", "balanced", "exact")
FAST_AREA = 512 * 288  # pixels that frames are resized to at most
EXACT_ROUNDS = 2  # additional rounds of refinement


def options_at(options: InferenceOptions, config: Any, speed: str, wh: tuple[int, int]) -> InferenceOptions:
    """The options of a tracker for a speed.

    Args:
        options: those it was loaded with.
        config: the network's own.
        speed: "fast": one round of refinement, frames of at most 512 x 288 pixels and never enlarged; "balanced":
            unchanged; "exact": ours sees every frame twice (`tracking/looks.py`), others refine two more rounds.
        wh: size of the video as (width, height).

    Raises:
        ValueError: another speed.
    """
    if speed not in SPEEDS:
        raise ValueError(f"speed: expected one of {', '.join(SPEEDS)}, got {speed!r}")
    running = options.applied_to(config)
    rounds = running.window.iterations
    if speed == "balanced":
        return options
    if speed == "exact" and running.window.start == "match":
        return replace(options, looks=2)
    if speed == "exact":
        return replace(options, iterations=rounds + EXACT_ROUNDS)
    if getattr(running, "input_wh", None) is not None:  # it takes frames of one size
        return replace(options, iterations=min(rounds, 1))
    area = min(running.input_area, FAST_AREA, wh[0] * wh[1])
    return replace(options, iterations=min(rounds, 1), input_area=area)
