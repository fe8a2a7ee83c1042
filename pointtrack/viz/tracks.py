"""Draws tracks: dots, rings for hidden points, crosses for lost ones, arrows for points out of frame, trails, a legend.

Everything on one frame is drawn on a transparent layer, with colours multiplied by their opacity, and that layer is put
over the frame once. So overlapping trail pieces replace each other instead of adding up to dark joints.
"""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
import torch

from pointtrack.checks import check_kind
from pointtrack.geometry import rescale_points
from pointtrack.types import Tracks, Video
from pointtrack.types.point_states import PointState
from pointtrack.types.times import placed_in
from pointtrack.viz.color_names import ChosenColors
from pointtrack.viz.colors import track_colors
from pointtrack.viz.layer import (
    ARROWS,
    DARK,
    LIGHT,
    SHIFT,
    Pen,
    draw_plate,
    ink_of,
    lay_over,
    shown_wh,
    stamp,
    text_mask,
)
from pointtrack.viz.styles import TrackStyle, changed_style

JUMP = 0.08  # share of the diagonal: a step this long, and far longer than its point's others, is not motion
JUMP_RATIO = 5.0  # the ratio that counts as far longer
CUT = 0.15  # share of the diagonal: if most points move this far at once, a new shot begins


def draw_tracks(
    video: Video | np.ndarray, tracks: Tracks, style: TrackStyle | None = None, **changes: Any
) -> Video:
    """Draw tracks onto every frame of a video.

    Args:
        video: the tracked video, or its frames as an array. It is not changed.
        tracks: its tracks; row i belongs to frame `tracks.first_frame + i` of the video, or, if the video is a clip of
            the one that they are of, to the frame of the same time. Frames without a row
            stay as they are.
        style: how the tracks look; by default `TrackStyle()`.
        changes: settings of `TrackStyle` by name, as `trail=20`, which override `style`.

    Returns:
        A new `Video` with the same times.

    Raises:
        ValueError: the tracks have another image size or reach beyond the end of the video, or a setting is unknown.
    """
    style, video = changed_style(style or TrackStyle(), changes, "track style"), Video.of(video)
    check_kind(tracks, Tracks, "draw_tracks", "draw_masks")
    tracks = replace(tracks, first_frame=placed_in(tracks, video.times, "tracks"))
    frames = np.empty_like(video.frames)
    for t, frame in enumerate(video.frames):
        has_row = 0 <= t - tracks.first_frame < len(tracks)
        frames[t] = draw_frame(frame, tracks, t, style, video.pixel_aspect) if has_row else frame
    return Video(frames, video.fps, video.times, video.pixel_aspect)


