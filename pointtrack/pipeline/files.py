"""Tracks videos of any length in constant memory: frames come one by one, tracks go to a growing file, runs resume exactly."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from pointtrack.checks import counted
from pointtrack.io.atomic import atomic_path
from pointtrack.io.sources import TimedFrame
from pointtrack.io.track_log import TrackWriter, spilled_backward, spilled_pieces
from pointtrack.io.video import VideoStream
from pointtrack.models.point_tracker import PointTracker
from pointtrack.pipeline.backward import BackwardPass, backward_pass, joined_pieces, turned
from pointtrack.pipeline.options import TrackOptions, build_stream
from pointtrack.pipeline.resume import Resume, about_run
from pointtrack.pipeline.run import replay, run
from pointtrack.pipeline.sinks import LogSink, Sink
from pointtrack.tracking.smooth import Smoother
from pointtrack.tracking.stream import PointStream, Progress, restored
from pointtrack.tracking.support import with_support
from pointtrack.types import Queries

logger = logging.getLogger(__name__)

# Opens the video at the frame shown at this second, or at its beginning for None.
Opener = Callable[[float | None], VideoStream]
BLOCK = 32  # frames that are read at once when a video is read backward


def track_file(
    network: PointTracker,
    opened: Opener,
    queries: Queries,
    path: str | Path,
    options: TrackOptions | None = None,
    *,
    resume: bool = False,
    sinks: Sequence[Sink] = (),
    progress: Progress | None = None,
    warns: bool = True,
) -> int:
    """Track points through a video of any length; memory holds one window of it.

    The tracks are those of `track_video`. They go piece by piece to a file, which `load_tracks` can read at any time.
    Until the backward pass is done, they start on the points' query frames. PATH.state beside the file lets a killed
    run continue. It holds the features of one window, a hundred megabytes or so, and as much again for each region.

    Args:
        network: from `load_tracker`; one that works in windows.
        opened: opens the video. The video is read once, and once more if points are tracked backward, or if the sinks
            could not get their frames in the same pass, as after a resume.
        queries: points with their frames.
        path: the file of the tracks.
        options: which stages to use.
        resume: continue what a killed run left at `path`, if anything. Finished frames are decoded and skipped. The
            result is the same to the last bit.
        sinks: take the final tracks in order, with their frames if they need them.
        progress: called with the number of frames that each step has done.
        warns: log how many points lie after the last frame, see `warn_of_late`. Where the video can be read twice,
            `check_frames` refuses them before.

    Returns:
        The number of frames.

    Raises:
        ValueError: the tracker needs the whole video, a query lies outside the image, the cuts come from a function, a region
            is larger than the image, or the run to resume had another tracker, other points, another size of frames, or
            other options.
    """
    run = _FileRun(network, opened, queries, Path(path), options or TrackOptions(), sinks, progress)
    frames = run.run(resume)
    if warns:
        warn_of_late(run.name, queries, frames)
    return frames


def check_frames(opened: Opener, queries: Queries) -> None:
    """Check, before anything is tracked, that all points lie on frames of the video, as `track_video` does.

    Raises:
        ValueError: a point lies after the last frame.
    """
    frames = frames_if_short(opened, int(queries.frame.max()) if len(queries) else 0)
    if frames is not None:
        queries.check_inside(frames, None)


def frames_if_short(opened: Opener, last: int) -> int | None:
    """The number of frames of a video that ends before frame `last`; None for one that has that frame.

    The number of frames in the header of a file is not exact, and may be twice the true one if the rate varies. Where it
    does not settle the question, the video is decoded up to that frame, which takes little time beside tracking.
    """
    if last == 0:
        return None
    with opened(None) as source:
        count, number = source.frame_count, 0
        if count is not None and last < count // 2:
            return None
        for number, _ in enumerate(source):
            if number == last:
                return None
    return number + 1


def warn_of_late(name: str, queries: Queries, frames: int) -> None:
    """Log how many points lie after the last of a video's frames, if any do."""
    late = int((queries.frame >= frames).sum())
    if late:
        what = counted(late, "query lies", "queries lie")
        logger.warning("%s: %s after the last frame (%d)", name, what, frames - 1)


