"""Settings of LocoTrack, and what tells its two published sizes apart."""

from __future__ import annotations

from dataclasses import dataclass

# Sizes inside the network count on an image of 256 x 256, whatever the size of the frames.
UNIT = 256
# Radius in cells of the patch around the query, and of that around the estimate.
RADIUS = 3
PATCH = 2 * RADIUS + 1
# Channels of the three maps that points are compared on: at a quarter, an eighth and a half of the frame.
MAP_CHANNELS = (128, 256, 64)


@dataclass(frozen=True)
class LocoTrackConfig:
    """A whole LocoTrack.

    Attributes:
        name, licence: shown when the model loads.
        width, heads, depth: of the transformer over time.
        correlation: convolutions that digest the products of two patches, as (kernel, stride, channels).
        iterations: rounds of refinement.
        input_wh: size that frames are resized to before all else.
        length: frames of the chunks in which a long video is tracked; None takes it whole.
        overlap: frames that two chunks share.
    """

    name: str = "locotrack-small"
    licence: str = "Apache-2.0"
    width: int = 256
    heads: int = 4
    depth: int = 3
    correlation: tuple[tuple[int, int, int], ...] = ((5, 4, 64), (2, 2, 128))
    iterations: int = 4
    input_wh: tuple[int, int] = (256, 256)
    length: int | None = 64
    overlap: int = 32

    def __post_init__(self) -> None:
        if self.heads % 2 or self.width % self.heads:
            raise ValueError(
                f"LocoTrack heads: expected an even number that divides the width {self.width}, got {self.heads}"
            )
        if self.length is not None and not 0 <= self.overlap < self.length:
            raise ValueError(f"LocoTrack overlap: expected 0..{self.length - 1}, got {self.overlap}")


SMALL = LocoTrackConfig()
BASE = LocoTrackConfig(
    name="locotrack-base", width=384, heads=6, correlation=((3, 2, 64), (3, 2, 128), (2, 2, 128))
)
