"""Settings of AllTracker, and what tells its two published sizes apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

CELL = 8  # pixels per cell of the maps
CHANNELS = 128  # of everything behind the encoder
# Sides are padded to multiples of this, as the coarsest of the compared maps has cells of half as many pixels.
PAD = 64
LEVELS, RADIUS = 5, 4  # maps that are compared, and cells around the estimate on each


@dataclass(frozen=True)
class AllTrackerConfig:
    """A whole AllTracker.

    Attributes:
        name, licence: shown when the model loads.
        encoder: "convnext", whose features are half for comparing and half context; "residual", whose features
            are both.
        iterations: rounds of refinement per window.
        length: frames per window; an even number.
        step: frames by which the window moves on, at most half of its length.
        input_wh: size that frames are resized to before all else.
    """

    name: str = "alltracker"
    licence: str = "MIT"
    encoder: Literal["convnext", "residual"] = "convnext"
    iterations: int = 4
    length: int = 16
    step: int = 8
    input_wh: tuple[int, int] = (512, 384)

    def __post_init__(self) -> None:
        if self.length < 2 or self.length % 2:
            raise ValueError(f"AllTracker length: expected an even number of frames, got {self.length}")
        if not 1 <= self.step <= self.length // 2:
            raise ValueError(f"AllTracker step: expected 1..{self.length // 2}, got {self.step}")


FULL = AllTrackerConfig()
TINY = AllTrackerConfig(name="alltracker-tiny", encoder="residual")
