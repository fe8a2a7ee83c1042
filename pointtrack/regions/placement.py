"""Placement of the regions of `RegionStream`: which points share one, how large it is, where its crop begins."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pointtrack.models.point_tracker import PointTracker
from pointtrack.regions.crop import Camera
from pointtrack.tracking.window_stream import model_wh
from pointtrack.types import Queries

MAGNIFIED = 3  # default magnification; measured in docs/guides/regions.md
CANDIDATES = 1000  # points around which groups are searched for


@dataclass(frozen=True)
class RegionOptions:
    """Where regions lie, and how many there are.

    Attributes:
        wh: size of a region in pixels of the video. None takes a third of the size at which the tracker sees frames, so
            that it sees the region magnified three times. Smaller regions show finer detail, but things then move further
            from frame to frame.
        box: x0, y0, x1, y1 in pixels: one region of this size for the points inside the box. Excludes `wh`.
        max_regions: largest number of regions. Each takes somewhat longer than tracking the whole frame. The largest groups
            of points get one; the others get none.
        update_interval: frames between two updates of where a region goes. Fast things need 1 or 2; more is faster.

    Raises:
        ValueError: a size, box or number is not possible.
    """

    wh: tuple[int, int] | None = None
    box: tuple[int, int, int, int] | None = None
    max_regions: int = 4
    update_interval: int = 2

    def __post_init__(self) -> None:
        if self.wh is not None and self.box is not None:
            raise ValueError("regions: expected wh or box, got both")
        if self.wh is not None and (len(self.wh) != 2 or min(self.wh) < 2):
            raise ValueError(f"regions: expected wh as (width, height) of 2 pixels or more, got {self.wh}")
        if self.box is not None and (
            len(self.box) != 4 or self.box[2] - self.box[0] < 2 or self.box[3] - self.box[1] < 2
        ):
            raise ValueError(
                f"regions: expected box as (x0, y0, x1, y1) with x0 < x1 and y0 < y1, got {self.box}"
            )
        if self.max_regions < 1 or self.update_interval < 1:
            raise ValueError(
                f"regions: expected max_regions and update_interval of 1 or more, got {self.max_regions} and {self.update_interval}"
            )

    @classmethod
    def parse(cls, text: str) -> RegionOptions:
        """Options from a text: auto, a size as in 384x216, or a box as in 100,50,484,266.

        Raises:
            ValueError: the text is anything else.

        >>> RegionOptions.parse("384x216").wh
        (384, 216)
        """
        if text == "auto":
            return cls()
        for separator, name in (("x", "wh"), (",", "box")):
            numbers = text.split(separator)
            if len(numbers) == {"wh": 2, "box": 4}[name] and all(
                number.strip().isdigit() for number in numbers
            ):
                return cls(**{name: tuple(map(int, numbers))})  # type: ignore[arg-type]
        raise ValueError(
            f"regions: expected auto, a size as 384x216 or a box as 100,50,484,266, got {text!r}"
        )


def group_points(queries: Queries, wh: tuple[int, int], options: RegionOptions) -> list[Tensor]:
    """Group the points that share a region: neighbours on a frame, the largest groups first.

    Args:
        queries: the points.
        wh: size of a region. A group stays within its middle half, which leaves room around it.
        options: with a box, a group is all points of a frame inside it.

    Returns:
        (k,) indices into the queries, per group.
    """
    left = torch.arange(len(queries))
    groups: list[Tensor] = []
    while len(left) and len(groups) < options.max_regions:
        chosen = queries.select(left)
        if options.box is not None:
            low, high = torch.tensor(options.box).float().split(2)
            inside = ((chosen.xy >= low) & (chosen.xy <= high - 1)).all(dim=-1)
            around = inside & inside[:, None] & (chosen.frame == chosen.frame[:, None])
        else:
            some = slice(None, None, -(-len(left) // CANDIDATES))
            away = (chosen.xy - chosen.xy[some, None]).abs()
            around = (away <= torch.tensor(wh) / 4).all(dim=-1) & (chosen.frame == chosen.frame[some, None])
        best = around[around.sum(dim=1).argmax()]
        if not bool(best.any()):
            break
        groups.append(left[best])
        left = left[~best]
    return groups


def region_wh(tracker: PointTracker, image_wh: tuple[int, int], options: RegionOptions) -> tuple[int, int]:
    """Size of the regions. Raises ValueError if they are larger than the image."""
    if options.box is not None:
        x0, y0, x1, y1 = options.box
        if min(x0, y0) < 0 or x1 > image_wh[0] or y1 > image_wh[1]:
            raise ValueError(
                f"regions: expected a box inside the {image_wh[0]} x {image_wh[1]} image, got {options.box}"
            )
        return x1 - x0, y1 - y0
    if options.wh is None:
        seen = model_wh(image_wh, tracker.config)
        return min(seen[0] // MAGNIFIED, image_wh[0]), min(seen[1] // MAGNIFIED, image_wh[1])
    if options.wh[0] > image_wh[0] or options.wh[1] > image_wh[1]:
        raise ValueError(
            f"regions: expected a size within the {image_wh[0]} x {image_wh[1]} image, got {options.wh}"
        )
    return options.wh


def first_camera(
    points: Queries, wh: tuple[int, int], image_wh: tuple[int, int], options: RegionOptions
) -> Camera:
    """A camera on the box, or around the middle of the points."""
    if options.box is not None:
        return Camera(options.box[:2], wh, image_wh)
    middle = (points.xy.amin(dim=0) + points.xy.amax(dim=0)) / 2
    left, top = (middle - torch.tensor(wh) / 2).tolist()
    return Camera((left, top), wh, image_wh)
