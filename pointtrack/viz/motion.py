"""A picture that shows how a dense field of points moved."""

from __future__ import annotations

import numpy as np

from pointtrack.types import Tracks
from pointtrack.viz.colors import even_colors, track_colors
from pointtrack.viz.layer import draw_plate, lay_over, stamp, text_mask

LEAST = 1e-3  # pixels; less is no motion


def dense_picture(
    first: np.ndarray, last: np.ndarray, tracks: Tracks, spacing: int = 1, *, legend: bool = True
) -> np.ndarray:
    """Three pictures in a column: where points come from, where they are now, and how they moved.

    In the first two, a point's colour is that of its position on the first frame; the second leaves out points that
    are hidden on the last frame. In the third, on the first frame, hue is the direction of the motion and strength
    its length, full at the 98th percentile; grey is no motion.

    Args:
        first, last: (h, w, 3) uint8 RGB frames.
        tracks: tracks of these two frames.
        spacing: pixels between neighbouring points on the first frame.
        legend: write a title into each picture, and the meaning of the colours into the third.

    Raises:
        ValueError: the tracks do not have two frames.
    """
    if len(tracks) != 2:
        raise ValueError(f"dense_picture: expected tracks of 2 frames, got {len(tracks)}")
    start, end = tracks.xy.numpy()
    known = tracks.tracked().numpy()
    visible = known & tracks.visible().numpy()
    places = track_colors(tracks)
    parts = [
        _painted(first, start[known[0]], places[known[0]], spacing),
        _painted(last, end[visible[1]], places[visible[1]], spacing),
    ]
    both = known.all(axis=0)
    motion = end[both] - start[both]
    parts.append(_painted(first, start[both], motion_colors(motion), spacing))
    titles = (
        "where points are on the first frame",
        "where they are on the last frame, hidden ones left out",
        "",
    )
    for part, title in zip(parts, titles, strict=True) if legend else ():
        part[...] = lay_over(
            part, _titled(part.shape, title) if title else _wheel(part.shape, full_length(motion))
        )
    return np.concatenate(parts)


def motion_colors(motion: np.ndarray) -> np.ndarray:
    """(n, 2) pixels -> (n, 3) uint8 RGB: hue is the direction, strength the length, full at its 98th percentile."""
    strength = np.minimum(np.linalg.norm(motion, axis=-1) / full_length(motion), 1.0)
    return direction_colors(motion, strength)


def full_length(motion: np.ndarray) -> float:
    """The 98th percentile of the lengths, in pixels, which is drawn in full colour."""
    length = np.linalg.norm(motion, axis=-1)
    return max(float(np.percentile(length, 98)), LEAST) if len(length) else 1.0


def direction_colors(motion: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """(n, 2) directions and (n,) strengths 0..1 -> (n, 3) uint8 RGB."""
    hue = np.rad2deg(np.arctan2(motion[:, 1], motion[:, 0]))
    vivid = even_colors(np.full(len(motion), 0.72), hue).astype(float)
    grey = even_colors(np.full(len(motion), 0.55), hue, chroma=0.0).astype(float)
    return np.rint(grey + strength[:, None] * (vivid - grey)).astype(np.uint8)


def _titled(shape: tuple[int, ...], title: str) -> np.ndarray:
    """A layer with text in the upper left corner, in as many lines as the width takes."""
    layer = np.zeros((*shape[:2], 4), np.uint8)
    size = max(round(min(shape[:2]) / 30), 9)
    lines = [text_mask(line, size) for line in _wrapped(title, size, shape[1] - 2 * size)]
    height, width = lines[0].shape[0] + size // 4, max(line.shape[1] for line in lines)
    draw_plate(layer, (size // 2, size // 2), (width + size, len(lines) * height + size // 4))
    for number, line in enumerate(lines):
        stamp(layer, line, (size, size // 2 + size // 4 + number * height))
    return layer


def _wrapped(text: str, size: int, width: int) -> list[str]:
    """The lines of a text that is at most `width` pixels wide, or a word where one alone is wider."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_mask(longer, size).shape[1] <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _wheel(shape: tuple[int, ...], full: float) -> np.ndarray:
    """A layer with the legend of motion: a disc of colours by direction, and the length that its rim stands for."""
    meaning = (
        f"colour is the direction, full colour {full:.3g} pixels or more" if full > LEAST else "not at all"
    )
    layer = _titled(shape, f"how they moved: {meaning}")
    radius = max(min(shape[:2]) // 10, 12)
    margin = radius // 3
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    distance = np.hypot(x, y)
    colors = direction_colors(
        np.stack([x, y], axis=-1).reshape(-1, 2), np.minimum(distance / radius, 1).ravel()
    )
    disc = np.dstack([colors.reshape(*distance.shape, 3), np.full(distance.shape, 255)]).astype(np.uint8)
    cover = np.clip(radius + 0.5 - distance, 0, 1)[..., None]
    rows = slice(shape[0] - margin - 2 * radius - 1, shape[0] - margin)
    place = layer[max(rows.start, 0) : rows.stop, margin : margin + 2 * radius + 1]
    disc, cover = disc[-place.shape[0] :, : place.shape[1]], cover[-place.shape[0] :, : place.shape[1]]
    place[...] = np.rint(place * (1 - cover) + disc * cover)
    return layer


def _painted(frame: np.ndarray, xy: np.ndarray, colors: np.ndarray, side: int) -> np.ndarray:
    """The frame with a square of `side` pixels at every point, two parts of colour to one of the frame."""
    h, w, _ = frame.shape
    picture = frame.copy()
    corner = np.rint(xy - (side - 1) / 2).astype(int)
    for dy in range(side):
        for dx in range(side):
            x, y = corner.T + np.array([[dx], [dy]])
            inside = (x >= 0) & (x < w) & (y >= 0) & (y < h)
            x, y = x[inside], y[inside]
            picture[y, x] = (frame[y, x].astype(np.uint16) + 2 * colors[inside].astype(np.uint16)) // 3
    return picture
