"""Tracks on frames: where the dots are, how the signs differ, sheets."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFont

from pointtrack.types import Queries, Tracks, Video
from pointtrack.viz.colors import id_colors, track_colors
from pointtrack.viz.layer import text_mask
from pointtrack.viz.sheets import contact_sheet, track_sheet
from pointtrack.viz.styles import TrackStyle
from pointtrack.viz.tracks import default_radius, draw_frame, draw_tracks

WH = (96, 64)
GREEN = np.array([[0, 255, 0]], np.uint8)


def plain_video(frames=5, value=0, wh=WH):
    return Video(np.full((frames, wh[1], wh[0], 3), value, np.uint8), 10)


def moving_point(frames=5, start=(30.0, 30.0), step=(0.0, 0.0), visibility=1.0, confidence=1.0, wh=WH):
    xy = torch.tensor(start) + torch.arange(frames)[:, None, None] * torch.tensor(step)
    full = torch.ones(frames, 1)
    return Tracks(xy, full * visibility, full * confidence, Queries([0], [start]), wh, fps=10)


def colored(colors):
    return draw_tracks(plain_video(), moving_point(), color_by=colors)


def many_points(frames=6, wh=WH):
    generator = torch.Generator().manual_seed(3)
    start = torch.rand(9, 1, 2, generator=generator) * torch.tensor(wh)
    xy = (start + torch.randn(9, frames, 2, generator=generator).cumsum(1) * 3).transpose(0, 1).contiguous()
    visibility, confidence = torch.rand(2, frames, 9, generator=generator)
    frame = torch.arange(9) % frames
    for n in range(9):
        xy[: frame[n], n], visibility[: frame[n], n], confidence[: frame[n], n] = float("nan"), 0, 0
    return Tracks(xy, visibility, confidence, Queries(frame, start[:, 0]), wh, fps=10)


@pytest.mark.parametrize("xy", [(30.0, 20.0), (30.5, 20.25), (41.3, 33.8), (12.9, 50.1)])
@pytest.mark.parametrize("radius", [None, 2.0, 5.5])
@pytest.mark.parametrize("background", [0, 255])
def test_dot_is_where_the_point_is(xy, radius, background):
    frame = plain_video(1, background).frames[0]
    drawn = draw_frame(frame, moving_point(1, xy), 0, radius=radius, color_by=GREEN).astype(int)
    green = (drawn[..., 1] - np.maximum(drawn[..., 0], drawn[..., 2])).clip(0)
    y, x = np.indices(green.shape)
    centre = np.array([(x * green).sum(), (y * green).sum()]) / green.sum()
    np.testing.assert_allclose(centre, xy, atol=0.1)
    area = green.sum() / 255
    assert area == pytest.approx(np.pi * (radius or 2.5) ** 2, rel=0.15)


@pytest.mark.parametrize("xy", [(0.0, 0.0), (95.0, 63.0), (-1.5, 30.0), (97.0, 65.0)])
def test_dot_on_the_border_is_cut_not_lost(xy):
    frame = plain_video(1).frames[0]
    assert draw_frame(frame, moving_point(1, xy), 0, radius=4).any()


@pytest.mark.parametrize("xy", [(-50.0, 30.0), (1e9, -1e9), (float("nan"), float("nan"))])
def test_what_is_outside_or_unknown_is_not_drawn(xy):
    tracks = Tracks(torch.tensor([[xy]]), torch.ones(1, 1), torch.ones(1, 1), Queries([0], [[1, 1]]), WH)
    frame = plain_video(1, 90).frames[0]
    np.testing.assert_array_equal(draw_frame(frame, tracks, 0, outside="none"), frame)


def test_signs_differ():
    frame = plain_video(1, 90).frames[0]
    signs = {
        "visible": draw_frame(frame, moving_point(1), 0),
        "ring": draw_frame(frame, moving_point(1, visibility=0.2), 0, hidden="ring"),
        "dot": draw_frame(frame, moving_point(1, visibility=0.2), 0, hidden="dot"),
        "cross": draw_frame(frame, moving_point(1, confidence=0.1), 0, lost_below=0.3),
    }
    for name, one in signs.items():
        assert (one != frame).any(), name
        for other, two in signs.items():
            assert name == other or (one != two).any(), (name, other)
    hollow = draw_frame(frame, moving_point(1, visibility=0.2), 0, radius=8)
    np.testing.assert_array_equal(hollow[30, 30], frame[30, 30])
    assert (hollow[30, 38] != frame[30, 38]).any()


@pytest.mark.parametrize(
    ("point", "settings"),
    [
        ({"visibility": 0.2}, {"hidden": "none"}),
        ({"confidence": 0.2}, {"lost": "none", "lost_below": 0.3}),
        ({"visibility": 0.8}, {"hidden": "none", "threshold": 0.9}),
        ({"visibility": 0.2, "step": (4.0, 0.0)}, {"hidden": "none"}),
    ],
)
def test_what_is_switched_off_is_not_drawn(point, settings):
    frame = plain_video(1, 90).frames[0]
    np.testing.assert_array_equal(draw_frame(frame, moving_point(5, **point), 4, **settings), frame)


def test_trail_fades_and_ends():
    tracks = moving_point(10, (10.0, 30.0), (8.0, 0.0))
    drawn = draw_frame(plain_video(1).frames[0], tracks, 9, trail=5, color_by=GREEN)
    green = drawn[30, :, 1].astype(int)
    pieces = [green[x] for x in (46, 54, 62, 70)]  # between the rows: old to new
    assert 0 < pieces[0] < pieces[1] < pieces[2] < pieces[3] < 255
    assert not green[:41].any()
    without = draw_frame(plain_video(1).frames[0], tracks, 9, trail=0)
    assert not without[:, :70].any()


def test_trail_does_not_bridge_unknown_frames():
    tracks = moving_point(5, (10.0, 30.0), (15.0, 0.0))
    xy = tracks.xy.clone()
    xy[2] = float("nan")
    drawn = draw_frame(plain_video(1).frames[0], Tracks(xy, *[torch.ones(5, 1)] * 2, tracks.queries, WH), 4)
    assert drawn[30, 17].any()
    assert not drawn[:, 32:48].any()


@pytest.mark.parametrize(
    "style", [{}, {"trail": 3, "legend": True, "lost_below": 0.3}, {"color_by": "visibility"}]
)
def test_frame_by_frame_is_the_same_as_at_once_and_changes_no_input(style):
    video, tracks = plain_video(6, 120), many_points()
    before, xy = video.frames.copy(), tracks.xy.clone()
    video.frames.flags.writeable = False
    drawn = draw_tracks(video, tracks, **style)
    assert drawn.frames.dtype == np.uint8
    np.testing.assert_array_equal(drawn.times, video.times)
    for t in range(6):
        np.testing.assert_array_equal(draw_frame(video.frames[t], tracks, t, **style), drawn.frames[t])
    np.testing.assert_array_equal(video.frames, before)
    torch.testing.assert_close(tracks.xy, xy, rtol=0, atol=0, equal_nan=True)


def test_a_stream_needs_only_the_rows_of_the_trail():
    video, tracks = plain_video(6, 120), many_points()
    piece = draw_frame(video.frames[5], tracks.clip(3), 5, trail=2)
    np.testing.assert_array_equal(piece, draw_frame(video.frames[5], tracks, 5, trail=2))
    late = draw_tracks(video, tracks.clip(3), trail=2)
    np.testing.assert_array_equal(late.frames[:3], video.frames[:3])
    np.testing.assert_array_equal(late.frames[5], piece)


@pytest.mark.parametrize("wh", [(1, 1), (7, 5), (40, 300), (854, 480)])
@pytest.mark.parametrize("frames", [1, 2])
def test_clips_of_any_size_are_drawn(wh, frames):
    tracks = moving_point(frames, (wh[0] / 2, wh[1] / 2), (1.0, 1.0), wh=wh)
    drawn = draw_tracks(plain_video(frames, wh=wh), tracks, legend=True)
    assert drawn.frames.any(axis=(1, 2, 3)).all()


def test_no_points_and_no_trail_are_fine():
    empty = many_points().select(slice(0, 0))
    for style in ({}, {"color_by": "id"}, {"color_by": "visibility", "trail": 0}):
        np.testing.assert_array_equal(draw_tracks(plain_video(6, 7), empty, **style).frames, 7)


def test_legend_names_what_is_shown():
    frame = np.full((240, 320, 3), 200, np.uint8)
    far = moving_point(1, (-99.0, -99.0), wh=(320, 240))
    plain = draw_frame(frame, far, 0, legend=True, outside="none")
    with_lost = draw_frame(frame, far, 0, legend=True, lost_below=0.2, outside="none")
    width = [np.flatnonzero((drawn != frame).any(axis=(0, 2))).max() for drawn in (plain, with_lost)]
    assert 40 < width[0] < width[1] < 320
    assert not (plain != frame)[:200].any()


def test_dots_can_be_seen_on_any_background():
    for value in (0, 128, 255):
        for color in (np.array([[255, 255, 255]], np.uint8), np.array([[10, 10, 12]], np.uint8), GREEN):
            frame = plain_video(1, value).frames[0]
            contrast = np.abs(draw_frame(frame, moving_point(1), 0, color_by=color).astype(int) - frame).max()
            assert contrast > 60 or (value == 0 and color.max() < 20)


def test_colours():
    tracks = many_points()
    by_id = track_colors(tracks, "id")
    assert len(np.unique(by_id, axis=0)) == 9
    np.testing.assert_array_equal(track_colors(tracks.select([4, 2]), "id"), by_id[[4, 2]])
    np.testing.assert_array_equal(id_colors(np.array([4, 2])), by_id[[4, 2]])
    grid = torch.cartesian_prod(torch.arange(10.0), torch.arange(10.0))
    ones = torch.ones(1, 100)
    by_place = track_colors(Tracks(grid[None], ones, ones, Queries([0] * 100, grid), WH), "position").astype(
        int
    )
    near = np.abs(by_place[0] - by_place[1]).sum()
    assert near < np.abs(by_place[0] - by_place[55]).sum()
    assert len(np.unique(by_place, axis=0)) == 100
    red, green = track_colors(
        Tracks(
            torch.zeros(1, 2, 2),
            torch.tensor([[0.0, 1.0]]),
            torch.ones(1, 2),
            Queries([0, 0], [[1, 1]] * 2),
            WH,
        ),
        "visibility",
    ).tolist()
    assert red[0] > red[1]
    assert green[1] > green[0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TrackStyle(hidden="blob"), "hidden: expected one of ring, dot, none, got 'blob'"),
        (lambda: TrackStyle(lost="skull"), "lost: expected one of cross, none"),
        (lambda: TrackStyle(color_by="taste"), "color_by: expected one of position, id, visibility"),
        (lambda: TrackStyle(trail=-1), "trail >= 0 and radius > 0"),
        (lambda: TrackStyle(radius=0), "trail >= 0 and radius > 0"),
        (lambda: TrackStyle(threshold=2), "threshold and lost_below in 0..1"),
        (lambda: draw_tracks(plain_video(), moving_point(), tail=3), "settings among trail, .* got tail"),
        (lambda: draw_tracks(plain_video(3), moving_point(5)), r"within 0\.\.2 .* got 0\.\.4"),
        (lambda: draw_tracks(plain_video(wh=(64, 96)), moving_point()), r"\(64, 96, 3\) uint8"),
        (lambda: draw_frame(np.zeros((64, 96, 3)), moving_point(), 0), "got .* float64"),
        (lambda: draw_frame(plain_video().frames[0], moving_point(), 5), r"of the tracks, 0\.\.4, got 5"),
        (lambda: colored(np.zeros((2, 3), np.uint8)), r"\(1, 3\) uint8"),
        (lambda: track_colors(moving_point(), "taste"), "color_by: expected one of"),
        (lambda: draw_tracks(plain_video(), "t.npz"), "draw_tracks: expected Tracks, got str; see draw_masks"),
        (lambda: contact_sheet(plain_video(), 0), "at least 1 frame and 1 column"),
        (lambda: contact_sheet(plain_video(), width=40), "leaves 16 pixels per column, got 40"),
    ],
)  # fmt: skip
def test_mistakes(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("aspect", [Fraction(1), Fraction(2), Fraction(1, 2), Fraction(64, 45)])
def test_dots_are_round_where_pixels_are_not_square(aspect):
    video = replace(plain_video(), pixel_aspect=aspect)
    drawn = draw_tracks(video, moving_point(start=(40.0, 30.0)), radius=8).frames[0].max(axis=-1) > 100
    y, x = np.nonzero(drawn)
    assert (x.mean(), y.mean()) == pytest.approx((40, 30), abs=0.3)
    assert (np.ptp(x) + 1) * float(aspect) == pytest.approx(np.ptp(y) + 1, abs=float(max(2 * aspect, 2)))
    assert np.sqrt(drawn.sum() * float(max(aspect, 1 / aspect)) / np.pi) == pytest.approx(8, rel=0.1)


def test_a_part_of_a_video_shows_its_part_of_the_tracks():
    video, tracks = plain_video(9), moving_point(9, step=(4.0, 0.0))
    whole = draw_tracks(video, tracks, trail=0).frames
    for start, stop in ((0, 4), (2, 9), (3, 6)):
        part = draw_tracks(video.clip(start, stop), tracks.clip(start, stop), trail=0)
        np.testing.assert_array_equal(part.frames, whole[start:stop])
    # Fewer rows than frames, also where the rows would fit in by their numbers.
    late = draw_tracks(video.clip(2), tracks.clip(4, 6), trail=0).frames
    np.testing.assert_array_equal(late[2:4], whole[4:6])
    assert not late[:2].any() and not late[4:].any()
    of_clip = Tracks(tracks.xy[3:], tracks.visibility[3:], tracks.confidence[3:], tracks.queries, WH, fps=10)
    np.testing.assert_array_equal(draw_tracks(video.clip(3), of_clip, trail=0).frames, whole[3:])
    with pytest.raises(ValueError, match="draw on the whole video and clip what is drawn"):
        draw_tracks(video.clip(2, 5), tracks)


@pytest.mark.parametrize(
    ("frames", "count", "columns", "shown", "rows"),
    [(20, 8, 4, 8, 2), (3, 8, 4, 3, 1), (1, 8, 4, 1, 1), (20, 5, 2, 5, 3)],
)
def test_contact_sheet(frames, count, columns, shown, rows):
    values = np.arange(frames) * 10 + 30
    video = Video(np.broadcast_to(values[:, None, None, None], (frames, 64, 96, 3)).astype(np.uint8), 10)
    sheet = contact_sheet(video, count, columns, width=640)
    assert (sheet.shape[1:], sheet.dtype) == ((640, 3), np.uint8)
    tile_h = (640 / min(columns, shown)) * 64 / 96
    assert sheet.shape[0] == pytest.approx(rows * tile_h, rel=0.1)
    found = set(np.unique(sheet[..., 0])) & set(values.tolist())
    assert {30, values[-1]} <= found  # the first and the last frame


@pytest.mark.parametrize(
    ("xy", "side"),
    [
        ((-500, 30), "left"),
        ((400, 30), "right"),
        ((40, -90), "up"),
        ((40, 500), "down"),
        ((1e9, -5), "right"),
    ],
)
def test_points_out_of_the_frame_are_arrows_at_its_border(xy, side):
    tracks = Tracks(torch.tensor([[xy]]), torch.ones(1, 1), torch.ones(1, 1), Queries([0], [[1, 1]]), WH)
    frame = plain_video(1).frames[0]
    drawn = draw_frame(frame, tracks, 0, color_by=GREEN, radius=5)[..., 1].astype(float)
    y, x = np.indices(drawn.shape)
    centre = np.array([(x * drawn).sum(), (y * drawn).sum()]) / drawn.sum()
    borders = {"left": (0, None), "right": (WH[0], None), "up": (None, 0), "down": (None, WH[1])}
    for axis, border in enumerate(borders[side]):
        if border is not None:
            assert abs(centre[axis] - border) < 12
    # It is widest away from where it points.
    across = drawn.sum(axis=1 if side in ("up", "down") else 0)
    widths = across[across > 0]
    half = len(widths) // 2
    outer = widths[:half].sum() if side in ("left", "up") else widths[-half:].sum()
    assert outer < widths.sum() - outer


def test_trails_break_at_jumps_and_cuts():
    xy = torch.zeros(6, 1, 2) + torch.tensor([10.0, 30.0])
    xy[:, 0, 0] += torch.tensor([0.0, 1, 2, 60, 61, 62])  # another place all of a sudden
    full = torch.ones(6, 1)
    jumping = Tracks(xy, full, full, Queries([0], [[10, 30]]), WH)
    drawn = draw_frame(plain_video(1).frames[0], jumping, 5, radius=2)
    assert drawn[30, 68:].any()
    assert not drawn[:, 20:64].any()
    steps = torch.arange(4.0)[:, None] * torch.tensor([25.0, 0])
    cut = Tracks(steps[:, None] + torch.tensor([5.0, 30.0]), full[:4], full[:4], Queries([0], [[5, 30]]), WH)
    assert not draw_frame(plain_video(1).frames[0], cut, 3, radius=2)[:, 10:70].any()


def test_dots_are_smaller_where_there_are_many_and_larger_on_large_frames():
    assert default_radius((424, 240), 1) == 3
    assert default_radius((1920, 1080), 1) > 12
    radii = [default_radius((854, 480), count) for count in (1, 400, 2500, 40000)]
    assert radii == sorted(radii, reverse=True)
    assert radii[-1] == 1
    for count in (400, 2500):  # dots of a grid do not touch
        assert 2 * default_radius((854, 480), count) < (854 * 480 / count) ** 0.5 / 2


@pytest.mark.parametrize("wh", [(96, 64), (640, 360)])
def test_dots_on_a_track_sheet_can_be_judged(wh):
    tracks = moving_point(12, (wh[0] / 2, wh[1] / 2), wh=wh)
    sheet = track_sheet(plain_video(12, wh=wh), tracks, TrackStyle(color_by=GREEN, trail=0), width=960)
    assert sheet.shape[1] == 960
    green = (sheet[..., 1].astype(int) - sheet[..., 0]).clip(0) > 128
    assert green.sum() >= 6 * np.pi * 2.5**2  # six frames, dots of five pixels at least


def test_states_have_colours_that_everyone_tells_apart():
    tracks = moving_point(1, visibility=0.1)
    hidden, seen = track_colors(tracks, "state")[0], track_colors(moving_point(1), "state")[0]
    assert hidden.tolist() == [230, 159, 0]
    assert seen.tolist() == [86, 180, 233]
    scale = [track_colors(moving_point(1, visibility=v), "visibility")[0].astype(int) for v in (0.0, 1.0)]
    assert scale[0][0] > scale[0][2]  # orange
    assert scale[1][2] > scale[1][0]  # blue


@pytest.mark.parametrize("size", [9, 12, 20, 36])
def test_no_letter_is_cut(size):
    """The dots of i and the tops of f and l were."""
    font = ImageFont.load_default(size)
    for letter in "fijldkhtbgpqyÄÖ(|[{0139":
        whole = Image.new("L", (3 * size, 3 * size))
        ImageDraw.Draw(whole).text((size, size), letter, fill=255, font=font)
        assert text_mask(letter, size).astype(int).sum() == np.asarray(whole).astype(int).sum(), letter


def test_frames_may_be_an_array():
    video, tracks = plain_video(), moving_point()
    np.testing.assert_array_equal(draw_tracks(video.frames, tracks).frames, draw_tracks(video, tracks).frames)
    with pytest.raises(ValueError, match="video frames: expected an array .* got Tracks"):
        draw_tracks(tracks, video)
