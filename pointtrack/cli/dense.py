"""The command `pointtrack dense`: a whole frame of points, in bounded memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pointtrack.checks import counted
from pointtrack.cli.options import VideoOptions, track_options
from pointtrack.cli.progress import Bar
from pointtrack.io.outputs import record_origin
from pointtrack.io.track_arrays import ABOUT, open_dense
from pointtrack.io.video import read_video, write_image
from pointtrack.pipeline.passes import track_dense
from pointtrack.tracking.queries import stride_queries
from pointtrack.viz.motion import dense_picture


@contextmanager
def resumable(folder: Path) -> Iterator[None]:
    """Say in the line about a stop by Ctrl-C in this block how much is kept, and that --resume continues."""
    try:
        yield
    except KeyboardInterrupt:
        if not (folder / ABOUT).exists():
            raise
        kept = open_dense(folder)
        done, asked = len(kept.queries), counted(kept.requested, "point")
        words = (
            f"{done} of {asked} are kept in {folder}, and the same command with --resume goes on from there"
        )
        raise KeyboardInterrupt(words) from None


@dataclass(frozen=True)
class DenseCommand(VideoOptions):
    """Track a dense grid of points, up to every pixel of a frame, in bounded memory.

    It writes the tracks to a folder of .npy files, which `open_dense` reads without loading them into memory, with a picture
    motion.png beside them. --resume, with the same options, continues a killed run.

    Args:
        stride: pixels between neighbouring points; 1 is every pixel.
        frame: query frame of the points.
        out: folder of the results; by default outputs/NAME_dense.
        chunk: track this many points together; by default as many as suit the tracker.
        memory: gigabytes that features and points may take, besides the network, the frames and Python itself.
        resume: continue a killed run.
        states, redetect, regions, smooth: as in `pointtrack track`, one chunk at a time.
    """

    stride: int = 4
    frame: int = 0
    out: str | None = None
    chunk: int | None = None
    memory: float = 4.0
    resume: bool = False
    states: bool = False
    redetect: bool = False
    regions: str | None = None
    smooth: int = 0

    def run(self) -> None:
        """Track the points, and print where the results are."""
        folder = Path(self.out or f"outputs/{self.stem}_dense")
        self.guard([folder / "motion.png"])
        if self.overwrite and not self.resume:
            (folder / ABOUT).unlink(missing_ok=True)
        video = read_video(self.opened())
        queries = stride_queries(video.wh, self.stride, self.frame)
        queries.check_inside(len(video), video.wh)
        options = track_options(self.states, self.redetect, self.regions, self.smooth)
        tracker = self.loaded(video.wh)
        began = time.perf_counter()
        with Bar(None, unit="point-frame", unit_scale=True) as bar, resumable(folder):

            def show(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            track_dense(
                tracker, video, queries, options, chunk=self.chunk, memory=1e9 * self.memory, out=folder,
                resume=self.resume, progress=show,
            )  # fmt: skip
        seconds = time.perf_counter() - began
        device = next(tracker.parameters()).device
        print(f"tracker   {tracker.label} ({tracker.config.licence}) on {device}")
        print(
            f"tracked   {counted(len(queries), 'point')} through {counted(len(video), 'frame')} of {video.wh[0]} x {video.wh[1]} in "
            f"{seconds:.1f} s"
        )
        print(f"tracks    {folder}")
        last = len(video) - 1
        ends = open_dense(folder).read(frames=[self.frame, last])
        record_origin([folder / "motion.png"], self.video)
        picture = dense_picture(video.frames[self.frame], video.frames[last], ends, self.stride)
        print(f"picture   {write_image(folder / 'motion.png', picture)}")
