"""Small things in large frames: points tracked inside crops that follow them, where they are seen larger.

A tracker shrinks every frame to one size; of a thing of 20 pixels in a frame of 1920 x 1080 it sees 8. Here it sees,
beside the whole frame, a crop around each group of points. Where a point is inside its crop, the crop's answer
is taken, otherwise the whole frame's.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from pointtrack.both_ways import flipped_queries, joined_both_ways, without
from pointtrack.models.tracker import PointTracker
from pointtrack.predict import Progress, StreamTracker, model_wh
from pointtrack.queries import support_queries
from pointtrack.region_camera import Camera, RegionStream
from pointtrack.types import Queries, Tracks, Video

logger = logging.getLogger(__name__)

MAGNIFIED = 3  # by default; measured in docs/regions.md
CANDIDATES = 1000  # points around which a group is looked for


@dataclass(frozen=True)
class RegionOptions:
    """Where regions lie, and how many there are.

    Attributes:
        wh: size of a region in pixels of the video; where None a third of the size at which the tracker sees frames, so
            that it sees them magnified three times. The smaller, the finer; but things move the more from frame to frame.
        box: x0, y0, x1, y1 in pixels: one region for the points inside it, of its size. Not together with `wh`.
        most: number of regions. Each takes somewhat longer than tracking the whole frame; points of smaller groups
            have none.
        every: frames between two looks at where a region has to go. Fast things need 1 or 2; more is faster.

    Raises:
        ValueError: a size, box or number that is not possible.
    """

    wh: tuple[int, int] | None = None
    box: tuple[int, int, int, int] | None = None
    most: int = 4
    every: int = 2

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
        if self.most < 1 or self.every < 1:
            raise ValueError(
                f"regions: expected most and every of 1 or more, got {self.most} and {self.every}"
            )

    @classmethod
    def parse(cls, text: str) -> RegionOptions:
        """Options from a text: auto, a size as in 384x216, or a box as in 100,50,484,266.

        Raises:
            ValueError: anything else.

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


class RegionTracker:
    """Tracks points through the whole frame and through regions at once; as `StreamTracker`, frames arrive in pieces.

    Memory does not grow with the video: a window of the frame and of every region. (For a tracker whose one window is
    the whole video it does, and every look of a region costs a pass over all frames so far.)

    Args:
        tracker: from `load_tracker`.
        queries: points with their frames, counted from the first frame pushed. A region is for points of one frame.
        image_wh: size of the frames as (width, height).
        fps: only noted in the tracks.
        options: size and number of the regions.
        support_grid: side of a grid of helper points, for the frame and for each region.

    Raises:
        ValueError: a query outside the image, or a region larger than the image.
    """

    def __init__(
        self,
        tracker: PointTracker,
        queries: Queries,
        image_wh: tuple[int, int],
        fps: float = 30.0,
        *,
        options: RegionOptions | None = None,
        support_grid: int = 5,
    ):
        options = options or RegionOptions()
        self.queries = queries
        helpers = support_queries(queries, image_wh, support_grid)
        self._whole = StreamTracker(tracker, Queries.concat([queries, helpers]), image_wh, fps)
        wh = _region_wh(tracker, self._whole.image_wh, options)
        self._regions = []
        for points in group_points(queries, wh, options):
            chosen = queries.select(points)
            region = RegionStream(
                tracker, chosen, _camera(chosen, wh, self._whole.image_wh, options), fps,
                support_grid=support_grid, every=options.every,
            )  # fmt: skip
            self._regions.append((points, region))
        sizes = [len(points) for points, _ in self._regions]
        logger.info(
            "regions: %d of %d x %d pixels with %s of %d points", len(sizes), *wh, sizes, len(queries)
        )
        # Rows that are final in one stream, and maybe not yet in another.
        self._rows = _nothing(queries, self._whole.image_wh, 0, fps)
        self._found = [
            _nothing(queries.select(points), self._whole.image_wh, region.first, fps)
            for points, region in self._regions
        ]

    @property
    def frames_pushed(self) -> int:
        """Number of frames taken in so far."""
        return self._whole.frames_pushed

    def push(self, frames: np.ndarray) -> Tracks:
        """Take in (t, h, w, 3) uint8 RGB frames (or a single (h, w, 3) one); return the frames now final.

        Raises:
            ValueError: another size or type than expected, or a stream that was finished.
        """
        for frame in frames if frames.ndim == 4 else frames[None]:
            number = self.frames_pushed
            self._keep(self._whole.push(frame))
            for i, (_, region) in enumerate(self._regions):
                if number >= region.first:
                    self._found[i] = Tracks.concat([self._found[i], region.push(frame)])
        return self._stitched()

    def finish(self) -> Tracks:
        """Everything that was not yet returned."""
        self._keep(self._whole.finish())
        for i, (_, region) in enumerate(self._regions):
            if region.first < self.frames_pushed:
                self._found[i] = Tracks.concat([self._found[i], region.finish()])
        return self._stitched()

    def _keep(self, rows: Tracks) -> None:
        """Note what the whole frame says, without the support points."""
        self._rows = Tracks.concat([self._rows, rows.select(slice(0, len(self.queries)))])

    def _stitched(self) -> Tracks:
        """The next rows that are final everywhere."""
        first = self._rows.first_frame
        count = min(rows.first_frame + len(rows) for rows in (self._rows, *self._found)) - first
        whole, self._rows = self._rows.clip(0, count), self._rows.clip(count)
        parts = {name: getattr(whole, name).clone() for name in ("xy", "visibility", "confidence")}
        for i, (points, _) in enumerate(self._regions):
            found = self._found[i]
            skipped = min(max(found.first_frame - first, 0), count)  # a region begins with its points
            own, self._found[i] = found.clip(0, count - skipped), found.clip(count - skipped)
            inside = own.tracked()
            for name, value in parts.items():
                where = inside if value.ndim == 2 else inside[..., None]
                value[skipped:, points] = torch.where(where, getattr(own, name), value[skipped:, points])
        return replace(whole, **parts)


