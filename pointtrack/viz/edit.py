"""Edits by masks: objects or their background blurred, pixelated, or replaced.

Two kinds of edges. Where an object stays and its background changes, the edge is soft and lies a little inside the mask,
and its pixels take colours from within, so that no rim of the old background is left. Where an object is to be hidden,
the edge lies outside the mask, so that nothing of it shows through.
"""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pointtrack.io.pictures import bits_used, read_picture
from pointtrack.io.soft_edges import blurred, cut_out, default_edge, disc, grown, shrunk, spread
from pointtrack.types import Video
from pointtrack.types.masks import Masks
from pointtrack.types.times import placed_in
from pointtrack.viz.color_names import named_color
from pointtrack.viz.styles import EditStyle, changed_style


def edit_video(video: Video, masks: Masks, style: EditStyle | None = None, **changes: Any) -> Video:
    """Edit every frame of a video by its masks.

    Args:
        video: the segmented video. It is not changed.
        masks: its masks, placed as in `draw_masks`. Frames without a row are all background.
        style: what to do; `EditStyle`.
        changes: settings of `EditStyle` by name, as `background="blur"`, which override `style`.

    Returns:
        A new `Video` with the same times.

    Raises:
        ValueError: the masks have another image size or reach beyond the end of the video, a setting is unknown, or there is
            nothing to do.
    """
    style = changed_style(style or EditStyle(), changes, "edits")
    if not style:
        raise ValueError("edits: expected a background or objects, got neither; as in background='blur'")
    masks = replace(masks, first_frame=placed_in(masks, video.times, "masks"))
    editor, frames = Editor(style, video.wh, video.pixel_aspect), np.empty(video.frames.shape, np.uint8)
    for t, frame in enumerate(video.frames):
        frames[t] = editor.edited(frame, masks, t)
    return Video(frames, video.fps, video.times, video.pixel_aspect)


