"""Masks on frames: transparent fill, crisp outline, labels, a legend; or the objects cut out.

As for tracks, everything on one frame is drawn on a transparent layer, with colours multiplied by their opacity, and
that layer is put over the frame once.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from statistics import NormalDist
from typing import Any

import cv2
import numpy as np
import torch

from pointtrack.checks import check_kind
from pointtrack.types import Video
from pointtrack.types.masks import Masks
from pointtrack.types.times import placed_in
from pointtrack.viz.color_names import ChosenColors
from pointtrack.viz.colors import id_colors
from pointtrack.viz.layer import DARK, draw_plate, ink_of, lay_over, shown_wh, stamp, text_mask
from pointtrack.viz.styles import MaskStyle, changed_style

CHECKER = (168, 208)  # the two greys that stand for transparency


def draw_masks(
    video: Video | np.ndarray, masks: Masks, style: MaskStyle | None = None, **changes: Any
) -> Video:
    """Draw masks onto every frame of a video. The colour of an object depends on its id only.

    Args:
        video: the segmented video, or its frames as an array. It is not changed.
        masks: its masks; row i belongs to frame `masks.first_frame + i` of the video, or, if the video is a clip of
            the one that they are of, to the frame of the same time. Frames without a row show no
            object.
        style: how the masks look; by default `MaskStyle()`.
        changes: settings of `MaskStyle` by name, as `opacity=0.6`, which override `style`.

    Returns:
        A new `Video` with the same times, twice as wide with `side_by_side`.

    Raises:
        ValueError: the masks have another image size or reach beyond the end of the video, or a setting is unknown.
    """
    style, video = changed_style(style or MaskStyle(), changes, "mask style"), Video.of(video)
    check_kind(masks, Masks, "draw_masks", "draw_tracks")
    masks = replace(masks, first_frame=placed_in(masks, video.times, "masks"))
    width, height = video.wh
    frames = np.empty((len(video), height, width * (2 if style.side_by_side else 1), 3), np.uint8)
    for t, frame in enumerate(video.frames):
        frames[t] = draw_mask_frame(frame, masks, t, style, video.pixel_aspect)
    return Video(frames, video.fps, video.times, video.pixel_aspect)


def draw_mask_frame(
    frame: np.ndarray,
    masks: Masks,
    t: int,
    style: MaskStyle | None = None,
    pixel_aspect: Fraction = Fraction(1),
    *,
    colors: np.ndarray | None = None,
    **changes: Any,
) -> np.ndarray:
    """Draw masks onto one frame, for streams.

    Args:
        frame: (h, w, 3) uint8 RGB. It is not changed.
        masks: masks of that size; if they have no row for frame `t`, no object is drawn.
        t: frame number, counted like `masks.first_frame`.
        style, changes: as in `draw_masks`.
        pixel_aspect: width of a pixel divided by its height, as the frame is shown; outlines are even and names
            are not stretched there.
        colors: (o, 3) uint8 RGB of the objects; by default those of their ids.

    Returns:
        (h, w, 3) uint8 RGB, a new array; (h, 2 * w, 3) with `side_by_side`.

    Raises:
        ValueError: the masks have another image size, or a setting is unknown.
    """
    style = changed_style(style or MaskStyle(), changes, "mask style")
    if frame.shape != (masks.wh[1], masks.wh[0], 3) or frame.dtype != np.uint8:
        raise ValueError(
            f"frame: expected ({masks.wh[1]}, {masks.wh[0]}, 3) uint8 as the masks are for, "
            f"got {frame.shape} {frame.dtype}; resize the masks or the video"
        )
    chosen, ids = ChosenColors.parse(style.colors), masks.object_ids.tolist()
    if colors is None:
        colors = chosen.over(id_colors(masks.object_ids.numpy()), ids)
    if style.colors is not None and not (shown := chosen.shown(ids)).all():
        masks, colors = masks.select(torch.from_numpy(shown)), colors[shown]
    row = t - masks.first_frame
    if not 0 <= row < len(masks):
        drawn = _checkerboard(masks.wh, pixel_aspect).copy() if style.view == "cutout" else frame.copy()
    elif style.view == "cutout":
        inside = np.logical_or.reduce(masks.masks[row].numpy(), axis=0).view(np.uint8)
        drawn = cv2.copyTo(frame, inside, _checkerboard(masks.wh, pixel_aspect).copy())
    else:
        drawn = _overlay(frame, masks, row, style, colors, pixel_aspect)
    return np.concatenate([frame, drawn], axis=1) if style.side_by_side else drawn


def _overlay(
    frame: np.ndarray, masks: Masks, row: int, style: MaskStyle, colors: np.ndarray, pixel_aspect: Fraction
) -> np.ndarray:
    pictures = masks.masks[row].numpy()
    present = [bool(picture.any()) for picture in pictures]
    shown = [place for place, here in enumerate(present) if here]
    wh = shown_wh(masks.wh, pixel_aspect)
    scale = wh[0] / masks.wh[0], wh[1] / masks.wh[1]
    width = max(min(wh) / 240, 2) if style.outline is None else style.outline
    layer = _filled(pictures, colors, style.opacity)
    if width:
        for place in shown:
            _draw_outline(layer, pictures[place], colors[place], width, scale)
    size = max(round(min(wh) / 34), 9)
    square = wh == masks.wh
    texts = layer if square else np.zeros((wh[1], wh[0], 4), np.uint8)
    if style.label != "none":
        taken: list[tuple[int, int, int, int]] = []
        for place in shown:
            score = float(masks.scores[row, place]) if style.label == "score" else None
            _draw_label(
                texts, _box(pictures[place], scale), _name(masks, place, score), colors[place], size, taken
            )
    if style.legend and present:
        names = [_name(masks, place) for place in range(len(present))]
        _draw_legend(texts, names, colors, present, size)
    if not square:
        layer = _over(layer, cv2.resize(texts, masks.wh, interpolation=cv2.INTER_AREA))
    return lay_over(frame, layer)


def _name(masks: Masks, place: int, score: float | None = None) -> str:
    name = (masks.names[place] if masks.names else "") or f"object {int(masks.object_ids[place])}"
    return name if score is None else f"{name}  {score:.0%}"


@lru_cache(maxsize=4)
def _checkerboard(wh: tuple[int, int], pixel_aspect: Fraction) -> np.ndarray:
    """(h, w, 3) uint8 squares in two greys, a 30th of the shorter side each."""
    shown = shown_wh(wh, pixel_aspect)
    side = max(min(shown) // 30, 2)
    x, y = (np.arange(n) * whole // n // side for n, whole in zip(wh, shown, strict=True))
    return np.asarray(CHECKER, np.uint8)[(y[:, None] + x) % 2][..., None].repeat(3, axis=2)


def _filled(pictures: np.ndarray, colors: np.ndarray, opacity: float) -> np.ndarray:
    """(o, h, w) bool -> (h, w, 4) the layer with all fills; of overlapping objects the last one shows."""
    index = np.zeros(pictures.shape[1:], np.uint16)
    for place, picture in enumerate(pictures):
        index[picture] = place + 1
    inks = np.zeros((1 + len(pictures), 4), np.uint8)
    for place, color in enumerate(colors):
        inks[place + 1] = np.rint(ink_of(color, opacity))
    return _looked_up(inks, index)


def _draw_outline(
    layer: np.ndarray, picture: np.ndarray, color: np.ndarray, width: float, scale: tuple[float, float]
) -> None:
    """Draw a smooth line along the edge, also of holes; a dark rim sets it off from a background of its colour.

    It is `width` pixels wide once the layer is shown larger by `scale`, in x and y.
    """
    left, top, w, h = cv2.boundingRect(picture.view(np.uint8))
    sigma = width / scale[0], width / scale[1]
    reach = math.ceil(3 * sigma[0]), math.ceil(3 * sigma[1])
    rows = slice(max(top - reach[1], 0), top + h + reach[1])
    columns = slice(max(left - reach[0], 0), left + w + reach[0])
    inside = picture[rows, columns].view(np.uint8) * np.uint8(255)
    # Where the object leaves the image, it has no edge: hence "replicate".
    blurred = cv2.GaussianBlur(inside, (0, 0), sigma[0], sigmaY=sigma[1], borderType=cv2.BORDER_REPLICATE)
    place = layer[rows, columns]
    place[...] = _over(place, _looked_up(_edge_inks(tuple(color.tolist()), width), blurred))


@lru_cache(maxsize=1024)
def _edge_inks(color: tuple[int, int, int], width: float) -> np.ndarray:
    """(256, 4) uint8 ink of the outline by the value of the mask, blurred with a sigma of `width`, 0..255.

    A straight edge blurred by a Gaussian has the value Phi(distance / sigma), so the value gives the distance.
    """
    normal = NormalDist(sigma=width)
    distance = np.array([normal.inv_cdf(min(max(value / 255, 1e-9), 1 - 1e-9)) for value in range(256)])
    line = np.clip(0.5 + width / 2 - np.abs(distance), 0, 1)[:, None]
    rim = np.where(distance < 0, np.clip(0.5 + width + distance, 0, 1), 0)[:, None]
    inks = np.array(ink_of(DARK, 0.45)) * rim * (1 - line) + np.array(ink_of(color, 1.0)) * line
    return np.rint(inks).astype(np.uint8)


def _looked_up(inks: np.ndarray, index: np.ndarray) -> np.ndarray:
    """(k, 4) uint8 inks and (h, w) index -> (h, w, 4); the four bytes of an ink move as one number."""
    return inks.view(np.uint32)[:, 0][index].view(np.uint8).reshape(*index.shape, 4)


def _over(under: np.ndarray, layer: np.ndarray) -> np.ndarray:
    """One transparent layer over another, as a new array."""
    through = 255 - cv2.extractChannel(layer, 3)
    return cv2.add(cv2.multiply(under, cv2.merge([through] * 4), scale=1 / 255), layer)


def _box(picture: np.ndarray, scale: tuple[float, float]) -> tuple[int, int, int, int]:
    """Left, top, width and height of a mask, shown larger by `scale`."""
    left, top, w, h = cv2.boundingRect(picture.view(np.uint8))
    return round(left * scale[0]), round(top * scale[1]), round(w * scale[0]), round(h * scale[1])


def _draw_label(
    layer: np.ndarray,
    box: tuple[int, int, int, int],
    name: str,
    color: np.ndarray,
    size: int,
    taken: list[tuple[int, int, int, int]],
) -> None:
    """Draw the name on a dark plate above the object; if that is outside the image or taken, inside or below.

    `taken` lists the plates (left, top, right, bottom) of this frame and gets the new one.
    """
    text = text_mask(name, size)
    pad = max(size // 3, 2)
    width, height = text.shape[1] + size + 3 * pad, text.shape[0] + pad
    left, top, w, h = box
    gap = size // 2
    places = itertools.product(
        (top - height - gap, top + gap, top + h + gap, top + (h - height) // 2),
        (left + (w - width) // 2, left + (w - width) // 2 - width // 3, left + (w - width) // 2 + width // 3),
    )
    for y, x in places:
        x = min(max(x, 0), max(layer.shape[1] - width, 0))
        y = min(max(y, 0), max(layer.shape[0] - height, 0))
        plate = (x, y, x + width, y + height)
        if not any(_meet(plate, other) for other in taken):
            break
    taken.append(plate)
    draw_plate(layer, (x, y), (width, height))
    _draw_swatch(layer, (x + pad, y + (height - size) // 2), size, color)
    stamp(layer, text, (x + size + 2 * pad, y + round(height / 2 - text.shape[0] * 0.44)))


def _meet(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _draw_legend(
    layer: np.ndarray, names: list[str], colors: np.ndarray, present: list[bool], size: int
) -> None:
    """Draw colours with names on a dark plate, bottom left, in as many lines as necessary."""
    texts = [text_mask(name, size) for name in names]
    widths = [text.shape[1] + round(size * 2.8) for text in texts]
    room = layer.shape[1] - round(size * 1.6)
    lines: list[list[int]] = [[]]
    for place in range(len(names)):
        if lines[-1] and sum(widths[i] for i in [*lines[-1], place]) > room:
            lines.append([])
        lines[-1].append(place)
    line_h = round(size * 1.8)
    wide = max(sum(widths[i] for i in line) for line in lines) - round(size * 0.2)
    left, top = round(size * 0.8), layer.shape[0] - line_h * len(lines) - round(size * 0.8)
    draw_plate(layer, (left, top), (wide, line_h * len(lines)))
    for row, line in enumerate(lines):
        x, y = left + round(size * 0.7), top + row * line_h
        for place in line:
            # An absent object gets an outlined colour, and dim letters.
            _draw_swatch(layer, (x, y + (line_h - size) // 2), size, colors[place], present[place])
            cover = texts[place] if present[place] else texts[place] // 2
            stamp(layer, cover, (x + round(size * 1.5), y + round(line_h / 2 - cover.shape[0] * 0.44)))
            x += widths[place]


def _draw_swatch(
    layer: np.ndarray, corner: tuple[int, int], size: int, color: np.ndarray, full: bool = True
) -> None:
    """Draw a disc in the colour, or a ring."""
    centre = (corner[0] + size // 2, corner[1] + size // 2)
    radius = max(round(size * 0.42), 2)
    cv2.circle(layer, centre, radius, ink_of(color, 1.0), -1 if full else 1, cv2.LINE_AA)
