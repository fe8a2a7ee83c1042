"""Chooses the points that a command tracks, from its options."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pointtrack.io.mask_pictures import check_mask_size, read_mask
from pointtrack.io.queries import load_queries
from pointtrack.io.video import VideoStream
from pointtrack.tracking.queries import corner_queries, grid_queries, parse_points
from pointtrack.types import Queries, Video


class PointChoice:
    """Single points, a file, corners and a grid, in this order; a grid of the usual size if nothing else is chosen.

    Args:
        points: single points, each as frame,x,y in pixels.
        queries: CSV or JSON file of points.
        corners: this many of the strongest corners.
        grid: points per side of a grid.
        mask: picture of the video's size; corners and grid lie where it is not black.
        frame: frame of corners, grid and mask.
        usual: points per side of the grid if nothing is chosen.

    Raises:
        ValueError, FileNotFoundError: points, file or mask cannot be read.

    Attributes:
        mask: (h, w) bool; None without one.
        is_made: whether any points are chosen.
    """

    def __init__(
        self,
        points: Sequence[str] | None = None,
        queries: str | None = None,
        corners: int | None = None,
        grid: int | None = None,
        *,
        mask: str | None = None,
        frame: int = 0,
        usual: int = 20,
    ):
        # Both are read at once, so that mistakes show before a video is opened and models are loaded.
        self._given = [parse_points(points)] if points else []
        if queries is not None:
            self._given.append(load_queries(queries))
        self.mask = None if mask is None else read_mask(mask)
        self.is_made = bool(self._given) or corners is not None or grid is not None
        self._mask_path, self._corners, self._frame = mask, corners, frame
        self._grid = usual if not self.is_made else grid

    def on(self, video: Video | tuple[int, int], *, first: int = 0) -> Queries:
        """The points on a video.

        Args:
            video: the whole video, or the frames that corners and grid need; without corners its (width, height) will do.
            first: number of the video's first frame.

        Raises:
            ValueError: points or mask do not fit the video.
        """
        if self.mask is not None and self._mask_path is not None:
            check_mask_size(self.mask, video.wh if isinstance(video, Video) else video, self._mask_path)
        parts, frame = list(self._given), self._frame - first
        if self._corners is not None:
            parts.append(corner_queries(video, self._corners, frame, self.mask).moved(first))
        if self._grid is not None:
            parts.append(grid_queries(video, self._grid, frame, self.mask).moved(first))
        return parts[0] if len(parts) == 1 else Queries.concat(parts, renumber=True)

    def on_frame_of(self, opened: Callable[[], VideoStream]) -> Queries:
        """The points on a video that is read only up to the frame of corners and grid; memory holds this frame alone.

        Args:
            opened: opens the video at its first frame.

        Raises:
            ValueError: as `on`, or the video does not have the frame.
        """
        count = 0
        with opened() as stream:
            for count, (pixels, _) in enumerate(stream, 1):
                if count - 1 == self._frame:
                    return self.on(Video(pixels[None]), first=self._frame)
        raise ValueError(f"frame: expected 0..{count - 1}, got {self._frame}")
