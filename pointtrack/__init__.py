"""pointtrack: track any point through any video."""

from pointtrack.draw import contact_sheet, draw_tracks
from pointtrack.export import load_tracks, save_tracks
from pointtrack.models.zoo import load_tracker
from pointtrack.predict import StreamTracker, track
from pointtrack.queries import corner_queries, grid_queries, read_queries, support_queries
from pointtrack.types import Queries, Tracks, Video
from pointtrack.video import read_video, stream_video, write_video

__version__ = "0.1.0"

__all__ = [
    "Queries",
    "StreamTracker",
    "Tracks",
    "Video",
    "contact_sheet",
    "corner_queries",
    "draw_tracks",
    "grid_queries",
    "load_tracker",
    "load_tracks",
    "read_queries",
    "read_video",
    "save_tracks",
    "stream_video",
    "support_queries",
    "track",
    "write_video",
]
