"""Streams and whole videos for tests: stages by name, without the object that users hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import pointtrack.pipeline.resume
from pointtrack.io.video import VideoStream
from pointtrack.models.point_tracker import PointTracker
from pointtrack.pipeline.backward import track_video
from pointtrack.pipeline.files import track_file
from pointtrack.pipeline.options import TrackOptions, build_stream
from pointtrack.regions.placement import RegionOptions
from pointtrack.regions.stream import RegionStream
from pointtrack.states.stream import StateOptions, StateStream
from pointtrack.tracking.stream import Progress
from pointtrack.tracking.support import RequestedStream, with_support
from pointtrack.tracking.window_stream import WindowStream
from pointtrack.types import Queries, Tracks, Video

STATES = ("rules", "cuts", "redetect", "redetection")


def track(
    network: PointTracker,
    video: Video,
    queries: Queries,
    *,
    progress: Progress | None = None,
    **options: Any,
) -> Tracks:
    """`track_video` with options by name."""
    return track_video(network, video, queries, TrackOptions(**options), progress=progress)


def track_states(network: PointTracker, video: Video, queries: Queries, **options: Any) -> Tracks:
    """The same with states."""
    states = {name: options.pop(name) for name in STATES if name in options}
    return track(network, video, queries, states=StateOptions(**states), **options)


def track_regions(
    network: PointTracker,
    video: Video,
    queries: Queries,
    *,
    options: RegionOptions | None = None,
    **rest: Any,
) -> Tracks:
    """The same with regions."""
    return track(network, video, queries, regions=options or RegionOptions(), **rest)


def track_long(
    network: PointTracker,
    source: VideoStream,
    queries: Queries,
    path: Path,
    *,
    resume: bool = False,
    state_seconds: float = 30.0,
    **options: Any,
) -> int:
    """`track_file` of one reading, forward only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pointtrack.pipeline.resume, "STATE_SECONDS", state_seconds)
        chosen = TrackOptions(**options, backward=False)
        return track_file(network, lambda _: source, queries, path, chosen, resume=resume)


def state_stream(
    network: PointTracker, queries: Queries, wh: tuple[int, int], fps: float = 30.0, **options: Any
) -> RequestedStream:
    """A stream with states, which no pixels lead; the stage itself is its `inner`."""
    states = {name: options.pop(name) for name in STATES if name in options}
    stream = build_stream(
        network, queries, wh, fps, TrackOptions(StateOptions(**states), steady=False, **options)
    )
    assert isinstance(stream, RequestedStream) and isinstance(stream.inner, StateStream)
    return stream


def region_stream(
    network: PointTracker,
    queries: Queries,
    wh: tuple[int, int],
    fps: float = 30.0,
    *,
    options: RegionOptions,
    support_grid: int = 5,
    keeps_frames: bool = True,
) -> RequestedStream:
    """A stream with regions; the stage itself is its `inner`."""
    whole = WindowStream(network, with_support(network, queries, wh, support_grid), wh, fps)
    return RequestedStream(RegionStream(whole, options, support_grid=support_grid, keeps_frames=keeps_frames))
