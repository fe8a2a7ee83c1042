"""Settings of LocoTrack, and how its two published sizes differ."""

from __future__ import annotations

from dataclasses import dataclass, field

from pointtrack.config import WindowConfig

# Sizes inside the network refer to an image of 256 x 256, whatever the size of the frames.
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
        kernels, strides, channels: of the convolutions over the products of two patches.
        input_wh, resize_rule: size that frames are first resized to, and what the resizing keeps in place.
        window: a long video is tracked in chunks of `length` frames; each chunk takes over from the previous one in the
            middle of their shared frames (`context`). None takes the whole video at once. Every chunk compares with the
            appearance of the points at their queries, so errors do not add up. `iterations` are rounds of refinement.
    """

    name: str = "locotrack-small"
    licence: str = "Apache-2.0"
    width: int = 256
    heads: int = 4
    depth: int = 3
    kernels: tuple[int, ...] = (5, 2)
    strides: tuple[int, ...] = (4, 2)
    channels: tuple[int, ...] = (64, 128)
    input_wh: tuple[int, int] = (256, 256)
    resize_rule: str = "plain"
    window: WindowConfig = field(
        default_factory=lambda: WindowConfig(
            length=48, step=24, context=12, iterations=4, start="repeat", hold=False
        )
    )

    def __post_init__(self) -> None:
        if self.heads % 2 or self.width % self.heads:
            raise ValueError(
                f"LocoTrack heads: expected an even number that divides the width {self.width}, got {self.heads}"
            )


SMALL = LocoTrackConfig()
BASE = LocoTrackConfig(
    name="locotrack-base", width=384, heads=6, kernels=(3, 3, 2), strides=(2, 2, 2), channels=(64, 128, 128)
)
