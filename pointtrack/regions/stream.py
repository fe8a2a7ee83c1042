"""Small things in large frames: points tracked inside crops that follow them, where they are seen larger.

A tracker shrinks every frame to one size; of a thing of 20 pixels in a frame of 1920 x 1080 it sees 8. Here it sees,
beside the whole frame, a crop around each group of points. Where a point is inside its crop, the crop's answer
is taken, otherwise the whole frame's.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pointtrack.models.point_tracker import PointTracker
from pointtrack.regions.crop import RegionStream
from pointtrack.regions.placement import RegionOptions, first_camera, group_points, region_wh
from pointtrack.tracking.backward import flipped_queries, joined_both_ways, without
from pointtrack.tracking.support import support_queries
from pointtrack.tracking.window_stream import Progress, StreamTracker
from pointtrack.types import Queries, Tracks, Video

logger = logging.getLogger(__name__)


@dataclass
class _Region:
    """What tracks in a crop.

    Attributes:
        stream: does it.
        ids: of those of its points that are still wanted.
        found: its rows, of all its points, that are final here, but maybe not in every other region.
    """

    stream: RegionStream
    ids: Tensor
    found: Tracks


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
        keeps_frames: keep the pixels of the frames that are not final, so that points can be added on them. Without,
            points can be added on frames that did not come yet.

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
        keeps_frames: bool = True,
    ):
        self._options, self._support_grid = options or RegionOptions(), support_grid
        helpers = support_queries(queries, image_wh, support_grid)
        self._helpers = helpers.ids
        self._whole = StreamTracker(tracker, Queries.concat([queries, helpers]), image_wh, fps)
        self._region_wh = region_wh(tracker, self._whole.image_wh, self._options)
        self._rows = self._blank(queries, 0)  # final for the whole frame, but maybe not in every region
        self._frames: deque[np.ndarray] | None = deque() if keeps_frames else None  # that are not final
        self._regions: list[_Region] = []
        self._regions = self._opened(queries)

    @property
    def queries(self) -> Queries:
        """The points that are tracked now, in the order of the tracks."""
        return self._rows.queries

    @property
    def frames_pushed(self) -> int:
        """Number of frames taken in so far."""
        return self._whole.frames_pushed

    @property
    def lag(self) -> int:
        """Number of frames pushed of which no final answer was given yet."""
        return self.frames_pushed - self._rows.first_frame

    @property
    def earliest_frame(self) -> int:
        """The first frame on which points can still be added."""
        return self.frames_pushed - len(self._frames or ())

    def push(self, frames: np.ndarray) -> Tracks:
        """Take in (t, h, w, 3) uint8 RGB frames (or a single (h, w, 3) one); return the frames now final.

        Raises:
            ValueError: another size or type than expected, or a stream that was finished.
        """
        for frame in frames if frames.ndim == 4 else frames[None]:
            number = self.frames_pushed
            self._keep(self._whole.push(frame))
            for region in self._regions:
                if number >= region.stream.first:
                    region.found = Tracks.concat([region.found, region.stream.push(frame)])
            if self._frames is not None:
                self._frames.append(np.array(frame))  # a copy, as a camera may use its memory again
                while self.earliest_frame < self._final():
                    self._frames.popleft()
        return self._stitched()

    def finish(self) -> Tracks:
        """Everything that was not yet returned."""
        self._keep(self._whole.finish())
        for region in self._regions:
            if region.stream.first < self.frames_pushed:
                region.found = Tracks.concat([region.found, region.stream.finish()])
        return self._stitched()

    def add(self, queries: Queries) -> None:
        """Track more points from now on; the tracks of the others stay the same exactly.

        They get regions of their own, the same as if they had been asked for from the start, as long as there are fewer than
        `RegionOptions.max_regions`. The pieces that `push` returns have them behind the others.

        Args:
            queries: on the frame `earliest` or later, with ids that no other point has or had.

        Raises:
            ValueError: a frame before `earliest`, a point outside the image, an id that is taken, or a stream that was
                finished.
        """
        if len(queries) and int(queries.frame.min()) < self.earliest_frame:
            raise ValueError(
                f"RegionTracker: expected points on frame {self.earliest_frame} or later, got frame "
                f"{int(queries.frame.min())}; the frames before are gone"
            )
        late = self._whole.add(queries)
        everyone = Queries.concat([self.queries, queries])
        both = self._blank(everyone, self._rows.first_frame, len(self._rows))
        self._rows = _laid_over(_laid_over(both, self._rows), late)
        self._regions += self._opened(queries)

    def remove(self, ids: Tensor | Sequence[int]) -> None:
        """Stop to track some points; the tracks of the others stay the same exactly.

        So a region goes on with all its points, until none of them is wanted. Then there is room for another one.

        Raises:
            ValueError: an id that no point has.
        """
        ids = self.queries.known_ids(ids, "RegionTracker")
        self._whole.remove(ids)
        self._rows = self._rows.select(~torch.isin(self._rows.ids, ids))
        for region in self._regions:
            region.ids = region.ids[~torch.isin(region.ids, ids)]
        self._regions = [region for region in self._regions if len(region.ids)]

    def state_dict(self) -> dict[str, Any]:
        """All that `restored` needs to go on exactly from here: tensors and plain values, for `torch.save`.

        As large as one of `StreamTracker` for the whole frame and again for each region, and the frames that are kept.

        Raises:
            ValueError: after `finish`.
        """
        return {
            "whole": self._whole.state_dict(),
            "helpers": self._helpers,
            "rows": asdict(self._rows),
            "regions": [
                {"stream": region.stream.state_dict(), "ids": region.ids, "found": asdict(region.found)}
                for region in self._regions
            ],
            "frames": None if self._frames is None else [torch.from_numpy(frame) for frame in self._frames],
            "options": asdict(self._options),
            "support_grid": self._support_grid,
        }

    @classmethod
    def from_state_dict(cls, tracker: PointTracker, state: dict[str, Any]) -> RegionTracker:
        """The stream as it was when `state` was asked for, on the same tracker; push what came behind it."""
        whole = StreamTracker.from_state_dict(tracker, state["whole"])
        again = cls(
            tracker,
            whole.queries.select(slice(0, 0)),
            whole.image_wh,
            whole.fps,
            options=RegionOptions(**state["options"]),
            support_grid=state["support_grid"],
        )
        again._whole, again._helpers = whole, state["helpers"].cpu()
        again._rows = Tracks.from_dict(state["rows"])
        again._regions = [
            _Region(
                RegionStream.from_state_dict(tracker, kept["stream"]),
                kept["ids"].cpu(),
                Tracks.from_dict(kept["found"]),
            )
            for kept in state["regions"]
        ]
        frames = state["frames"]
        again._frames = None if frames is None else deque(frame.cpu().numpy() for frame in frames)
        return again

    def _opened(self, queries: Queries) -> list[_Region]:
        """Regions for some points, as many as there is room for, which have seen all frames since theirs."""
        room = self._options.max_regions - len(self._regions)
        if not len(queries) or not room:
            return []
        image_wh, wh = self._whole.image_wh, self._region_wh
        regions = []
        for points in group_points(queries, wh, replace(self._options, max_regions=room)):
            chosen = queries.select(points)
            stream = RegionStream(
                self._whole.tracker, chosen, first_camera(chosen, wh, image_wh, self._options), self._whole.fps,
                support_grid=self._support_grid, update_interval=self._options.update_interval,
            )  # fmt: skip
            missed = islice(self._frames or (), max(stream.first - self.earliest_frame, 0), None)
            found = [self._blank(chosen, stream.first), *(stream.push(frame) for frame in missed)]
            regions.append(_Region(stream, chosen.ids, Tracks.concat(found)))
        sizes = [len(region.ids) for region in regions]
        logger.info(
            "regions: %d of %d x %d pixels with %s of %d points", len(sizes), *wh, sizes, len(queries)
        )
        return regions

    def _keep(self, rows: Tracks) -> None:
        """Note what the whole frame says, without the support points."""
        wanted = ~torch.isin(rows.ids, self._helpers)
        self._rows = Tracks.concat([self._rows, rows.select(wanted)])

    def _final(self) -> int:
        """The first frame that is not final everywhere."""
        everything = (self._rows, *(region.found for region in self._regions))
        return min(rows.first_frame + len(rows) for rows in everything)

    def _stitched(self) -> Tracks:
        """The next rows that are final everywhere."""
        final = self._final()
        count = final - self._rows.first_frame
        tracks, self._rows = self._rows.clip(0, count), self._rows.clip(count)
        for region in self._regions:
            tracks = _laid_over(tracks, region.found.select(torch.isin(region.found.ids, region.ids)))
            region.found = region.found.clip(max(final - region.found.first_frame, 0))
        return tracks

    def _blank(self, queries: Queries, first_frame: int, count: int = 0) -> Tracks:
        """So many rows of which nothing is known."""
        empty = torch.zeros(count, len(queries))
        xy = torch.full((count, len(queries), 2), torch.nan)
        return Tracks(xy, empty, empty, queries, self._whole.image_wh, first_frame, self._whole.fps)


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
            tracker, points, video.wh, video.fps,
            options=options, support_grid=support_grid, keeps_frames=False,
        )  # fmt: skip
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


def _laid_over(tracks: Tracks, found: Tracks) -> Tracks:
    """The tracks, with what `found` says of some of their points, on the frames on which it knows them."""
    first = max(tracks.first_frame, found.first_frame)
    count = min(tracks.first_frame + len(tracks), found.first_frame + len(found)) - first
    if count <= 0:
        return tracks
    found = found.clip(first - found.first_frame, first - found.first_frame + count)
    order = tracks.ids.argsort()
    columns = order[torch.searchsorted(tracks.ids[order], found.ids)]
    rows = slice(first - tracks.first_frame, first - tracks.first_frame + count)
    known = found.tracked()
    parts = {}
    for name in ("xy", "visibility", "confidence"):
        value = getattr(tracks, name).clone()
        where = known if value.ndim == 2 else known[..., None]
        value[rows, columns] = torch.where(where, getattr(found, name), value[rows, columns])
        parts[name] = value
    return replace(tracks, **parts)
