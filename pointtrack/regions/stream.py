"""Tracks small things in large frames, inside crops that follow them and show them larger.

A tracker shrinks every frame to one size: it sees only 8 pixels of a thing of 20 pixels in a frame of 1920 x 1080. Here
it also gets a crop around each group of points. While a point is inside its crop, its position comes from the crop,
otherwise from the whole frame.
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

from pointtrack.checks import array_of
from pointtrack.models.point_tracker import PointTracker
from pointtrack.regions.crop import CropStream
from pointtrack.regions.placement import RegionOptions, first_camera, group_points, region_wh
from pointtrack.tracking.stream import PointStream, WrappingStream, restored, saved, stage
from pointtrack.types import Queries, Tracks
from pointtrack.types.frames import pushed_frames

logger = logging.getLogger(__name__)


@dataclass
class _Region:
    """A region.

    Attributes:
        stream: tracks in its crop.
        ids: of its points that are still wanted.
        found: rows of all its points that are final here, but maybe not in every other region.
    """

    stream: CropStream
    ids: Tensor
    found: Tracks


@stage
class RegionStream(WrappingStream):
    """A stage that tracks points in crops too, beside the stream of whole frames that it wraps.

    Memory does not grow with the video: it holds a window of every region. (With a tracker that takes the whole video as one
    window it does grow, and every update of a region costs a pass over all frames so far.)

    Args:
        inner: tracks all points in whole frames. The points of a region share one query frame.
        options: size and number of the regions.
        support_grid: side of a grid of support points in each region.
        keeps_frames: keep the pixels of the frames that are not final, so that points added on them get regions. Otherwise
            only points added on frames not pushed yet get them.

    Raises:
        ValueError: a region is larger than the image.
    """

    def __init__(
        self, inner: PointStream, options: RegionOptions, *, support_grid: int = 5, keeps_frames: bool = True
    ):
        super().__init__(inner)
        self.views += 1
        self._options, self._support_grid = options, support_grid
        self._region_wh = region_wh(self.network, self.image_wh, options)
        self._rows = self._blank(inner.queries, 0)  # final in the whole frame, but maybe not in every region
        self._frames: deque[np.ndarray] | None = deque() if keeps_frames else None  # not final yet
        self._regions: list[_Region] = []
        self._regions = self._opened(inner.queries)

    @property
    def queries(self) -> Queries:
        """The points tracked now, in the order of the tracks."""
        return self._rows.queries

    @property
    def lag(self) -> int:
        """Number of frames pushed whose final rows were not returned yet."""
        return self.frames_pushed - self._rows.first_frame

    def push(self, frames: np.ndarray | Tensor) -> Tracks:
        """As `PointStream.push`."""
        for frame in array_of(pushed_frames(frames, self.image_wh)):
            self._take(frame)
            if self._frames is not None:
                self._frames.append(np.array(frame))  # a copy, as a camera may reuse its memory
                while self._first_kept() < self._final():
                    self._frames.popleft()
        return self._stitched()

    def preview(self) -> Tracks:
        """As `PointStream.preview`."""
        row = self.inner.preview()
        for region in self._regions:
            if region.stream.begun:
                own = region.stream.preview()
                row = _laid_over(row, own.select(torch.isin(own.ids, region.ids)))
        return row

    def finish(self) -> Tracks:
        """As `PointStream.finish`."""
        self._rows = Tracks.concat([self._rows, self.inner.finish()])
        for region in self._regions:
            if region.stream.begun:
                region.found = Tracks.concat([region.found, region.stream.finish()])
        return self._stitched()

    def add(self, queries: Queries) -> Tracks:
        """As `PointStream.add`.

        The points get regions of their own, as if queried from the start, as long as there are fewer regions than
        `RegionOptions.max_regions` and the frames since their query frames are kept. The others are tracked in whole
        frames.
        """
        queries = Queries.of(queries)
        late = self.inner.add(queries)
        everyone = Queries.concat([self.queries, queries])
        both = self._blank(everyone, self._rows.first_frame, len(self._rows))
        self._rows = _laid_over(_laid_over(both, self._rows), late)
        self._regions += self._opened(queries.select(queries.frame >= self._first_kept()))
        return late.clip(0, max(self._rows.first_frame - late.first_frame, 0))

    def remove(self, ids: Tensor | Sequence[int]) -> None:
        """As `PointStream.remove`.

        A region keeps tracking all its points until none of them is wanted. Then there is room for another region.
        """
        ids = self.queries.known_ids(ids, "remove")
        self.inner.remove(ids)
        self._rows = self._rows.select(~torch.isin(self._rows.ids, ids))
        for region in self._regions:
            region.ids = region.ids[~torch.isin(region.ids, ids)]
        self._regions = [region for region in self._regions if len(region.ids)]

    def appearance(self, frame: int, xy: Tensor, ids: Tensor) -> Tensor:
        """As `PointStream.appearance`: in the whole frame, and also in the crop."""
        whole = self.inner.appearance(frame, xy, ids)
        own = torch.full_like(whole[:, :1], torch.nan)
        columns = {point: column for column, point in enumerate(ids.tolist())}
        for region in self._regions:
            places = torch.full((len(region.stream.ids), 2), torch.nan)
            mine = [columns.get(point, -1) for point in region.stream.ids.tolist()]
            here = torch.tensor(mine) >= 0
            places[here] = xy[torch.tensor(mine)[here]]
            own[torch.tensor(mine)[here], 0] = region.stream.appearance(frame, places)[here]
        return torch.cat([whole, own], dim=1)

    def state_dict(self) -> dict[str, Any]:
        """As `PointStream.state_dict`; each region adds as much as the whole frame takes, and kept frames add to it."""
        return {
            "inner": saved(self.inner),
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
    def from_state_dict(cls, network: PointTracker, state: dict[str, Any]) -> RegionStream:
        """The stream as it was when `state` was taken, on the same network."""
        inner, options = restored(network, state["inner"]), RegionOptions(**state["options"])
        again = cls(inner, options, support_grid=state["support_grid"])
        again._rows = Tracks.from_dict(state["rows"])
        again._regions = [
            _Region(
                CropStream.from_state_dict(network, kept["stream"]),
                kept["ids"],
                Tracks.from_dict(kept["found"]),
            )
            for kept in state["regions"]
        ]
        frames = state["frames"]
        again._frames = None if frames is None else deque(frame.numpy() for frame in frames)
        return again

    def _take(self, frame: np.ndarray) -> None:
        """Push the next frame to the stream of whole frames and to every region."""
        number = self.frames_pushed
        self._rows = Tracks.concat([self._rows, self.inner.push(frame)])
        for region in self._regions:
            if number >= region.stream.first:
                region.found = Tracks.concat([region.found, region.stream.push(frame)])

    def _first_kept(self) -> int:
        """The first frame whose pixels are kept."""
        return self.frames_pushed - len(self._frames or ())

    def _opened(self, queries: Queries) -> list[_Region]:
        """Open as many regions for some points as there is room for, and push the kept frames to them."""
        queries = queries.requested()
        room = self._options.max_regions - len(self._regions)
        if not len(queries) or not room:
            return []
        wh = self._region_wh
        regions = []
        for points in group_points(queries, wh, replace(self._options, max_regions=room)):
            chosen = queries.select(points)
            camera = first_camera(chosen, wh, self.image_wh, self._options)
            stream = CropStream(
                self.network, chosen, camera, self.fps,
                support_grid=self._support_grid, update_interval=self._options.update_interval,
            )  # fmt: skip
            missed = islice(self._frames or (), max(stream.first - self._first_kept(), 0), None)
            found = [self._blank(chosen, stream.first), *(stream.push(frame) for frame in missed)]
            regions.append(_Region(stream, chosen.ids, Tracks.concat(found)))
        sizes = [len(region.ids) for region in regions]
        logger.info(
            "regions: %d of %d x %d pixels with %s of %d points", len(sizes), *wh, sizes, len(queries)
        )
        return regions

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
        """`count` rows without any positions."""
        empty = torch.zeros(count, len(queries))
        xy = torch.full((count, len(queries), 2), torch.nan)
        return Tracks(xy, empty, empty, queries, self.image_wh, first_frame, self.fps)


def _laid_over(tracks: Tracks, found: Tracks) -> Tracks:
    """The tracks, with the rows of `found` in place of theirs wherever `found` has positions."""
    first = max(tracks.first_frame, found.first_frame)
    count = min(tracks.first_frame + len(tracks), found.first_frame + len(found)) - first
    if count <= 0:
        return tracks
    found = found.clip(first - found.first_frame, first - found.first_frame + count)
    order = tracks.ids.argsort()
    columns = order[torch.searchsorted(tracks.ids[order], found.ids)]
    rows = slice(first - tracks.first_frame, first - tracks.first_frame + count)
    return tracks.with_values(rows, columns, found, found.tracked())