def track_regions(
    tracker: PointTracker,
    video: Video,
    queries: Queries,
    *,
    options: RegionOptions | None = None,
    backward: bool = True,
    support_grid: int = 5,
    progress: Progress | None = None,
) -> Tracks:
    """Track points through a whole video, and small things through crops that follow them, at full resolution.

    For what is small in its frame: there `track` goes astray. Where things are large it gains nothing.

    Args:
        tracker: from `load_tracker`.
        video: the frames.
        queries: points with their frames. Neighbours on a frame share a region.
        options: size and number of the regions; by default `RegionOptions()`.
        backward, support_grid, progress: as in `track`.

    Returns:
        Tracks over all frames. A point that is outside its region, or has none, is where the whole frame says.

    Raises:
        ValueError: a query after the last frame or outside the image, or a region larger than the image.
    """
    queries.check_inside(len(video), video.wh)

    def one_way(frames: np.ndarray, points: Queries) -> Tracks:
        stream = RegionTracker(
            tracker, points, video.wh, video.fps, options=options, support_grid=support_grid
        )
        parts = []
        for frame in frames:
            parts.append(stream.push(frame))
            if progress is not None:
                progress(1)
        return Tracks.concat([*parts, stream.finish()])

    tracks = one_way(video.frames, queries)
    late, flipped = flipped_queries(queries)
    if backward and late:
        return joined_both_ways(tracks, one_way(video.frames[late::-1], flipped))
    # A tracker of one window answers for the frames before a point's own too.
    return without(tracks, torch.arange(len(tracks))[:, None] < queries.frame)


def group_points(queries: Queries, wh: tuple[int, int], options: RegionOptions) -> list[Tensor]:
    """Points that share a region: neighbours on a frame, the largest groups first.

    Args:
        queries: the points.
        wh: size of a region. A group keeps within the middle half of it, so that there is room around it.
        options: with a box, a group is all points of a frame inside it.

    Returns:
        (k,) places among the queries, per group.
    """
    left = torch.arange(len(queries))
    groups: list[Tensor] = []
    while len(left) and len(groups) < options.most:
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


def _region_wh(tracker: PointTracker, image_wh: tuple[int, int], options: RegionOptions) -> tuple[int, int]:
    """Size of the regions; ValueError where they are larger than the image."""
    if options.box is not None:
        x0, y0, x1, y1 = options.box
        if min(x0, y0) < 0 or x1 > image_wh[0] or y1 > image_wh[1]:
            raise ValueError(
                f"regions: expected a box inside the {image_wh[0]} x {image_wh[1]} image, got {options.box}"
            )
        return x1 - x0, y1 - y0
    if options.wh is None:
        return tuple(
            min(side // MAGNIFIED, whole)
            for side, whole in zip(model_wh(image_wh, tracker.config), image_wh, strict=True)
        )  # type: ignore[return-value]
    if options.wh[0] > image_wh[0] or options.wh[1] > image_wh[1]:
        raise ValueError(
            f"regions: expected a size within the {image_wh[0]} x {image_wh[1]} image, got {options.wh}"
        )
    return options.wh


def _camera(
    points: Queries, wh: tuple[int, int], image_wh: tuple[int, int], options: RegionOptions
) -> Camera:
    """On the box, or around the middle of the points."""
    if options.box is not None:
        return Camera(options.box[:2], wh, image_wh)
    middle = (points.xy.amin(dim=0) + points.xy.amax(dim=0)) / 2
    left, top = (middle - torch.tensor(wh) / 2).tolist()
    return Camera((left, top), wh, image_wh)


def _nothing(queries: Queries, wh: tuple[int, int], first_frame: int, fps: float) -> Tracks:
    """No rows."""
    empty = torch.zeros(0, len(queries))
    return Tracks(torch.zeros(0, len(queries), 2), empty, empty, queries, wh, first_frame, fps)
