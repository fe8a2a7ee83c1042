"""The data types that every part of pointtrack uses. They are frozen, and checked when made.

Each is of one video, without a batch axis. Pixels are numpy arrays (they come from decoders and go to files); points
are torch tensors on the CPU. A value of these types is always valid, so code that receives one need not check it.
"""

from pointtrack.types.masks import Masks
from pointtrack.types.point_states import PointState, PointStates
from pointtrack.types.queries import Queries
from pointtrack.types.source import Source
from pointtrack.types.tracks import VISIBLE, Tracks
from pointtrack.types.video import Video

__all__ = ["VISIBLE", "Masks", "PointState", "PointStates", "Queries", "Source", "Tracks", "Video"]
