"""pointtrack: track any point through any video."""

from pointtrack.draw import contact_sheet, draw_tracks
from pointtrack.draw_masks import draw_masks
from pointtrack.export import load_tracks, save_tracks
from pointtrack.export_masks import load_masks, save_masks, write_cutout
from pointtrack.judge import StateRules
from pointtrack.live import LiveTracker
from pointtrack.long import track_long
from pointtrack.masks import Masks
from pointtrack.models.zoo import load_tracker
from pointtrack.objects.densify import segment_tracks
from pointtrack.objects.follow import ObjectPrompt, follow_objects
from pointtrack.objects.sam2_video import load_sam2_video
from pointtrack.objects.session import ObjectSession
from pointtrack.point_states import State
from pointtrack.predict import StreamTracker, track
from pointtrack.queries import corner_queries, grid_queries, read_queries, support_queries
from pointtrack.reader import FrameReader, LiveState
from pointtrack.regions import RegionOptions, RegionTracker, track_regions
from pointtrack.segment.base import Prompt
from pointtrack.segment.zoo import load_segmenter
from pointtrack.smooth import smooth_tracks
from pointtrack.spill import TrackWriter, read_spilled
from pointtrack.states import StateOptions, StateTracker, track_states
from pointtrack.track_session import TrackSession
from pointtrack.types import Queries, Tracks, Video
from pointtrack.video import read_video, stream_video, write_video

__version__ = "0.1.0"

__all__ = [
    "FrameReader",
    "LiveState",
    "LiveTracker",
    "Masks",
    "ObjectPrompt",
    "ObjectSession",
    "Prompt",
    "Queries",
    "RegionOptions",
    "RegionTracker",
    "State",
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
    "load_sam2_video",
    "load_segmenter",
    "load_tracker",
    "load_tracks",
    "read_queries",
    "read_spilled",
    "read_video",
    "save_masks",
    "save_tracks",
    "segment_tracks",
    "smooth_tracks",
    "stream_video",
    "support_queries",
    "track",
    "track_long",
    "track_regions",
    "track_states",
    "write_cutout",
    "write_video",
]
