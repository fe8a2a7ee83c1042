"""The contact sheet of a stream."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import numpy as np
import pytest
import torch

import pointtrack as pt
from pointtrack.pipeline import sheet_sink
from pointtrack.pipeline.sheet_sink import MOST_KEPT, SheetSink
from pointtrack.pipeline.sinks import Piece
from pointtrack.types import Masks
from pointtrack.viz.sheets import contact_sheet, track_sheet
from pointtrack.viz.styles import MaskStyle, TrackStyle

STYLE = TrackStyle(trail=4)


def clip(frames: int) -> tuple[pt.Video, pt.Tracks]:
    """A video whose brightness tells its frames apart, and two points that move through it."""
    pictures = np.zeros((frames, 30, 50, 3), np.uint8)
    pictures += (np.arange(frames) * 200 // frames).astype(np.uint8)[:, None, None, None]
    along = torch.linspace(2, 40, frames)[:, None]
    xy = torch.stack([torch.cat([along, 45 - along], 1), torch.full((frames, 2), 12.0)], -1)
    seen = torch.ones(frames, 2)
    queries = pt.Queries([0, 0], xy[0])
    return pt.Video(pictures), pt.Tracks(xy, seen, seen, queries, wh=(50, 30))


def told(sink: SheetSink, video: pt.Video, rows: pt.Tracks | Masks, step: int = 7) -> np.ndarray | None:
    for start in range(0, len(video), step):
        stop = min(start + step, len(video))
        frames = [(video.frames[t], float(video.times[t])) for t in range(start, stop)]
        sink.write(Piece(rows.clip(start, stop), frames))
    return sink.picture()


@pytest.mark.parametrize(("frames", "expected"), [(500, 500), (3, None), (MOST_KEPT, None), (70, 70)])
def test_it_is_the_sheet_of_a_video_in_memory(frames, expected):
    video, tracks = clip(frames)
    assert np.array_equal(told(SheetSink(STYLE, expected), video, tracks), track_sheet(video, tracks, STYLE))


def test_pixels_that_are_not_square_are_square_on_the_sheet():
    """A picture file cannot say that its pixels are not: what is round in a player would be squeezed."""
    video, tracks = clip(12)
    wide = dataclasses.replace(video, pixel_aspect=Fraction(2))
    plain, sheet = track_sheet(video, tracks, STYLE), track_sheet(wide, tracks, STYLE)
    assert sheet.shape[0] == pytest.approx(plain.shape[0] / 2, rel=0.05) and sheet.shape[1] == plain.shape[1]
    assert np.array_equal(told(SheetSink(STYLE, 12, Fraction(2)), wide, tracks), sheet)


@pytest.mark.parametrize("style", [MaskStyle(), MaskStyle(side_by_side=True)])
def test_masks(style):
    video, _ = clip(40)
    shapes = torch.zeros(40, 1, 30, 50, dtype=torch.bool)
    shapes[:, 0, 5:20, 5:30] = True
    masks = Masks(shapes)
    expected = contact_sheet(pt.draw_masks(video, masks, style))
    assert np.array_equal(told(SheetSink(style, 40), video, masks), expected)


@pytest.mark.parametrize("expected", [None, 3, 4000])
def test_whatever_the_length_it_covers_the_video_and_keeps_little(expected, monkeypatch):
    video, tracks = clip(1003)
    sink, shown = SheetSink(STYLE, expected), []
    monkeypatch.setattr(sheet_sink, "lay_out", lambda tiles: shown.extend(number for number, *_ in tiles))
    told(sink, video, tracks)
    assert len(shown) == 6 and shown[0] == 0 and shown[-1] == 1002
    assert len(sink._tiles) <= MOST_KEPT + 6
    ideal = np.linspace(0, 1002, 6)
    assert np.abs(shown - ideal).max() <= len(video) / MOST_KEPT


def test_nothing_gives_no_sheet():
    assert SheetSink(STYLE).picture() is None
