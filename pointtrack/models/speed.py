"""Three ways to trade time for exactness, as settings of a loaded tracker."""

from __future__ import annotations

from dataclasses import replace

from pointtrack.config import TrackerConfig

SPEEDS = ("fast", "balanced", "exact")
FAST_AREA = 512 * 288  # pixels that frames are resized to at most
EXACT_ROUNDS = 2  # of refinement, more than the model's own


def config_at(config: TrackerConfig, speed: str, wh: tuple[int, int]) -> TrackerConfig:
    """The settings.

    Args:
        config: of the model.
        speed: "fast": one round of refinement, frames of at most 512 x 288 pixels, and never larger than they are;
            "balanced": as the model was made; "exact": two rounds more.
        wh: size of the video as (width, height).

    Raises:
        ValueError: another speed.
    """
    if speed not in SPEEDS:
        raise ValueError(f"speed: expected one of {', '.join(SPEEDS)}, got {speed!r}")
    rounds = config.window.iterations
    if speed == "balanced":
        return config
    if speed == "exact":
        return replace(config, window=replace(config.window, iterations=rounds + EXACT_ROUNDS))
    area = min(config.input_area, FAST_AREA, wh[0] * wh[1])
    return replace(config, input_area=area, window=replace(config.window, iterations=min(rounds, 1)))
