"""The stages between frames and tracks, and how to put them together."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral

from pointtrack.checks import checked_fps, checked_wh
from pointtrack.models.point_tracker import PointTracker
from pointtrack.regions.placement import RegionOptions
from pointtrack.regions.stream import RegionStream
from pointtrack.states.stream import StateOptions, StateStream
from pointtrack.tracking.looks import window_stream
from pointtrack.tracking.smooth import SmoothStream
from pointtrack.tracking.steady import steadied
from pointtrack.tracking.stream import PointStream
from pointtrack.tracking.support import RequestedStream, with_support
from pointtrack.types import Queries


@dataclass(frozen=True)
class TrackOptions:
    """Which stages stand between frames and tracks.

    Attributes:
        states: how to determine the state of every point and frame; None for no states. True and False stand for the
            defaults and for None, also for the regions.
        regions: how to follow small things in crops of the full-resolution frame too; None for no crops.
        smooth: smooth final positions over this many frames on each side; 0 turns it off.
        support_grid: side of a grid of support points, which the tracker tracks too and leaves out of the answer; 0 for
            none. They show it how the rest of the scene moves.
        support_local: side of a grid of support points around every query, on its frame, 50 pixels wide. They show how
            the surroundings of the point move. Costs support_local^2 points per query.
        steady: also lead points from frame to frame by the pixels (`tracking/steady.py`), for our own networks. Tracks
            of published networks stay as they are, and so do all tracks with regions.
        backward: also track every point from its query frame back to the first frame.

    Raises:
        ValueError: a number is negative, or an option is of another kind.
    """

    states: StateOptions | None = None
    regions: RegionOptions | None = None
    smooth: int = 0
    support_grid: int = 5
    support_local: int = 0
    steady: bool = True
    backward: bool = True

    def __post_init__(self) -> None:
        for name, kind in (("states", StateOptions), ("regions", RegionOptions)):
            value = getattr(self, name)
            if isinstance(value, bool):
                object.__setattr__(self, name, kind() if value else None)
            elif not isinstance(value, kind | None):
                raise ValueError(f"{name}: expected True, False or pt.{kind.__name__}(...), got {value!r}")
        if not isinstance(self.smooth, Integral) or self.smooth < 0:
            raise ValueError(f"smooth: expected 0 or more frames on each side, got {self.smooth!r}")


def build_stream(
    network: PointTracker,
    queries: Queries,
    wh: tuple[int, int],
    fps: float = 30.0,
    options: TrackOptions | None = None,
    *,
    keeps_frames: bool = True,
) -> PointStream:
    """Build the stages that the options select, each around the next; rows hold the requested points.

    Args:
        network: tracks the points.
        queries: the points, with or without support points of their own.
        wh: size of the frames as (width, height).
        fps: recorded in the tracks; it changes nothing else.
        options: by default `TrackOptions()`; `backward` has no effect here.
        keeps_frames: keep the pixels of frames that are not final, so that points added on them get regions too.

    Raises:
        ValueError: `wh` is no size of frames, `fps` no positive number, a query outside the image, a region larger than
            the image, or, with states, a negative id.
    """
    options, wh, fps = options or TrackOptions(), checked_wh(wh), checked_fps(fps)
    if not bool(queries.support.any()):
        queries = with_support(network, queries, wh, options.support_grid, options.support_local)
    stream = window_stream(network, queries, wh, fps)
    if options.regions is not None:
        stream = RegionStream(
            stream, options.regions, support_grid=options.support_grid, keeps_frames=keeps_frames
        )
    if options.states is not None:
        stream = StateStream(stream, options.states)
    # Things that need a crop may be smaller than the patch that steadying compares.
    stream = steadied(RequestedStream(stream), options.steady and options.regions is None)
    return SmoothStream(stream, options.smooth) if options.smooth else stream
