"""A contact sheet of a stream, of which nobody knows beforehand how long it is."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from pointtrack.pipeline.sinks import FinalSink, Piece, RecentRows
from pointtrack.viz.masks import draw_mask_frame
from pointtrack.viz.sheets import evenly_spaced, lay_out, resized, tile_wh, tile_with_tracks
from pointtrack.viz.styles import MaskStyle, TrackStyle

MOST_KEPT = 32  # most tiles in memory, besides those that are sure to be wanted


class SheetSink(FinalSink):
    """Keeps a few drawn frames, spread over all that there are, and puts them onto a contact sheet.

    Where `frame_count` is true, the sheet is that of `contact_sheet` and `track_sheet`. Otherwise its frames are those of
    every n-th that are nearest to the ones there, with n such that at most `MOST_KEPT` of them are in memory.

    Args:
        style: how to draw the tracks, or the masks.
        frame_count: how many frames there are likely to be; None if that is unknown.
        pixel_aspect: that of the video; pixels of the sheet are square.
    """

    needs_frames = True

    def __init__(
        self,
        style: TrackStyle | MaskStyle,
        frame_count: int | None = None,
        pixel_aspect: Fraction = Fraction(1),
    ):
        self._style, self._aspect = style, pixel_aspect
        self._wanted = frozenset(evenly_spaced(range(frame_count)) if frame_count else ())
        self._tiles: dict[int, tuple[int, float, np.ndarray]] = {}
        self._apart = 1  # frames from one kept tile to the next
        self._recent = RecentRows(style.trail) if isinstance(style, TrackStyle) else None
        self._last: tuple[int, float, np.ndarray, Any] | None = None

    def write(self, piece: Piece) -> None:
        """Keep what may be wanted."""
        rows = piece.rows if self._recent is None else self._recent.with_earlier(piece.rows)
        for number, (frame, seconds) in enumerate(piece.frames, piece.rows.first_frame):
            self._last = number, seconds, frame, rows
            if number % self._apart == 0 or number in self._wanted:
                self._keep(self._drawn(*self._last))

    def picture(self) -> np.ndarray | None:
        """(h, w, 3) uint8 RGB, the sheet of all frames so far; None without any."""
        if self._last is None:
            return None
        tiles = self._tiles
        if self._last[0] not in tiles:
            tiles = tiles | {self._last[0]: self._drawn(*self._last)}
        there = np.array(sorted(tiles))
        ideal = evenly_spaced(range(self._last[0] + 1))
        nearest = sorted({int(there[np.abs(there - number).argmin()]) for number in ideal})
        return lay_out([tiles[number] for number in nearest])

    def _drawn(
        self, number: int, seconds: float, frame: np.ndarray, rows: Any
    ) -> tuple[int, float, np.ndarray]:
        """A tile, with the number and time of its frame."""
        if isinstance(self._style, MaskStyle):
            drawn = draw_mask_frame(frame, rows, number, self._style, self._aspect)
            return number, seconds, self._sized(drawn)
        return number, seconds, tile_with_tracks(self._sized(frame), rows, number, self._style)

    def _keep(self, tile: tuple[int, float, np.ndarray]) -> None:
        self._tiles[tile[0]] = tile
        while sum(one not in self._wanted for one in self._tiles) > MOST_KEPT:
            self._apart *= 2
            self._tiles = {
                one: kept
                for one, kept in self._tiles.items()
                if one % self._apart == 0 or one in self._wanted
            }

    def _sized(self, frame: np.ndarray) -> np.ndarray:
        """The frame at the size of a tile."""
        return resized(frame, tile_wh((frame.shape[1], frame.shape[0]), pixel_aspect=self._aspect))
