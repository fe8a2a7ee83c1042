"""pointtrack: track any point through any video."""

from pointtrack.io.masks import load_masks, save_masks
from pointtrack.io.queries import load_queries
from pointtrack.io.tracks import load_tracks, save_tracks
from pointtrack.io.video import open_video, read_video, write_video
from pointtrack.objects.from_tracks import segment_tracks
from pointtrack.regions.placement import RegionOptions
from pointtrack.segment.base import Prompt
from pointtrack.segment.zoo import load_segmenter
from pointtrack.sessions.object_session import ObjectSession
from pointtrack.sessions.track_session import TrackSession
from pointtrack.states.stream import StateOptions
from pointtrack.tracker import Tracker
from pointtrack.tracking.queries import corner_queries, grid_queries
from pointtrack.tracking.smooth import smooth_tracks
from pointtrack.types import Queries, Tracks, Video
from pointtrack.types.masks import Masks
from pointtrack.types.point_states import PointState
from pointtrack.viz.masks import draw_masks
from pointtrack.viz.tracks import draw_tracks

__version__ = "0.1.0"

__all__ = [
    "Masks",
    "ObjectSession",
    "PointState",
    "Prompt",
    "Queries",
    "RegionOptions",
    "StateOptions",
    "TrackSession",
    "Tracker",
    "Tracks",
    "Video",
    "corner_queries",
    "draw_masks",
    "draw_tracks",
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
    "smooth_tracks",
    "write_video",
]