def draw_frame(
    frame: np.ndarray,
    tracks: Tracks,
    t: int,
    style: TrackStyle | None = None,
    pixel_aspect: Fraction = Fraction(1),
    **changes: Any,
) -> np.ndarray:
    """Draw tracks onto one frame, for streams: `tracks` need only reach back as far as the trail.

    Args:
        frame: (h, w, 3) uint8 RGB. It is not changed.
        tracks: tracks with a row for frame `t`; earlier rows give the trails.
        t: frame number, counted like `tracks.first_frame`.
        style, changes: as in `draw_tracks`.
        pixel_aspect: width of a pixel divided by its height, as the frame is shown; dots are round there.

    Returns:
        (h, w, 3) uint8 RGB, a new array.

    Raises:
        ValueError: there is no row for `t`, the tracks have another image size, or a setting is unknown.
    """
    style = changed_style(style or TrackStyle(), changes, "track style")
    row = t - tracks.first_frame
    if not 0 <= row < len(tracks):
        last = tracks.first_frame + len(tracks) - 1
        raise ValueError(f"t: expected a frame of the tracks, {tracks.first_frame}..{last}, got {t}")
    if frame.shape != (tracks.wh[1], tracks.wh[0], 3) or frame.dtype != np.uint8:
        raise ValueError(
            f"frame: expected ({tracks.wh[1]}, {tracks.wh[0]}, 3) uint8 as the tracks are for, "
            f"got {frame.shape} {frame.dtype}; rescale the tracks or the video"
        )
    colors = track_colors(tracks, style.color_by, row)
    if style.colors is not None:
        chosen = ChosenColors.parse(style.colors)
        shown = chosen.shown(tracks.ids.tolist())
        colors = chosen.over(colors, tracks.ids.tolist())[shown]
        tracks = tracks.select(torch.from_numpy(shown))
    wh = shown_wh(tracks.wh, pixel_aspect)
    pen = Pen.for_image(wh, style.radius or default_radius(wh, len(tracks.ids)))
    first = max(row - style.trail, 0)
    places = tracks.xy[first : row + 1]
    if wh != tracks.wh:
        places = rescale_points(places, tracks.wh, wh, "edges")
    # Signs far outside the image do not show, and would overflow cv2's fixed-point numbers.
    xy = np.clip(places.numpy(), -1e5, 1e5)
    visible = tracks.visible(style.threshold)[first : row + 1].numpy()
    lost = tracks.confidence[row].numpy() < style.lost_below
    if tracks.states is not None:
        gone = (tracks.states.state[first : row + 1] == PointState.LOST).numpy()
        xy, lost = _held_back(xy, visible, gone), gone[-1]
    if len(xy) > 1:
        whole = _breaks(xy, math.hypot(*wh))
        if tracks.states is not None:
            again = tracks.states.times_redetected[first : row + 1].numpy()
            whole |= again[1:] != again[:-1]
        _draw_trails(pen, xy, visible, colors, style, whole)
    known = np.isfinite(xy[-1]).all(axis=-1)
    far = known & ~lost & _out_of_sight(xy[-1], wh, pen.reach)
    if style.outside != "none":
        _draw_arrows(pen, xy[-1], far, colors)
    known &= ~far
    for sign, meant in (
        (style.hidden, known & ~visible[-1] & ~lost),
        (style.lost, known & lost),
        ("visible", known & visible[-1] & ~lost),  # last: on top of the others
    ):
        if sign != "none":
            pen.signs(sign, xy[-1, meant], colors[meant])
    if style.legend:
        _draw_legend(pen.image(), style, bool(style.lost_below) or tracks.states is not None)
    layer = pen.image()
    if wh != tracks.wh:
        layer = cv2.resize(layer, tracks.wh, interpolation=cv2.INTER_AREA)
    return lay_over(frame, layer)


def default_radius(wh: tuple[int, int], points: int) -> float:
    """Radius of the dots in pixels, by the size of the frame; less if points are so many that dots would touch."""
    spacing = math.sqrt(wh[0] * wh[1] / max(points, 1))
    return min(max(min(wh) / 80, 2.5), max(0.16 * spacing, 1.0))


def _held_back(xy: np.ndarray, visible: np.ndarray, gone: np.ndarray) -> np.ndarray:
    """(t, n, 2) positions, NaN where points are lost (`gone`), but on the last row where each was last visible."""
    last = np.full_like(xy[0], np.nan)
    for places, seen in zip(xy, visible, strict=True):
        last[seen] = places[seen]
    xy = np.where(gone[..., None], np.nan, xy)
    xy[-1, gone[-1]] = last[gone[-1]]
    return xy


def _breaks(xy: np.ndarray, diagonal: float) -> np.ndarray:
    """(t - 1, n) bool: the trail is broken there, as its point jumped, at a cut or to something else."""
    moves = np.linalg.norm(np.diff(xy, axis=0), axis=-1)
    # No warning if all are NaN; 0 for points without two known consecutive rows.
    usual = np.array([np.median(one[np.isfinite(one)]) if np.isfinite(one).any() else 0.0 for one in moves.T])
    jumps = (moves > JUMP * diagonal) & (moves > JUMP_RATIO * usual)
    known = np.isfinite(moves)
    cuts = ((moves > CUT * diagonal) & known).sum(axis=1) * 2 > np.maximum(known.sum(axis=1), 1)
    return jumps | cuts[:, None]


