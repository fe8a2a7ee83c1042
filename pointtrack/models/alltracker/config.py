"""Settings of AllTracker, and how its two published sizes differ."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pointtrack.config import WindowConfig

CELL = 8  # pixels per cell of the maps
CHANNELS = 128  # of everything after the encoder
# Sides are padded to multiples of this, as the coarsest of the compared maps has cells of half as many pixels.
PAD = 64
LEVELS, RADIUS = 5, 4  # number of compared maps, and cells around the estimate on each


@dataclass(frozen=True)
class AllTrackerConfig:
    """A whole AllTracker.

    Attributes:
        name, licence: shown when the model loads.
        encoder: "convnext", whose features are half for comparing and half context; "residual", whose features
            are both.
        input_wh, resize_rule: size that frames are first resized to, and what the resizing keeps in place.
        window: `length` frames, an even number, starting at the query frame; each next one starts `step` frames
            later, at most half the length. `iterations` are rounds of refinement.
    """

    name: str = "alltracker"
    licence: str = "MIT"
    encoder: Literal["convnext", "residual"] = "convnext"
    input_wh: tuple[int, int] = (512, 384)
    resize_rule: str = "plain"
    window: WindowConfig = field(
        default_factory=lambda: WindowConfig(length=16, step=8, iterations=4, start="repeat", hold=False)
    )

    def __post_init__(self) -> None:
        length, step = self.window.length, self.window.step
        if length is None or length < 2 or length % 2:
            raise ValueError(f"AllTracker window: expected an even number of frames, got {length}")
        if not 1 <= step <= length // 2:
            raise ValueError(f"AllTracker step: expected 1..{length // 2}, half a window, got {step}")


FULL = AllTrackerConfig()
TINY = AllTrackerConfig(name="alltracker-tiny", encoder="residual")
