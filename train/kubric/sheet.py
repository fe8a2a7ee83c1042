"""An overview picture of clips: a row for each, with a few frames, tracks and trails, and one frame's objects."""

from __future__ import annotations

import colorsys
import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SCALE = 2  # each pixel of a clip becomes this many
TRAIL = 5  # frames of a track drawn behind its point


def write_sheet(folder: Path, out: Path, clips: int, columns: int = 4, points: int = 120) -> None:
    """Writes a PNG of the first clips of a folder.

    Args:
        folder: with clip_00000, clip_00001, ...
        out: the PNG; its folder is made if it is missing.
        clips: rows at most.
        columns: frames per row, spread over the clip; one more picture shows the objects.
        points: tracks drawn per clip, spread over those there are.

    Raises:
        FileNotFoundError: no clip in the folder.
    """
    found = sorted(path.parent for path in folder.glob("clip_*/clip.json"))[:clips]
    if not found:
        raise FileNotFoundError(f"sheet: expected clip_00000 and so on in {folder}, found none")
    rows = [np.concatenate(_row(clip, columns, points), axis=1) for clip in found]
    width = max(row.shape[1] for row in rows)
    rows = [np.pad(row, ((0, 4), (0, width - row.shape[1]), (0, 0))) for row in rows]
    out.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(rows)).save(out)


def _row(clip: Path, columns: int, points: int) -> list[np.ndarray]:
    count = json.loads((clip / "clip.json").read_text())["frames"]
    with np.load(clip / "tracks.npz") as data:
        xy, visible = data["xy"], data["visible"]
    chosen = np.linspace(0, xy.shape[1] - 1, min(points, xy.shape[1])).round().astype(int)
    frames = np.linspace(0, count - 1, columns).round().astype(int)
    paths = [next((clip / "frames").glob(f"{f:05d}.*")) for f in frames]
    pictures = [
        draw_tracks(path, xy[:, chosen], visible[:, chosen], f) for path, f in zip(paths, frames, strict=True)
    ]
    objects = Image.open(clip / "masks" / f"{frames[columns // 2]:05d}.png").convert("RGB")
    pictures.append(
        np.array(objects.resize((objects.width * SCALE, objects.height * SCALE), Image.Resampling.NEAREST))
    )
    return pictures


def draw_tracks(path: Path, xy: np.ndarray, visible: np.ndarray, frame: int) -> np.ndarray:
    """A frame enlarged, with dots on visible points (t, n), hollow ones on hidden points, and trails."""
    picture = Image.open(path).convert("RGB")
    picture = picture.resize((picture.width * SCALE, picture.height * SCALE), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(picture)
    # The enlarged picture counts from a pixel's edge, which is half a pixel from its centre.
    at = (xy + 0.5) * SCALE
    for n in range(xy.shape[1]):
        colour = tuple(round(255 * c) for c in colorsys.hsv_to_rgb(n / xy.shape[1], 0.9, 1.0))
        trail = [tuple(place) for place in at[max(frame - TRAIL, 0) : frame + 1, n]]
        x, y = at[frame, n]
        box = (x - 2.5, y - 2.5, x + 2.5, y + 2.5)
        if visible[frame, n]:
            pen.line(trail, fill=colour, width=1)
            pen.ellipse(box, fill=colour)
        else:
            pen.ellipse(box, outline=colour)
    return np.array(picture)
