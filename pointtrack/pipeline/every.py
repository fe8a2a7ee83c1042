"""Every n-th frame of a video, for runs that read it frame by frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property

import numpy as np

from pointtrack.io.sources import TimedFrame
from pointtrack.io.video import VideoStream
from pointtrack.pipeline.backward import without
from pointtrack.pipeline.files import Opener
from pointtrack.tracking.interpolate import spread, thinned
from pointtrack.types import Queries, Tracks
from pointtrack.types.times import follow_rate, rate_of

PIECE = 16  # frames that are spread, and drawn, at a time


class EveryNth:
    """Opens a video with only every n-th of its frames, its query frames, and its last frame.

    Args:
        opened: opens the whole video.
        every: n.
        queries: the points with their frames in the whole video.

    Attributes:
        numbers: of the kept frames, once the video was read to its end.
        times: of all frames, likewise.
        queries: the points with their frames among those kept.
    """

    def __init__(self, opened: Opener, every: int, queries: Queries):
        self._opened, self._every, self._all = opened, every, queries
        self._given = set(queries.frame.tolist())
        # The video's last frame is not known yet; it comes after all query frames.
        _, self.queries = thinned(max(self._given, default=0) + 1, every, queries)
        self.numbers: list[int] = []
        self.times: list[float] = []
        self._fps = 30.0

    def __call__(self, seconds: float | None) -> VideoStream:
        """Open the kept frames, from the one shown at `seconds` on or from the first one; see `Opener`."""
        if seconds is None:
            source = self._opened(None)
            self._fps = source.fps
            kept_alone = source.through(self._from_the_start(source), every=str(self._every))
            if source.frame_count is not None:
                kept_alone.frame_count = len(thinned(source.frame_count, self._every, self._all)[0])
        else:
            self.read()
            source = self._opened(seconds)
            kept = self._kept_times
            here = ((frame, at) for frame, at in source if round(at, 4) in kept)
            kept_alone = source.through(here, every=str(self._every))
        return kept_alone

    @cached_property
    def _kept_times(self) -> set[float]:
        """Times of the kept frames, cached as the backward pass opens the video piece by piece."""
        return {round(self.times[number], 4) for number in self.numbers}

    def read(self) -> None:
        """Decode all frames to learn their numbers and times, unless that was done."""
        if not self.numbers:
            with self(None) as source:
                for _ in source:
                    pass

    def spread(self, pieces: Iterable[Tracks]) -> Iterator[Tracks]:
        """Spread consecutive pieces of tracks of the kept frames over all frames, see `tracking.interpolate.spread`.

        The pieces that come out have at most `PIECE` frames, so memory does not grow with the video.
        """
        self.read()
        times, fps = np.array(self.times), rate_of(self.times, self._fps)
        regular = follow_rate(times, 0, fps)
        # These may have been tracked from the video's last frame, as that may have their place among those kept.
        late = self._all.frame >= len(times)
        for rows in _overlapping(pieces, max(PIECE // self._every, 1)):
            numbers = self.numbers[rows.first_frame : rows.first_frame + len(rows)]
            first, last = numbers[0], numbers[-1]
            found = spread(rows, [number - first for number in numbers], last - first + 1, self._all)
            # The last row of all is a part of its own; that of any other part is the first of the next.
            found = found if len(rows) == 1 else found.clip(0, last - first)
            own = None if regular else times[first : first + len(found)]
            found = without(found, late.expand(len(found), -1)) if bool(late.any()) else found
            found = replace(found, first_frame=first, fps=fps, times=own)
            yield from (found.clip(at, at + PIECE) for at in range(0, len(found), PIECE))

    def _from_the_start(self, source: VideoStream) -> Iterator[TimedFrame]:
        numbers: list[int] = []
        times: list[float] = []
        skipped: TimedFrame | None = None
        for number, (frame, at) in enumerate(source):
            times.append(at)
            if number % self._every == 0 or number in self._given:
                numbers.append(number)
                skipped = None
                yield frame, at
            else:
                skipped = frame, at
        if skipped is not None:
            numbers.append(len(times) - 1)
            yield skipped
        self.numbers, self.times = numbers, times


def _overlapping(pieces: Iterable[Tracks], size: int) -> Iterator[Tracks]:
    """The rows of consecutive pieces, without their times, in parts that share a row with the next, at most `size` more.

    The last row of all comes once more, alone.
    """
    held: Tracks | None = None
    for piece in pieces:
        plain = replace(piece, times=None)
        held = plain if held is None else Tracks.concat([held, plain])
        yield from (held.clip(at, at + size + 1) for at in range(0, len(held) - 1, size))
        held = held.clip(len(held) - 1)
    if held is not None:
        yield held
