"""Estimates the time and memory of a run, measured on two windows before it starts."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
import torch

from pointtrack.models.point_tracker import PointTracker
from pointtrack.pipeline.options import TrackOptions, build_stream
from pointtrack.system import peak_memory
from pointtrack.types import Queries

ROW_BYTES = 16  # bytes of a point on a frame: x, y, visibility, confidence
# What drawing and writing take, measured on H.264: libraries, fonts and the contact sheet; and frames, of which the encoder
# looks at about 40 at half of their bytes, and 8 more wait for it.
WRITING_BYTES, WRITING_FRAMES = 100_000_000, 28


@dataclass(frozen=True)
class RunEstimate:
    """The time and memory that tracking takes.

    Attributes:
        seconds_per_frame: seconds of one pass, without reading and drawing.
        base_bytes: peak memory of this process so far, including two windows of this run, without a video that it holds; 0 if
            the system does not tell.
        wh: size of the frames.
        points: number of points.
        waiting: frames that a flat run keeps, as their tracks are not final yet.
    """

    seconds_per_frame: float
    base_bytes: int
    wh: tuple[int, int]
    points: int
    waiting: int

    def seconds(self, frames: int) -> float:
        """Seconds to track `frames` frames."""
        return frames * self.seconds_per_frame

    def whole_bytes(self, frames: int) -> int:
        """Memory with the whole video, a drawn copy of it and all tracks."""
        return self._drawing_bytes + video_bytes(frames, self.wh) + 3 * self.file_bytes(frames)

    @property
    def flat_bytes(self) -> int:
        """Memory of a run that reads frames one by one."""
        return self._drawing_bytes + frame_bytes(self.waiting, self.wh)

    @property
    def _drawing_bytes(self) -> int:
        return self.base_bytes + WRITING_BYTES + frame_bytes(WRITING_FRAMES, self.wh)

    def file_bytes(self, frames: int) -> int:
        """Bytes of the tracks."""
        return ROW_BYTES * frames * self.points


def frame_bytes(frames: int, wh: tuple[int, int]) -> int:
    """Memory for `frames` frames."""
    return frames * wh[0] * wh[1] * 3


def video_bytes(frames: int, wh: tuple[int, int]) -> int:
    """Memory for `frames` frames and a drawn copy of them."""
    return 2 * frame_bytes(frames, wh)


def estimate_run(
    tracker: PointTracker,
    queries: Queries,
    wh: tuple[int, int],
    options: TrackOptions | None = None,
    *,
    held: int = 0,
) -> RunEstimate:
    """Track two windows of noise with as many points, and measure. The second takes more memory, as the first is still there.

    Args:
        tracker: from `load_tracker`; one that works in windows.
        queries: the points to track.
        wh: size of the frames as (width, height).
        options: the stages of the run; of these, regions are measured too, as if all points were on one frame.
        held: bytes of the frames that are in memory already.

    Raises:
        ValueError: the tracker's one window is the whole video.
    """
    window = tracker.config.window
    if window.length is None:
        raise ValueError(
            f"{tracker.config.name}: expected a tracker of windows, which has something to measure"
        )
    generator = np.random.default_rng(0)
    frame = generator.integers(0, 256, (wh[1], wh[0], 3), dtype=np.uint8)
    options = replace(options or TrackOptions(), states=None, smooth=0)
    together = Queries(torch.zeros(len(queries)), queries.xy)
    if options.regions is None:  # the positions make no difference
        xy = torch.from_numpy(generator.uniform(0, 1, (len(queries), 2))) * (torch.tensor(wh) - 1)
        together = replace(together, xy=xy)
    stream = build_stream(tracker, together, wh, 30.0, options, keeps_frames=False)
    stream.push(np.stack([frame] * window.length))  # warms up
    began = time.perf_counter()
    stream.push(np.stack([frame] * window.step))  # its rows are on the CPU, so all work on the device is done
    seconds = (time.perf_counter() - began) / window.step
    waiting = window.length + window.step
    return RunEstimate(seconds, max(peak_memory() - held, 0), wh, len(queries), waiting)