class _FileRun:
    """A run of `track_file`: forward, backward, and both joined. It can resume in each phase."""

    def __init__(
        self,
        network: PointTracker,
        opened: Opener,
        queries: Queries,
        path: Path,
        options: TrackOptions,
        sinks: Sequence[Sink],
        progress: Progress | None,
    ):
        network.check_windows()
        if options.states is not None and callable(options.states.cuts):
            raise ValueError("cuts: expected frames or 'auto' for a long video, got a function")
        self.network, self.opened, self.path, self.options = network, opened, path, options
        self.sinks, self.progress = sinks, progress
        self.requested = queries
        self.back_path = path.with_name(f"{path.name}.back")
        self.joined_path = path.with_name(f"{path.name}.joined")

    def run(self, resume: bool) -> int:
        """Do whatever is left to do, and return the number of frames."""
        with self.opened(None) as source:
            self.wh, self.fps, self.name = source.wh, source.fps, source.name
            options = self.options
            queries = with_support(
                self.network, self.requested, source.wh, options.support_grid, options.support_local
            )
            about = about_run(self.network, queries, source.wh, self.options) | source.about()
            self.resume = Resume(self.path, about)
            state = self.resume.load() if resume else None
            self.overwrite = resume  # then a file without a state may be replaced
            if state is None:
                self.resume.begin()
                self.joined_path.unlink(missing_ok=True)
            goes_back = self.options.backward and bool((queries.requested().frame > 0).any())
            in_one_pass = state is None and not goes_back
            if state is None or state["phase"] == "ahead":
                state = self._ahead(source, queries, state, self.sinks if in_one_pass else (), goes_back)
        frames = state["total"]
        if state["phase"] == "back":
            here = queries.select(queries.frame < frames)
            back = backward_pass(self.network, here, self.options, state["cuts"]) if goes_back else None
            if back is not None:
                self._back(back, state)
            # With a backward pass in view the forward pass did not smooth, even if all later queries lie after the end.
            if back is not None or (goes_back and self.options.smooth):
                self._join(back)
                self.resume.save(phase="moving", total=frames)
        if self.joined_path.exists():
            self.joined_path.replace(self.path)
        if state["phase"] != "done":
            self.resume.save(phase="done", total=frames)
            self.back_path.unlink(missing_ok=True)
        if self.sinks and not in_one_pass:
            with self.opened(None) as source:
                replay(source, spilled_pieces(self.path), self.sinks)
        return frames

    def _ahead(
        self,
        source: VideoStream,
        queries: Queries,
        state: dict[str, Any] | None,
        sinks: Sequence[Sink],
        goes_back: bool,
    ) -> dict[str, Any]:
        """Track forward through all frames, and return the state after them."""
        if state is None:
            options = replace(self.options, smooth=0) if goes_back else self.options
            stream = build_stream(self.network, queries, self.wh, self.fps, options, keeps_frames=False)
        else:
            stream = restored(self.network, state["stream"])
            logger.info("%s: going on behind frame %d", self.path, stream.frames_pushed)
        times: list[float] = []
        watched = _noted(source, times)
        kept = None if state is None else state["frames"]
        with TrackWriter(self.path, keep=kept, about=self.resume.about, overwrite=self.overwrite) as writer:
            self.resume.watch(writer, phase="ahead")
            frames = run(
                watched, stream, [LogSink(writer), *sinks], resume=self.resume, progress=self.progress
            )
        state = {
            "phase": "back",
            "total": frames,
            "cuts": sorted(stream.cuts),
            "times": times,
            "stream": None,
        }
        if goes_back:
            self.resume.save(**state)
        return state

    def _back(self, back: BackwardPass, state: dict[str, Any]) -> None:
        """Track backward from the last query frame."""
        stream: PointStream
        if state["stream"] is None:
            stream = build_stream(
                self.network, back.queries, self.wh, self.fps, back.options, keeps_frames=False
            )
        else:
            stream = restored(self.network, state["stream"])
        notes = {name: state[name] for name in ("phase", "total", "cuts", "times")}
        frames = self._backward_frames(state["times"][: back.late + 1])
        with TrackWriter(self.back_path, keep=state.get("frames"), overwrite=True) as writer:
            self.resume.watch(writer, **notes)
            run(frames, stream, [LogSink(writer)], resume=self.resume, progress=self.progress)

    def _backward_frames(self, times: list[float]) -> Iterator[TimedFrame]:
        """The frames shown at these times, from the last to the first, with one block of them in memory."""
        for stop in range(len(times), 0, -BLOCK):
            start = max(stop - BLOCK, 0)
            with self.opened(times[start] if start else None) as source:
                block = list(islice(source, stop - start))
            if len(block) < stop - start or abs(block[0][1] - times[start]) > 1e-4:  # seeking failed
                with self.opened(None) as source:
                    block = list(islice(source, start, stop))
            yield from ((frame, math.nan) for frame, _ in reversed(block))  # the forward rows have the times

    def _join(self, back: BackwardPass | None) -> None:
        """Write both passes, joined and smoothed, to `joined_path`; the forward pass alone if `back` is None."""
        behind = () if back is None else spilled_backward(self.back_path)
        late = 0 if back is None else back.late
        pieces = joined_pieces(spilled_pieces(self.path), (turned(rows, late) for rows in behind))
        smoother = Smoother(self.options.smooth) if self.options.smooth else None
        with atomic_path(self.joined_path) as part, TrackWriter(part, about=self.resume.about) as writer:
            for rows in pieces:
                writer.append(rows if smoother is None else smoother.push(rows))
            for rows in [] if smoother is None else smoother.finish():
                writer.append(rows)


def _noted(source: VideoStream, times: list[float]) -> Iterator[TimedFrame]:
    """The frames of a source, with their times added to `times`."""
    for frame, seconds in source:
        times.append(seconds)
        yield frame, seconds
