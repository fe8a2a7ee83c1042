"""What tells one source of frames from another, so that a run resumes on the video it began with."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pointtrack.checks import counted
from pointtrack.io.outputs import origin_of
from pointtrack.io.picture_lists import are_paths
from pointtrack.types import Video
from pointtrack.types.video import digest_of


def identity_of(source: Any, pictures: int | None = None) -> str:
    """What can be said of a source of `open_video` without reading all of it.

    Args:
        source: a path or URL, a `Video`, an array, a sequence or an iterable of frames.
        pictures: how many pictures a folder or pattern has; None for other sources.

    Returns:
        A file's content, a folder's path and number of pictures; the number of frames in memory and the digest of some
        of them. All iterables of unknown length are alike.
    """
    if isinstance(source, str | Path):
        return origin_of(source) + ("" if pictures is None else f", {counted(pictures, 'picture')}")
    if isinstance(source, Video):
        source = source.frames
    if are_paths(source):
        digest = zlib.crc32("\n".join(map(str, source)).encode())
    elif hasattr(source, "shape") or isinstance(source, Sequence):
        digest = digest_of(source)
    else:
        return "frames"
    return f"{counted(len(source), 'frame')}, digest {digest:08x}"
