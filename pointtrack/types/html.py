"""Notebook views of videos, points, tracks and masks: a line of text and a picture, or a player if mediapy is there."""

from __future__ import annotations

import base64
import colorsys
import html
import io
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pointtrack.types.masks import Masks
    from pointtrack.types.queries import Queries
    from pointtrack.types.tracks import Tracks
    from pointtrack.types.video import Video

logger = logging.getLogger(__name__)

WIDTH = 480  # pixels, of pictures and players
MOST_PLAYED = 400  # frames
MOST_POINTS = 400


def video_html(video: Video) -> str:
    """A player, or three frames."""
    try:
        import mediapy

        step = max(-(-len(video) // MOST_PLAYED), 1)
        frames = [_shrunk(video.frames[t]) for t in range(0, len(video), step)]
        shown = mediapy.show_video(frames, fps=video.fps / step, return_html=True) or ""
    except Exception as error:  # not installed, or without the programs that it needs
        logger.debug("no player: %s", error)
        chosen = dict.fromkeys((0, len(video) // 2, len(video) - 1))
        shown = "".join(_picture(video.frames[t]) for t in chosen)
    return f"<div>{html.escape(repr(video))}<br>{shown}</div>"


def queries_html(queries: Queries) -> str:
    """The points as dots."""
    xy = queries.xy.numpy()[:MOST_POINTS]
    labels = queries.labels()
    wh = np.ceil(xy.max(axis=0) + 10) if len(xy) else np.array([10, 10])
    dots = [_dot(place, i, len(xy), labels[i]) for i, place in enumerate(xy.tolist())]
    return f"<div>{html.escape(repr(queries))}<br>{_svg(wh, dots)}</div>"


def tracks_html(tracks: Tracks) -> str:
    """The paths of the points as lines, with a dot at the last position of each."""
    xy, known = tracks.xy.numpy(), tracks.tracked().numpy()
    labels, count = tracks.queries.labels(), min(xy.shape[1], MOST_POINTS)
    parts = []
    for n in range(count):
        rows = np.flatnonzero(known[:, n])
        for piece in np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1):
            line = " ".join(f"{x:.1f},{y:.1f}" for x, y in xy[piece, n].tolist())
            parts.append(
                f'<polyline points="{line}" fill="none" stroke="{_hue(n, count)}" stroke-width="1.5" opacity="0.7"/>'
            )
        if len(rows):
            parts.append(_dot(xy[rows[-1], n].tolist(), n, count, labels[n]))
    return f"<div>{html.escape(repr(tracks))}<br>{_svg(np.array(tracks.wh), parts)}</div>"


def masks_html(masks: Masks) -> str:
    """Three frames, every object in a colour of its own."""
    shown = ""
    count = len(masks.object_ids)
    for t in dict.fromkeys((0, len(masks) // 2, len(masks) - 1)) if len(masks) else ():
        picture = np.full((masks.wh[1], masks.wh[0], 3), 40, np.uint8)
        for place, mask in enumerate(masks.masks[t].numpy()):
            picture[mask] = [int(_hue(place, count)[i : i + 2], 16) for i in (1, 3, 5)]
        shown += _picture(picture)
    return f"<div>{html.escape(repr(masks))}<br>{shown}</div>"


def _svg(wh: np.ndarray, parts: Sequence[str]) -> str:
    height = round(WIDTH * float(wh[1]) / float(wh[0]))
    return (
        f'<svg width="{WIDTH}" height="{height}" viewBox="-0.5 -0.5 {wh[0]:g} {wh[1]:g}" '
        f'style="background:#222">{"".join(parts)}</svg>'
    )


def _dot(xy: Sequence[float], place: int, count: int, label: str) -> str:
    text = html.escape(label)
    return f'<circle cx="{xy[0]:.1f}" cy="{xy[1]:.1f}" r="3" fill="{_hue(place, count)}"><title>{text}</title></circle>'


def _hue(place: int, count: int) -> str:
    red, green, blue = colorsys.hls_to_rgb(place / max(count, 1), 0.6, 0.9)
    return f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}"


def _shrunk(frame: np.ndarray) -> np.ndarray:
    """Shrink a frame for display; every k-th pixel is enough for a preview."""
    step = max(-(-frame.shape[1] // WIDTH), 1)
    return np.ascontiguousarray(frame[::step, ::step])


def _picture(frame: np.ndarray) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(_shrunk(frame)).save(buffer, "PNG")
    text = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f'<img src="data:image/png;base64,{text}" width="{WIDTH // 3}" style="margin:2px">'
