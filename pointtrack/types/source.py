"""The sources of positions of points."""

from enum import IntEnum


class Source(IntEnum):
    """Where the position of a point on a frame comes from."""

    NOBODY = 0
    MODEL = 1
    PERSON = 2
    INTERPOLATED = 3  # on a frame between two tracked ones
