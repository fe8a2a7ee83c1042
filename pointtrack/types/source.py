"""Who says where a point is."""

from enum import IntEnum


class Source(IntEnum):
    """Who says where a point is on a frame."""

    NOBODY = 0
    MODEL = 1
    PERSON = 2
    INTERPOLATED = 3  # on a frame between two that were looked at
