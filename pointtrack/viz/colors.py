"""Colours for points and objects: by position, by id, by visibility."""

from __future__ import annotations

import numpy as np

from pointtrack.types import PointState, Tracks
from pointtrack.viz.styles import COLOR_RULES

# From Okabe and Ito's palette, which works for every kind of colour vision.
STATE_COLORS = {
    PointState.NOT_TRACKED: (153, 153, 153),
    PointState.VISIBLE: (86, 180, 233),
    PointState.HIDDEN: (230, 159, 0),
    PointState.OUT_OF_FRAME: (240, 228, 66),
    PointState.LOST: (213, 94, 0),
}


def track_colors(tracks: Tracks, color_by: str | np.ndarray = "position", row: int = 0) -> np.ndarray:
    """(n, 3) uint8 RGB colours of the points by a rule of `TrackStyle`; `row` matters to "visibility" only.

    Raises:
        ValueError: the rule is unknown, or the array has another shape.
    """
    if not isinstance(color_by, str):
        colors = np.asarray(color_by)
        if colors.shape != (len(tracks.ids), 3) or colors.dtype != np.uint8:
            raise ValueError(
                f"color_by: expected ({len(tracks.ids)}, 3) uint8, one per point, "
                f"got {colors.shape} {colors.dtype}"
            )
        return colors
    if color_by == "position":
        xy = tracks.queries.xy.numpy().astype(float)
        if not len(xy):
            return np.zeros((0, 3), np.uint8)
        low, size = xy.min(axis=0), np.maximum(np.ptp(xy, axis=0), 1e-6)
        x, y = ((xy - low) / size).T
        # Hue runs along a tilted x, lightness along y: two directions, so a colour identifies the position.
        return even_colors(lightness=0.84 - 0.2 * y, hue=20 + 290 * (0.88 * x + 0.12 * y))
    if color_by == "id":
        return id_colors(tracks.ids.numpy())
    if color_by == "visibility":
        # From orange to blue, and darker: distinct without red-green vision, and in grey.
        seen = tracks.visibility[row].numpy()
        return even_colors(lightness=0.82 - 0.16 * seen, hue=65 + 185 * seen)
    if color_by == "state":
        return np.array([STATE_COLORS[state] for state in _states_of(tracks, row)], np.uint8).reshape(-1, 3)
    raise ValueError(f"color_by: expected one of {', '.join(COLOR_RULES)} or an array, got {color_by!r}")


def _states_of(tracks: Tracks, row: int) -> list[PointState]:
    """The state of every point on a row, or one derived from visibility and position if there are no states."""
    if tracks.states is not None:
        return [PointState(value) for value in tracks.states.state[row].tolist()]
    flags = zip(
        tracks.tracked()[row].tolist(),
        tracks.in_frame()[row].tolist(),
        tracks.visible()[row].tolist(),
        strict=True,
    )
    return [
        PointState.NOT_TRACKED if not known
        else PointState.OUT_OF_FRAME if not inside
        else PointState.VISIBLE if seen else PointState.HIDDEN
        for known, inside, seen in flags
    ]  # fmt: skip


def id_colors(ids: np.ndarray) -> np.ndarray:
    """(n,) whole numbers -> (n, 3) uint8 RGB, distinct, and always the same for the same id."""
    # The golden angle keeps the hues of consecutive ids apart; three steps of lightness add more colours.
    return even_colors(lightness=0.76 - 0.08 * (np.asarray(ids) % 3 - 1), hue=25 + 137.508 * np.asarray(ids))


def even_colors(lightness: np.ndarray, hue: np.ndarray, chroma: float = 0.18) -> np.ndarray:
    """(n,) lightness 0..1 and hue in degrees -> (n, 3) uint8 RGB.

    Source: Bjorn Ottosson, "A perceptual color space for image processing" (OKLab in polar form), where equal
    lightness looks equally light in every hue.
    """
    angle = np.deg2rad(hue)
    a, b = chroma * np.cos(angle), chroma * np.sin(angle)
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = np.stack(
        [
            4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
            -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
            -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
        ],
        axis=-1,
    ).clip(0, 1)
    curved = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(curved * 255).astype(np.uint8)
