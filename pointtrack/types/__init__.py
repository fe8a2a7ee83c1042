"""What every part of pointtrack speaks. Frozen, and checked when made.

One video, no batch axis. Pixels are numpy arrays (they come from decoders and go to files), points are
torch tensors on the CPU. A value of these types is always valid: whoever receives one need not check.
"""

from pointtrack.types.masks import Masks
from pointtrack.types.point_states import PointState, PointStates
from pointtrack.types.queries import Queries
from pointtrack.types.source import Source
from pointtrack.types.tracks import VISIBLE, Tracks
from pointtrack.types.video import Video

__all__ = ["VISIBLE", "Masks", "PointState", "PointStates", "Queries", "Source", "Tracks", "Video"]
