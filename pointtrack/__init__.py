"""pointtrack: track any point through any video."""

from pointtrack.io.live_reader import FrameReader, LiveState
from pointtrack.io.masks import load_masks, save_masks
from pointtrack.io.queries import load_queries
from pointtrack.io.track_log import TrackWriter, read_spilled
from pointtrack.io.tracks import load_tracks, save_tracks
from pointtrack.io.video import open_video, read_video, write_video
from pointtrack.objects.from_tracks import segment_tracks
from pointtrack.objects.sam2_engine import load_sam2_video
from pointtrack.pipeline.live import LiveTracker
from pointtrack.pipeline.resume import track_long
from pointtrack.regions.stream import RegionOptions, RegionTracker, track_regions
from pointtrack.segment.base import Prompt
from pointtrack.segment.zoo import load_segmenter
from pointtrack.sessions.follow import ObjectPrompt, follow_objects
from pointtrack.sessions.object_session import ObjectSession
from pointtrack.sessions.track_session import TrackSession
from pointtrack.states.rules import StateRules
from pointtrack.states.stream import StateOptions, StateTracker, track_states
from pointtrack.tracking.queries import corner_queries, grid_queries
from pointtrack.tracking.smooth import smooth_tracks
from pointtrack.tracking.support import support_queries
from pointtrack.tracking.window_stream import StreamTracker, track
from pointtrack.types import Queries, Tracks, Video
from pointtrack.types.masks import Masks
from pointtrack.types.point_states import PointState
from pointtrack.viz.masks import draw_masks
from pointtrack.viz.tracks import contact_sheet, draw_tracks
from pointtrack.zoo import load_tracker

__version__ = "0.1.0"

__all__ = [
    "FrameReader",
    "LiveState",
    "LiveTracker",
    "Masks",
    "ObjectPrompt",
    "ObjectSession",
    "PointState",
    "Prompt",
    "Queries",
    "RegionOptions",
    "RegionTracker",
    "StateOptions",
    "StateRules",
    "StateTracker",
    "StreamTracker",
    "TrackSession",
    "TrackWriter",
    "Tracks",
    "Video",
    "contact_sheet",
    "corner_queries",
    "draw_masks",
    "draw_tracks",
    "follow_objects",
    "grid_queries",
    "load_masks",
    "load_queries",
    "load_sam2_video",
    "load_segmenter",
    "load_tracker",
    "load_tracks",
    "open_video",
    "read_spilled",
    "read_video",
    "save_masks",
    "save_tracks",
    "segment_tracks",
    "smooth_tracks",
    "support_queries",
    "track",
    "track_long",
    "track_regions",
    "track_states",
    "write_video",
]
