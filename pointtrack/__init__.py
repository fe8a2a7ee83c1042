"""Track any point through any video, and turn tracked points into object masks.

    import pointtrack as pt

    video = pt.read_video("dog.mp4")  # or pt.example_video()
    tracks = pt.Tracker().track(video, pt.grid_queries(video, size=20), progress=True)
    tracks.xy, tracks.visible()  # (t, n, 2) float pixels as (x, y), and (t, n) bool
    pt.write_video("tracks.mp4", pt.draw_tracks(video, tracks), fps=video.fps)
    pt.save_tracks("tracks.csv", tracks)

`Tracker` tracks points in memory, into files, frame by frame and live. `TrackSession` lets you correct tracks;
`ObjectSession` makes masks from clicks. `pointtrack --help` lists the commands.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pointtrack.fleet.run import batch
    from pointtrack.io.examples import example_video
    from pointtrack.io.masks import load_masks, save_masks
    from pointtrack.io.queries import load_queries
    from pointtrack.io.tracks import load_tracks, save_tracks
    from pointtrack.io.video import open_video, read_video, write_video
    from pointtrack.objects.from_tracks import segment_tracks
    from pointtrack.regions.placement import RegionOptions
    from pointtrack.segment.zoo import load_segmenter
    from pointtrack.sessions.object_session import ObjectSession
    from pointtrack.sessions.track_session import TrackSession
    from pointtrack.states.stream import StateOptions
    from pointtrack.tracker import Tracker
    from pointtrack.tracking.queries import corner_queries, grid_queries
    from pointtrack.types import Masks, PointState, Queries, Tracks, Video
    from pointtrack.viz.masks import draw_masks
    from pointtrack.viz.tracks import draw_tracks

__version__ = "0.1.0"

# Public name -> its module. Modules are imported on first use, so that a command that only prints its version or an
# error in its options does not wait for torch.
_MODULES = {
    "Masks": "types",
    "ObjectSession": "sessions.object_session",
    "PointState": "types",
    "Queries": "types",
    "RegionOptions": "regions.placement",
    "StateOptions": "states.stream",
    "TrackSession": "sessions.track_session",
    "Tracker": "tracker",
    "Tracks": "types",
    "Video": "types",
    "batch": "fleet.run",
    "corner_queries": "tracking.queries",
    "draw_masks": "viz.masks",
    "draw_tracks": "viz.tracks",
    "example_video": "io.examples",
    "grid_queries": "tracking.queries",
    "load_masks": "io.masks",
    "load_queries": "io.queries",
    "load_segmenter": "segment.zoo",
    "load_tracks": "io.tracks",
    "open_video": "io.video",
    "read_video": "io.video",
    "save_masks": "io.masks",
    "save_tracks": "io.tracks",
    "segment_tracks": "objects.from_tracks",
    "write_video": "io.video",
}

__all__ = [
    "Masks",
    "ObjectSession",
    "PointState",
    "Queries",
    "RegionOptions",
    "StateOptions",
    "TrackSession",
    "Tracker",
    "Tracks",
    "Video",
    "batch",
    "corner_queries",
    "draw_masks",
    "draw_tracks",
    "example_video",
    "grid_queries",
    "load_masks",
    "load_queries",
    "load_segmenter",
    "load_tracks",
    "open_video",
    "read_video",
    "save_masks",
    "save_tracks",
    "segment_tracks",
    "write_video",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
