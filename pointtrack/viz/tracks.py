"""Tracks on frames: dots, rings for what is hidden, crosses for what is lost, fading trails, a legend.

Everything of one frame is drawn on a transparent layer, with colours multiplied by their opacity, and laid
over the frame once: overlapping trail pieces replace each other instead of adding up to dark joints.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any

import cv2
import numpy as np

from pointtrack.types import Tracks, Video
from pointtrack.types.point_states import PointState
from pointtrack.viz.colors import COLOR_RULES, track_colors

SHIFT = 4  # cv2 draws at positions of 1/16 pixel
DARK = (16, 16, 20)
LIGHT = (240, 240, 240)


@dataclass(frozen=True, eq=False)
class TrackStyle:
    """How tracks look.

    Args:
        trail: length of the fading trail in frames; 0 for none.
        color_by: "position" (neighbours on their query frames look alike; best for a fixed set of points),
            "id" (distinct colours that stay the same when points come and go), "visibility" (red: hidden,
            green: visible), or in Python colours of your own, (n, 3) RGB in 0..255.
        radius: of a dot in pixels; by default a 135th of the shorter image side.
        hidden: how points that are not visible are drawn: "ring", "dot" (filled, dim) or "none".
        lost: how lost points are drawn: "cross", or "none". Lost are those of a low confidence; of tracks with states, those
            that these say, and the cross is where the point was last seen, as long as the trail reaches back to that.
        threshold: a point is visible above this visibility.
        lost_below: a point is lost below this confidence; 0 means never.
        legend: explain the signs in a corner.

    Raises:
        ValueError: an unknown word, or a number out of range.
    """

    trail: int = 12
    color_by: str | np.ndarray = "position"
    radius: float | None = None
    hidden: str = "ring"
    lost: str = "cross"
    threshold: float = 0.5
    lost_below: float = 0.0
    legend: bool = False

    def __post_init__(self) -> None:
        choices = {"hidden": ("ring", "dot", "none"), "lost": ("cross", "none")}
        if isinstance(self.color_by, str):
            choices["color_by"] = COLOR_RULES
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}: expected one of {', '.join(allowed)}, got {getattr(self, name)!r}")
        if self.trail < 0 or (self.radius is not None and not self.radius > 0):
            raise ValueError(f"expected trail >= 0 and radius > 0, got {self.trail} and {self.radius}")
        if not (0 <= self.threshold <= 1 and 0 <= self.lost_below <= 1):
            raise ValueError(
                f"expected threshold and lost_below in 0..1, got {self.threshold} and {self.lost_below}"
            )


def draw_tracks(video: Video, tracks: Tracks, style: TrackStyle | None = None, **changes: Any) -> Video:
    """Draw tracks onto every frame of a video.

    Args:
        video: the video that was tracked. It is not changed.
        tracks: its tracks; row i belongs to frame `tracks.first_frame + i` of the video. Frames without a row
            stay as they are.
        style: how it looks; by default `TrackStyle()`.
        changes: settings of `TrackStyle` by name, as `trail=20`, which go before `style`.

    Returns:
        A new `Video` with the same times.

    Raises:
        ValueError: tracks of another image size or beyond the end of the video, or an unknown setting.
    """
    style = _style(style, changes)
    if tracks.first_frame + len(tracks) > len(video):
        raise ValueError(
            f"tracks: expected frames within 0..{len(video) - 1} of the video, got "
            f"{tracks.first_frame}..{tracks.first_frame + len(tracks) - 1}"
        )
    frames = np.empty_like(video.frames)
    for t, frame in enumerate(video.frames):
        has_row = 0 <= t - tracks.first_frame < len(tracks)
        frames[t] = draw_frame(frame, tracks, t, style) if has_row else frame
    return Video(frames, video.fps, video.times, video.pixel_aspect)


def draw_frame(
    frame: np.ndarray, tracks: Tracks, t: int, style: TrackStyle | None = None, **changes: Any
) -> np.ndarray:
    """Draw tracks onto one frame, for streams: `tracks` need only reach back as far as the trail.

    Args:
        frame: (h, w, 3) uint8 RGB. It is not changed.
        tracks: tracks with a row for frame `t`; earlier rows give the trails.
        t: frame number, counted as `tracks.first_frame` is.
        style, changes: as in `draw_tracks`.

    Returns:
        (h, w, 3) uint8 RGB, a new array.

    Raises:
        ValueError: no row for `t`, tracks of another image size, or an unknown setting.
    """
    style = _style(style, changes)
    row = t - tracks.first_frame
    if not 0 <= row < len(tracks):
        last = tracks.first_frame + len(tracks) - 1
        raise ValueError(f"t: expected a frame of the tracks, {tracks.first_frame}..{last}, got {t}")
    if frame.shape != (tracks.wh[1], tracks.wh[0], 3) or frame.dtype != np.uint8:
        raise ValueError(
            f"frame: expected ({tracks.wh[1]}, {tracks.wh[0]}, 3) uint8 as the tracks are for, "
            f"got {frame.shape} {frame.dtype}; rescale the tracks or the video"
        )
    pen = _Pen.for_image(tracks.wh, style.radius or max(min(tracks.wh) / 135, 2.5))
    colors = track_colors(tracks, style.color_by, row)
    first = max(row - style.trail, 0)
    # Far outside the image nothing shows, and the fixed-point numbers of cv2 overflow.
    xy = np.clip(tracks.xy[first : row + 1].numpy(), -1e5, 1e5)
    visible = tracks.visible(style.threshold)[first : row + 1].numpy()
    lost = tracks.confidence[row].numpy() < style.lost_below
    if tracks.states is not None:
        gone = (tracks.states.state[first : row + 1] == PointState.LOST).numpy()
        xy, lost = _held_back(xy, visible, gone), gone[-1]
    if len(xy) > 1:
        _draw_trails(pen, xy, visible, colors, style)
    known = np.isfinite(xy[-1]).all(axis=-1)
    for sign, chosen in (
        (style.hidden, known & ~visible[-1] & ~lost),
        (style.lost, known & lost),
        ("visible", known & visible[-1] & ~lost),  # last: on top of the others
    ):
        if sign != "none":
            pen.signs(sign, xy[-1, chosen], colors[chosen])
    if style.legend:
        _draw_legend(pen.image(), style, bool(style.lost_below) or tracks.states is not None)
    return lay_over(frame, pen.image())


def contact_sheet(video: Video, count: int = 8, columns: int = 4, width: int = 1280) -> np.ndarray:
    """Evenly spaced frames of a video in a table, each with its frame number and time.

    Args:
        video: the video; first and last frame are always shown.
        count: number of frames; all frames where the video has fewer.
        columns: frames per row.
        width: width of the sheet in pixels.

    Returns:
        (h, width, 3) uint8 RGB.

    Raises:
        ValueError: less than one frame or column, or no room for them.
    """
    if count < 1 or columns < 1:
        raise ValueError(f"contact sheet: expected at least 1 frame and 1 column, got {count} and {columns}")
    chosen = np.unique(np.linspace(0, len(video) - 1, count).round().astype(int))
    columns = min(columns, len(chosen))
    gap = max(width // 200, 2)
    tile_w = (width - gap * (columns + 1)) // columns
    if tile_w < 16:
        raise ValueError(f"contact sheet: expected a width that leaves 16 pixels per column, got {width}")
    tile_h = max(round(tile_w * video.wh[1] / video.wh[0]), 1)
    rows = math.ceil(len(chosen) / columns)
    sheet = np.full((rows * (tile_h + gap) + gap, width, 3), 24, np.uint8)
    for place, t in enumerate(chosen):
        shrinks = tile_w <= video.wh[0]
        tile = cv2.resize(
            video.frames[t], (tile_w, tile_h), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        )
        layer = np.zeros((tile_h, tile_w, 4), np.uint8)
        size = max(tile_w // 24, 9)
        _draw_label(layer, f"frame {t} · {video.times[t]:.2f} s", (size // 2, size // 2), size)
        top, left = gap + place // columns * (tile_h + gap), gap + place % columns * (tile_w + gap)
        sheet[top : top + tile_h, left : left + tile_w] = lay_over(tile, layer)
    return sheet


@dataclass(frozen=True, eq=False)
class _Pen:
    """Draws on a transparent layer with room around the image, at fractions of a pixel.

    Args:
        layer: (h + 2 * margin, w + 2 * margin, 4) uint8, colours multiplied by opacity, and the opacity.
        radius: of a dot in pixels.
        reach: pixels that a sign may extend from its centre.
    """

    layer: np.ndarray
    radius: float
    reach: int

    @classmethod
    def for_image(cls, wh: tuple[int, int], radius: float) -> _Pen:
        """A pen with an empty layer."""
        reach = math.ceil(radius * 1.5) + 2
        return cls(np.zeros((wh[1] + 4 * reach, wh[0] + 4 * reach, 4), np.uint8), radius, reach)

    @property
    def margin(self) -> int:
        """Pixels around the image, so that a sign near the border need not be cut."""
        return 2 * self.reach

    def image(self) -> np.ndarray:
        """(h, w, 4) what was drawn, without the margin."""
        return self.layer[self.margin : -self.margin, self.margin : -self.margin]

    def signs(self, kind: str, xy: np.ndarray, colors: np.ndarray, radius: float | None = None) -> None:
        """The signs of visible, hidden ("ring", "dot") or lost ("cross") points.

        Args:
            kind: which sign.
            xy: (n, 2) pixels of the image; what lies farther outside than `reach` is left out.
            colors: (n, 3) RGB, 0..255.
            radius: at most that of the pen, which is the default.
        """
        radius = radius or self.radius
        height, width = self.image().shape[:2]
        near = ((xy > -self.reach) & (xy < np.array([width, height]) - 1 + self.reach)).all(axis=-1)
        xy, colors = (xy[near] + self.margin).astype(np.float32), colors[near].astype(np.float32)
        if not len(xy):
            return
        corners = np.rint(xy).astype(int) - self.reach
        steps = np.arange(2 * self.reach + 1)
        dx = (corners[:, 0, None] + steps - xy[:, 0, None]).astype(np.float32)
        dy = (corners[:, 1, None] + steps - xy[:, 1, None]).astype(np.float32)
        shape, edge, opacity = _outline(kind, dx[:, None, :], dy[:, :, None], radius)
        # Coverage of a pixel by a shape whose border runs `shape` pixels away from its centre.
        dark = (np.clip(0.5 - (shape - edge), 0, 1) * 0.75 * opacity)[..., None]
        fill = (np.clip(0.5 - shape, 0, 1) * opacity)[..., None]
        ink = np.pad(colors, ((0, 0), (0, 1)), constant_values=255)[:, None, None]
        patches = np.array([*DARK, 255], np.float32) * dark * (1 - fill) + ink * fill
        through = (1 - dark) * (1 - fill)
        for (left, top), patch, kept in zip(corners.tolist(), patches, through, strict=True):
            place = self.layer[top : top + len(steps), left : left + len(steps)]
            place[...] = place * kept + patch + 0.5


def _outline(kind: str, dx: np.ndarray, dy: np.ndarray, radius: float) -> tuple[np.ndarray, float, float]:
    """Signed distance to the border of a sign (negative inside), width of its dark edge, and its opacity."""
    distance = np.hypot(dx, dy)
    edge = min(max(radius * 0.28, 0.8), 2.0)
    if kind == "visible":
        return distance - radius, edge, 1.0
    if kind == "dot":
        return distance - 0.8 * radius, edge, 0.45
    half = max(radius * 0.2, 0.6)
    if kind == "ring":
        return np.abs(distance - 0.95 * radius) - half, 0.7 * edge, 0.7
    arms = []
    for along, across in ((dx + dy, dx - dy), (dx - dy, dx + dy)):
        beyond = np.maximum(np.abs(along) * math.sqrt(0.5) - radius, 0)
        arms.append(np.hypot(beyond, across * math.sqrt(0.5)))
    return np.minimum(*arms) - half, 0.7 * edge, 0.8


def _style(style: TrackStyle | None, changes: dict[str, Any]) -> TrackStyle:
    known = [field.name for field in fields(TrackStyle)]
    unknown = sorted(set(changes) - set(known))
    if unknown:
        raise ValueError(f"track style: expected settings among {', '.join(known)}, got {', '.join(unknown)}")
    return replace(style or TrackStyle(), **changes)


def _held_back(xy: np.ndarray, visible: np.ndarray, gone: np.ndarray) -> np.ndarray:
    """(t, n, 2) places, NaN where points are lost (`gone`); on the last row those instead on which they were last seen."""
    last = np.full_like(xy[0], np.nan)
    for places, seen in zip(xy, visible, strict=True):
        last[seen] = places[seen]
    xy = np.where(gone[..., None], np.nan, xy)
    xy[-1, gone[-1]] = last[gone[-1]]
    return xy


def _draw_trails(
    pen: _Pen, xy: np.ndarray, visible: np.ndarray, colors: np.ndarray, style: TrackStyle
) -> None:
    """Lines from row to row, older ones thinner and more transparent, hidden stretches dim."""
    known = np.isfinite(xy).all(axis=-1)
    fresh = (np.arange(1, len(xy)) + style.trail - (len(xy) - 1)) / style.trail  # 1 for the newest piece
    places = np.rint((np.nan_to_num(xy) + pen.margin) * 2**SHIFT).astype(int).tolist()
    inks = colors.astype(float)
    moves = np.linalg.norm(np.diff(xy, axis=0), axis=-1)
    for under in (True, False):
        for i, freshness in enumerate(fresh):
            shown = known[i] & known[i + 1] & (moves[i] > 0.05)
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
    """The signs with their names on a dark plate, bottom left."""
    entries = [("visible", "visible")]
    entries += [(style.hidden, "hidden")] if style.hidden != "none" else []
    entries += [(style.lost, "lost")] if may_be_lost and style.lost != "none" else []
    height, width = layer.shape[:2]
    size = max(round(min(height, width) / 34), 9)
    texts = [text_mask(text, size) for _, text in entries]
    plate_wh = (sum(text.shape[1] for text in texts) + round(size * 2.2 * len(entries)), round(size * 2))
    left, top = round(size * 0.8), height - plate_wh[1] - round(size * 0.8)
    draw_plate(layer, (left, top), plate_wh)
    pen = _Pen.for_image(plate_wh, size * 0.36)
    x, y = size * 1.1, (plate_wh[1] - 1) / 2
    for (sign, _), text in zip(entries, texts, strict=True):
        pen.signs(sign, np.array([[x, y]]), np.array([LIGHT]))
        stamp(layer, text, (left + round(x + size * 0.7), top + round(y - text.shape[0] * 0.44)))
        x += text.shape[1] + size * 2.2
    place = layer[max(top, 0) : top + plate_wh[1], left : left + plate_wh[0]]
    signs = pen.image()[: place.shape[0], : place.shape[1]]
    place[...] = np.rint(place * (1 - signs[..., 3:] / 255.0)) + signs


def _draw_label(layer: np.ndarray, text: str, corner: tuple[int, int], size: int) -> None:
    """Text on a dark plate."""
    mask = text_mask(text, size)
    pad = max(size // 3, 2)
    draw_plate(layer, corner, (mask.shape[1] + 2 * pad, mask.shape[0] + pad))
    stamp(layer, mask, (corner[0] + pad, corner[1] + pad // 2))


def draw_plate(layer: np.ndarray, corner: tuple[int, int], wh: tuple[int, int]) -> None:
    left, top = corner
    layer[max(top, 0) : top + wh[1], max(left, 0) : left + wh[0]] = ink_of(DARK, 0.6)


def stamp(layer: np.ndarray, mask: np.ndarray, corner: tuple[int, int]) -> None:
    """Lay light text over the layer; what does not fit is cut off."""
    left, top = corner
    place = layer[max(top, 0) : top + mask.shape[0], max(left, 0) : left + mask.shape[1]]
    cover = mask[: place.shape[0], : place.shape[1], None] / 255.0
    place[...] = np.rint(place * (1 - cover) + np.array([*LIGHT, 255]) * cover)


@lru_cache(maxsize=256)
def text_mask(text: str, size: int) -> np.ndarray:
    """(h, w) uint8 coverage of a line of text, `size` the height of the letters in pixels."""
    from PIL import Image, ImageDraw, ImageFont  # only here: plain drawing runs without Pillow

    font = ImageFont.load_default(size)
    left, _, right, _ = font.getbbox(text)
    top, bottom = font.getbbox("Hg")[1::2]  # one height for every text, so that lines sit level
    image = Image.new("L", (round(right - left) + 1, round(bottom - top) + 1))
    ImageDraw.Draw(image).text((-left, -top), text, fill=255, font=font)
    return np.asarray(image)


def lay_over(frame: np.ndarray, layer: np.ndarray) -> np.ndarray:
    """The layer over the frame, as a new array."""
    colors, opacity = cv2.cvtColor(layer, cv2.COLOR_RGBA2RGB), cv2.extractChannel(layer, 3)
    under = cv2.multiply(frame, cv2.cvtColor(255 - opacity, cv2.COLOR_GRAY2RGB), scale=1 / 255)
    return cv2.add(under, colors)


def ink_of(color: Any, opacity: float) -> tuple[float, float, float, float]:
    """A colour multiplied by its opacity, and the opacity, as the layer holds them."""
    red, green, blue = (float(channel) * opacity for channel in color)
    return red, green, blue, 255.0 * opacity