class Editor:
    """Edits frames by their masks, one after the other, for streams.

    Args:
        style: what to do.
        wh: size of the frames.
        pixel_aspect: that of the video; a picture in the background is not stretched.

    Raises:
        ValueError: the picture of the background cannot be read.
    """

    def __init__(self, style: EditStyle, wh: tuple[int, int], pixel_aspect: Fraction = Fraction(1)):
        self.style, self.wh, self._effects = style, wh, style.effects()
        self._size = min(wh)
        self._edge = default_edge(wh) if style.edge is None else style.edge
        self._behind: np.ndarray | None = None
        if style.picture is not None:
            path = Path(style.picture)
            self._behind = _covering(read_picture(path, bits_used([path])), wh, pixel_aspect)
        elif style.background is not None and (color := named_color(style.background)) is not None:
            self._behind = np.full((wh[1], wh[0], 3), color, np.uint8)

    def edited(self, frame: np.ndarray, masks: Masks, t: int) -> np.ndarray:
        """One frame, edited.

        Args:
            frame: (h, w, 3) uint8 RGB. It is not changed.
            masks: masks of that size; if they have no row for frame `t`, all is background.
            t: frame number, counted like `masks.first_frame`.

        Returns:
            (h, w, 3) uint8 RGB, a new array.

        Raises:
            ValueError: the frame or the masks have another size.
        """
        if frame.shape != (self.wh[1], self.wh[0], 3) or masks.wh != self.wh:
            raise ValueError(
                f"frame: expected {self.wh[0]} x {self.wh[1]} pixels as the masks are for, got {frame.shape} and masks of "
                f"{masks.wh[0]} x {masks.wh[1]}"
            )
        row = t - masks.first_frame
        pictures = (
            masks.masks[row].numpy() if 0 <= row < len(masks) else np.zeros((0, *frame.shape[:2]), bool)
        )
        edited = frame.copy()
        if self.style.background is not None:
            inside = (
                np.logical_or.reduce(pictures, axis=0) if len(pictures) else np.zeros(frame.shape[:2], bool)
            )
            edited = self._before_another(frame, inside)
        for number, picture in zip(masks.object_ids.tolist(), pictures, strict=False):
            effect = self._effects.get(number, self._effects.get(None))
            if effect is not None and picture.any():
                self._hide(edited, picture, effect)
        return edited

    def _before_another(self, frame: np.ndarray, inside: np.ndarray) -> np.ndarray:
        """The objects before another background."""
        behind = self._behind
        if behind is None:
            size = self.style.strength * self._size / 30
            outside = (~cv2.dilate(inside.view(np.uint8), disc(self._edge)).view(bool)).astype(np.float32)
            behind = spread(frame, outside, size, blocks=self.style.background == "pixelate")
        if not inside.any():
            return behind.astype(np.uint8, copy=True)
        cut = cut_out(frame, inside, self._edge)
        return _mixed(behind, cut[..., :3], cut[..., 3].astype(np.float32) / 255)

    def _hide(self, frame: np.ndarray, picture: np.ndarray, effect: str) -> None:
        """Hide one object, in the frame itself."""
        left, top, w, h = cv2.boundingRect(picture.view(np.uint8))
        side = math.sqrt(float(picture.sum()))
        blocks = effect == "pixelate"
        # As coarse as the object is large: what was a face must not be one afterwards. Blocks change in steps of a
        # quarter, so that they do not tremble from frame to frame.
        size = self.style.strength * max(self._size / 40, side / (8 if blocks else 6))
        size = round(1.25 ** round(math.log(max(size, 1.0), 1.25))) if blocks else size
        wide = max(3 * self._edge, side / 30)  # masks end a little within what they are of
        reach = math.ceil(3 * size + wide + 3 * self._edge)
        rows = _around(top, h, reach, frame.shape[0], size if blocks else 1)
        columns = _around(left, w, reach, frame.shape[1], size if blocks else 1)
        place = frame[rows, columns]
        wider = cv2.dilate(np.ascontiguousarray(picture[rows, columns]).view(np.uint8), disc(wide))
        if (color := named_color(effect)) is not None:
            hidden: np.ndarray = np.full_like(place, color)
        else:
            hidden = spread(place, np.ones(place.shape[:2], np.float32), size, blocks=blocks)
        share = wider.astype(np.float32)
        if blocks:  # whole ones
            small = shrunk(share, int(size)) > 0
            share = grown(small.astype(np.float32), int(size), share.shape)
        elif self._edge:
            share = np.maximum(
                share, blurred(cv2.dilate(wider, disc(self._edge)).astype(np.float32), self._edge)
            )
        place[...] = _mixed(place, hidden, share)


def _mixed(under: np.ndarray, over: np.ndarray, share: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8: `over` counts by its share (h, w) in 0..1."""
    return np.rint(under + (over.astype(np.float32) - under) * share[..., None]).clip(0, 255).astype(np.uint8)


def _around(begin: int, length: int, reach: int, most: int, step: float) -> slice:
    """Rows or columns of an object and around it, beginning at a whole block of the image."""
    first = max(begin - reach, 0)
    return slice(first - first % max(int(step), 1), min(begin + length + reach, most))


def _covering(picture: np.ndarray, wh: tuple[int, int], pixel_aspect: Fraction) -> np.ndarray:
    """A picture that fills the frame in its own shape; what stands over is cut off on both sides."""
    shown_width = wh[0] * float(pixel_aspect)
    height, width = picture.shape[:2]
    scale = max(shown_width / width, wh[1] / height)
    w, h = min(round(shown_width / scale), width), min(round(wh[1] / scale), height)
    left, top = (width - w) // 2, (height - h) // 2
    shrinks = w >= wh[0] and h >= wh[1]
    cut = np.ascontiguousarray(picture[top : top + max(h, 1), left : left + max(w, 1)])
    return cv2.resize(cut, wh, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
