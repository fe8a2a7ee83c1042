"""Converts what users pass to videos, queries and progress callbacks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from pointtrack.checks import checked_wh
from pointtrack.io.video import read_video
from pointtrack.types import Queries, Tracks, Video


def inputs_of(video: Any, queries: Any) -> tuple[Video, Queries]:
    """A video and points from whatever `read_video` and `Queries.of` take.

    Raises:
        ValueError: something else, or the two in the wrong order.
    """
    if isinstance(video, Queries):
        raise ValueError("video and queries are swapped: tracker.track(video, queries)")
    taken = Queries.of(queries)  # before a long video is read
    return video_of(video), taken


def video_of(video: Any) -> Video:
    """A video, or whatever else `read_video` takes. Raises what that does, and ValueError for frames too small to track."""
    taken = video if isinstance(video, Video) else read_video(video)
    checked_wh(taken.wh, "video")
    return taken


def with_names(tracks: Tracks, queries: Queries) -> Tracks:
    """The tracks with the names of the requested points."""
    if not queries.names:
        return tracks
    names = dict(zip(queries.ids.tolist(), queries.names, strict=True))
    return replace(tracks, queries=tracks.queries.named(names))


@contextmanager
def progress_of(
    progress: Callable[[Any], None] | bool | None,
    total: int | None,
    what: str = "tracking",
    count: Callable[[Any], int] = int,
) -> Iterator[Callable[[Any], None] | None]:
    """The function to call with finished frames: `progress` itself, or one that moves a bar for True.

    Args:
        progress: as the caller got it.
        total: number of frames, if known.
        what: the word before the bar.
        count: finished frames, as `progress` gets them -> their number.
    """
    if not isinstance(progress, bool):
        yield progress
    elif not progress:
        yield None
    else:
        from tqdm.auto import tqdm

        with tqdm(total=total, desc=what, unit="frame") as bar:
            yield lambda done: bar.update(count(done)) and None
