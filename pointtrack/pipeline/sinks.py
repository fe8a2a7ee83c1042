"""Sinks, which take rows: memory, a growing file, arrays, a drawn video. To add an output, add a sink."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from pointtrack.io.mask_writers import Append
from pointtrack.io.track_arrays import DenseStore
from pointtrack.io.track_log import TrackWriter
from pointtrack.io.video import VideoStream, write_video
from pointtrack.tracking.smooth import Smoother
from pointtrack.types import Tracks
from pointtrack.viz.edit import Editor
from pointtrack.viz.masks import draw_mask_frame
from pointtrack.viz.styles import MaskStyle, TrackStyle
from pointtrack.viz.tracks import draw_frame


@dataclass(frozen=True, eq=False)
class Piece:
    """Final rows, or the preview of a frame.

    Attributes:
        rows: `Tracks` of the requested points, or `Masks` of objects.
        frames: the frames of the rows with their times, if a sink needs frames and they are available; a resumed run
            lacks those from before.
    """

    rows: Any
    frames: Sequence[tuple[np.ndarray, float]]


class Sink(Protocol):
    """Takes consecutive pieces.

    Attributes:
        needs_frames: True if the sink needs the frames of the pieces.
    """

    needs_frames: bool

    def write(self, piece: Piece) -> None:
        """Take final rows."""

    def preview(self, piece: Piece) -> None:
        """Take a preview, which may still change."""

    def close(self) -> None:
        """No more pieces come."""


class FinalSink:
    """A sink that ignores previews."""

    needs_frames = False

    def preview(self, piece: Piece) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class MemorySink(FinalSink):
    """Keeps all rows in memory."""

    def __init__(self) -> None:
        self._parts: list[Tracks] = []

    def write(self, piece: Piece) -> None:
        """Keep the rows."""
        self._parts.append(piece.rows)

    def tracks(self) -> Tracks:
        """All rows, at least one piece of them."""
        return Tracks.concat(self._parts)


class CallSink(FinalSink):
    """Passes rows to a function."""

    def __init__(self, function: Callable[[Any], None]):
        self._function = function

    def write(self, piece: Piece) -> None:
        """Call the function with the rows."""
        self._function(piece.rows)


class LogSink(FinalSink):
    """Writes rows to a growing file."""

    def __init__(self, writer: TrackWriter):
        self._writer = writer

    def write(self, piece: Piece) -> None:
        """Append them."""
        self._writer.append(piece.rows)

    def close(self) -> None:
        """Close the file."""
        self._writer.close()


class BackwardSink(FinalSink):
    """Writes rows of the reversed frames `late`..0 to some columns of arrays: the rows before the points' query frames.

    Args:
        store: the arrays.
        columns: (n,) the columns of the rows' points in them.
        late: frame number of the first row.
        frame: (n,) query frames of the points.
    """

    def __init__(self, store: DenseStore, columns: np.ndarray, late: int, frame: Tensor):
        self._store, self._columns, self._late, self._frame = store, columns, late, frame

    def write(self, piece: Piece) -> None:
        """Write the rows there."""
        rows = piece.rows
        for row in range(len(rows)):
            number = self._late - rows.first_frame - row
            before = number < self._frame
            self._store.write(number, self._columns[before.numpy()], rows.clip(row, row + 1).select(before))


class RecentRows:
    """Keeps the newest of consecutive rows, so that trails reach back into earlier pieces.

    Args:
        trail: how many frames a trail reaches back.
    """

    def __init__(self, trail: int):
        self._trail = trail
        self._recent: Tracks | None = None

    def with_earlier(self, rows: Tracks) -> Tracks:
        """The rows, with the earlier ones that trails reach back to in front."""
        recent = self._recent
        if recent is not None and recent.first_frame + len(recent) == rows.first_frame:
            rows = Tracks.concat([recent, rows])
        self._recent = rows.clip(max(len(rows) - max(self._trail, 1), 0))
        return rows


class Trail:
    """Draws the frames of consecutive pieces, with the trails of the points.

    Args:
        style: how the tracks look.
        pixel_aspect: that of the video.
    """

    def __init__(self, style: TrackStyle | None = None, pixel_aspect: Fraction = Fraction(1)):
        self.style, self.pixel_aspect = style or TrackStyle(), pixel_aspect
        self._recent = RecentRows(self.style.trail)

    def draw(self, piece: Piece) -> list[tuple[np.ndarray, float]]:
        """The frames of a piece, drawn, with their times."""
        rows = self._recent.with_earlier(piece.rows)
        return [
            (draw_frame(frame, rows, t, self.style, self.pixel_aspect), seconds)
            for t, (frame, seconds) in enumerate(piece.frames, piece.rows.first_frame)
        ]


class MaskDrawer:
    """Draws frames of pieces with their masks.

    Args:
        style: how the masks look.
        pixel_aspect: that of the video.
    """

    def __init__(self, style: MaskStyle | None = None, pixel_aspect: Fraction = Fraction(1)):
        self.style, self.pixel_aspect = style or MaskStyle(), pixel_aspect

    def draw(self, piece: Piece) -> list[tuple[np.ndarray, float]]:
        """The frames of a piece, drawn, with their times."""
        return [
            (draw_mask_frame(frame, piece.rows, t, self.style, self.pixel_aspect), seconds)
            for t, (frame, seconds) in enumerate(piece.frames, piece.rows.first_frame)
        ]


class EditDrawer:
    """Edits frames of pieces by their masks.

    Args:
        editor: what to do.
    """

    def __init__(self, editor: Editor):
        self._editor = editor

    def draw(self, piece: Piece) -> list[tuple[np.ndarray, float]]:
        """The frames of a piece, edited, with their times."""
        numbered = enumerate(piece.frames, piece.rows.first_frame)
        return [(self._editor.edited(frame, piece.rows, t), seconds) for t, (frame, seconds) in numbered]


class MaskSink(FinalSink):
    """Writes masks to a growing file, or a folder.

    Args:
        append: from `io.mask_writers.mask_writer`.
    """

    needs_frames = True

    def __init__(self, append: Append):
        self._append = append

    def write(self, piece: Piece) -> None:
        """Append them."""
        self._append(piece.rows, piece.frames)


class SmoothSink(FinalSink):
    """Passes rows with smoothed positions to another sink.

    Args:
        sink: takes the smoothed rows.
        radius: frames on each side to smooth over.
    """

    def __init__(self, sink: Sink, radius: int):
        self.needs_frames = sink.needs_frames
        self._sink, self._smoother = sink, Smoother(radius)
        self._frames: deque[tuple[np.ndarray, float] | None] = deque()  # one for each row still to come

    def write(self, piece: Piece) -> None:
        """Pass on the rows that this completes."""
        self._frames.extend(piece.frames if piece.frames else (None for _ in range(len(piece.rows))))
        self._give([self._smoother.push(piece.rows)])

    def close(self) -> None:
        """Pass on the rest, and close the other sink."""
        self._give(self._smoother.finish())
        self._sink.close()

    def _give(self, parts: Sequence[Tracks]) -> None:
        for rows in parts:
            if len(rows):
                taken = [self._frames.popleft() for _ in range(len(rows))]
                frames = [frame for frame in taken if frame is not None]
                self._sink.write(Piece(rows, frames if len(frames) == len(rows) else []))


class VideoSink:
    """Writes drawn frames to a video file in a thread. Use it in a `with` block.

    Args:
        path: the file; it appears once everything is written.
        like: the video of the frames, for rate, name and pixel aspect.
        style: how to draw the tracks, or the masks, or an `Editor`, which edits the frames by the masks.

    Raises:
        ValueError, OSError: from `close` and `write`, what `write_video` raises.
    """

    needs_frames = True

    def __init__(
        self, path: str | Path, like: VideoStream, style: TrackStyle | MaskStyle | Editor | None = None
    ):
        self._drawer: Trail | MaskDrawer | EditDrawer
        if isinstance(style, Editor):
            self._drawer = EditDrawer(style)
        elif isinstance(style, MaskStyle):
            self._drawer = MaskDrawer(style, like.pixel_aspect)
        else:
            self._drawer = Trail(style, like.pixel_aspect)
        self._queue: Queue[tuple[np.ndarray, float] | BaseException | None] = Queue(maxsize=8)
        self._error: BaseException | None = None

        def work() -> None:
            try:
                drawn = VideoStream(self._taken(), like.fps, None, like.name, pixel_aspect=like.pixel_aspect)
                write_video(path, drawn)
            except BaseException as error:
                self._error = error
                while self._queue.get() is not None:  # `put` must not wait for ever
                    pass

        self._thread = Thread(target=work, name=f"writer of {path}", daemon=True)
        self._thread.start()

    def write(self, piece: Piece) -> None:
        """Draw the frames of final rows; at once an error if they can no longer be written, as on a full disk."""
        if self._error is not None:
            raise self._error
        for drawn in self._drawer.draw(piece):
            self._queue.put(drawn)

    def preview(self, piece: Piece) -> None:
        """Nothing."""

    def close(self, reason: BaseException | None = None) -> None:
        """Finish the file; with a reason, leave it out."""
        if self._thread.is_alive():
            if reason is not None:
                self._queue.put(reason)
            self._queue.put(None)
            self._thread.join()
        if self._error is not None and reason is None:
            raise self._error

    def __enter__(self) -> VideoSink:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.close(error)

    def _taken(self) -> Iterator[tuple[np.ndarray, float]]:
        while (item := self._queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
        self._queue.put(None)  # for the loop that empties the queue after an error
