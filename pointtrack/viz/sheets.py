"""Contact sheets: a few frames of a video in a grid, large enough to judge."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np

from pointtrack.geometry import rescale_points
from pointtrack.types import Tracks, Video
from pointtrack.viz.layer import draw_plate, lay_over, stamp, text_mask
from pointtrack.viz.styles import TrackStyle
from pointtrack.viz.tracks import default_radius, draw_frame

COUNT, COLUMNS, WIDTH = 6, 3, 1920
LEAST_RADIUS = 3.0  # pixels of the sheet, for dots of at least 5 pixels

DrawTile = Callable[[np.ndarray, int], np.ndarray]  # (resized frame, its number) -> frame to show


def contact_sheet(
    video: Video,
    count: int = COUNT,
    columns: int = COLUMNS,
    width: int = WIDTH,
    draw: DrawTile | None = None,
    within: range | None = None,
) -> np.ndarray:
    """Evenly spaced frames of a video in a grid, each with its frame number and time.

    Args:
        video: the video; the first and the last of the frames are always shown.
        count: number of frames; all frames if the video has fewer.
        columns: frames per row.
        width: width of the sheet in pixels.
        draw: draws onto each frame at its size on the sheet.
        within: the frames to choose from; by default all.

    Returns:
        (h, width, 3) uint8 RGB.

    Raises:
        ValueError: less than one frame or column, or the sheet has no room for them.
    """
    if count < 1 or columns < 1:
        raise ValueError(f"contact sheet: expected at least 1 frame and 1 column, got {count} and {columns}")
    within = range(len(video)) if within is None else within
    chosen = evenly_spaced(within, count)
    wh = tile_wh(video.wh, min(columns, len(chosen)), width, video.pixel_aspect)
    tiles = []
    for t in chosen:
        tile = resized(video.frames[t], wh)
        tiles.append((t, float(video.times[t]), tile if draw is None else draw(tile, t)))
    return lay_out(tiles, columns, width)


def evenly_spaced(within: range, count: int = COUNT) -> list[int]:
    """At most `count` frames of a range, the first and the last among them."""
    return sorted(set(np.linspace(within.start, within.stop - 1, count).round().astype(int).tolist()))


def tile_wh(
    wh: tuple[int, int], columns: int = COLUMNS, width: int = WIDTH, pixel_aspect: Fraction = Fraction(1)
) -> tuple[int, int]:
    """The size (w, h) of frames of size `wh` on a sheet, where pixels are square.

    Raises ValueError if less than 16 pixels are left per column.
    """
    w = (width - _gap(width) * (columns + 1)) // columns
    if w < 16:
        raise ValueError(f"contact sheet: expected a width that leaves 16 pixels per column, got {width}")
    return w, max(round(w * wh[1] / (wh[0] * pixel_aspect)), 1)


def resized(frame: np.ndarray, wh: tuple[int, int]) -> np.ndarray:
    """A frame (h, w, 3) at the size (w, h) of a sheet's tiles."""
    shrinks = wh[0] <= frame.shape[1]
    return cv2.resize(frame, wh, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)


def lay_out(
    tiles: Sequence[tuple[int, float, np.ndarray]], columns: int = COLUMNS, width: int = WIDTH
) -> np.ndarray:
    """A sheet of drawn frames of one size, at least one: (number, seconds, picture) each.

    It is as wide as `width`, or less if the tiles, of size `tile_wh`, are fewer than its columns.
    """
    gap, columns = _gap(width), min(columns, len(tiles))
    tile_h, tile_w = tiles[0][2].shape[:2]
    rows = math.ceil(len(tiles) / columns)
    filled = columns * (tile_w + gap) + gap
    wide = width if 0 <= width - filled < columns else filled
    sheet = np.full((rows * (tile_h + gap) + gap, wide, 3), 24, np.uint8)
    for place, (t, seconds, tile) in enumerate(tiles):
        layer = np.zeros((tile_h, tile_w, 4), np.uint8)
        size = max(tile_w // 30, 9)
        _draw_label(layer, f"frame {t} \u00b7 {seconds:.2f} s", (size // 2, size // 2), size)
        top, left = gap + place // columns * (tile_h + gap), gap + place % columns * (tile_w + gap)
        sheet[top : top + tile_h, left : left + tile_w] = lay_over(tile, layer)
    return sheet


def _gap(width: int) -> int:
    """Pixels between the tiles of a sheet."""
    return max(width // 200, 2)


def track_sheet(
    video: Video,
    tracks: Tracks,
    style: TrackStyle | None = None,
    width: int = WIDTH,
    within: range | None = None,
) -> np.ndarray:
    """A contact sheet with tracks, drawn at the size of the sheet, so that dots show whatever the size of the video.

    Args:
        video, tracks, style: as in `draw_tracks`.
        width, within: as in `contact_sheet`.

    Returns:
        (h, width, 3) uint8 RGB.
    """
    style = style or TrackStyle()

    def draw(tile: np.ndarray, t: int) -> np.ndarray:
        return tile_with_tracks(tile, tracks, t, style)

    return contact_sheet(video, width=width, draw=draw, within=within)


def tile_with_tracks(tile: np.ndarray, tracks: Tracks, t: int, style: TrackStyle) -> np.ndarray:
    """A resized frame (h, w, 3) with the tracks up to frame `t` drawn in; as it is if they do not have that frame."""
    if not 0 <= t - tracks.first_frame < len(tracks):
        return tile
    wh = (tile.shape[1], tile.shape[0])
    first = max(t - tracks.first_frame - style.trail, 0)
    piece = tracks.clip(first, t - tracks.first_frame + 1)
    states = piece.states
    if states is not None:
        states = replace(states, raw_xy=rescale_points(states.raw_xy, tracks.wh, wh, "edges"))
    moved = replace(piece, xy=rescale_points(piece.xy, tracks.wh, wh, "edges"), wh=wh, states=states)
    scale = wh[0] / tracks.wh[0]
    radius = default_radius(wh, len(tracks.ids)) if style.radius is None else style.radius * scale
    return draw_frame(tile, moved, t, replace(style, radius=max(radius, LEAST_RADIUS)))


def _draw_label(layer: np.ndarray, text: str, corner: tuple[int, int], size: int) -> None:
    """Draw text on a dark plate."""
    mask = text_mask(text, size)
    pad = max(size // 3, 2)
    draw_plate(layer, corner, (mask.shape[1] + 2 * pad, mask.shape[0] + pad))
    stamp(layer, mask, (corner[0] + pad, corner[1] + pad // 2))