def _out_of_sight(xy: np.ndarray, wh: tuple[int, int], reach: int) -> np.ndarray:
    """(n,) bool: the point is so far outside the image that no part of a sign would show."""
    beyond = np.maximum(-0.5 - xy, xy - (np.array(wh) - 0.5)).max(axis=-1)
    return np.nan_to_num(beyond, nan=-1.0) > reach


def _draw_arrows(pen: Pen, xy: np.ndarray, chosen: np.ndarray, colors: np.ndarray) -> None:
    """Draw an arrow for each chosen point, at the position on the border that is nearest to it."""
    height, width = pen.image().shape[:2]
    last = np.array([width, height]) - 1.0
    inset = np.minimum(pen.radius + 1, last / 2)
    places = np.clip(xy, inset, last - inset)
    away = xy - places
    sideways = np.abs(away[:, 0]) >= np.abs(away[:, 1])
    for kind, (x, y) in ARROWS.items():
        side = sideways & (np.sign(away[:, 0]) == x) if x else ~sideways & (np.sign(away[:, 1]) == y)
        pen.signs(kind, places[chosen & side], colors[chosen & side])


def _draw_trails(
    pen: Pen, xy: np.ndarray, visible: np.ndarray, colors: np.ndarray, style: TrackStyle, broken: np.ndarray
) -> None:
    """Draw lines from row to row except at breaks, older ones thinner and more transparent, hidden stretches dim."""
    known = np.isfinite(xy).all(axis=-1)
    fresh = (np.arange(1, len(xy)) + style.trail - (len(xy) - 1)) / style.trail  # 1 for the newest segment
    places = np.rint((np.nan_to_num(xy) + pen.margin) * 2**SHIFT).astype(int).tolist()
    inks = colors.astype(float)
    moves = np.linalg.norm(np.diff(xy, axis=0), axis=-1)
    for under in (True, False):
        for i, freshness in enumerate(fresh):
            shown = known[i] & known[i + 1] & (moves[i] > 0.05) & ~broken[i]
            if style.hidden == "none":
                shown &= visible[i] & visible[i + 1]
            width = max(round(pen.radius * (0.25 + 0.4 * freshness)), 1)
            for n in np.flatnonzero(shown):
                opacity = freshness**1.3 * (0.85 if visible[i + 1, n] else 0.4)
                if under:
                    ink, wide = ink_of(DARK, 0.35 * opacity), width + 2
                else:
                    ink, wide = ink_of(inks[n], opacity), width
                cv2.line(pen.layer, places[i][n], places[i + 1][n], ink, wide, cv2.LINE_AA, SHIFT)


def _draw_legend(layer: np.ndarray, style: TrackStyle, may_be_lost: bool) -> None:
    """Draw the signs with their names on a dark plate, bottom left."""
    entries = [("visible", "visible")]
    entries += [(style.hidden, "hidden")] if style.hidden != "none" else []
    entries += [("right", "out of frame")] if style.outside != "none" else []
    entries += [(style.lost, "lost")] if may_be_lost and style.lost != "none" else []
    height, width = layer.shape[:2]
    size = max(round(min(height, width) / 34), 9)
    texts = [text_mask(text, size) for _, text in entries]
    plate_wh = (sum(text.shape[1] for text in texts) + round(size * 2.2 * len(entries)), round(size * 2))
    left, top = round(size * 0.8), height - plate_wh[1] - round(size * 0.8)
    draw_plate(layer, (left, top), plate_wh)
    pen = Pen.for_image(plate_wh, size * 0.36)
    x, y = size * 1.1, (plate_wh[1] - 1) / 2
    for (sign, _), text in zip(entries, texts, strict=True):
        pen.signs(sign, np.array([[x, y]]), np.array([LIGHT]))
        stamp(layer, text, (left + round(x + size * 0.7), top + round(y - text.shape[0] * 0.44)))
        x += text.shape[1] + size * 2.2
    place = layer[max(top, 0) : top + plate_wh[1], left : left + plate_wh[0]]
    signs = pen.image()[: place.shape[0], : place.shape[1]]
    place[...] = np.rint(place * (1 - signs[..., 3:] / 255.0)) + signs
