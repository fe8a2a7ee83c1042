"""Masks on frames: fill, outline, colours, labels, legend and cutouts, measured in the pixels."""

from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import pytest
import torch

from pointtrack.types import Video
from pointtrack.types.masks import Masks
from pointtrack.viz.colors import id_colors
from pointtrack.viz.layer import shown_wh
from pointtrack.viz.masks import CHECKER, draw_mask_frame, draw_masks
from pointtrack.viz.styles import MaskStyle

WH = (160, 120)


def box_masks(*boxes, frames=1, **settings):
    """One object per box (left, top, right, bottom), None for an absent one, the same on all frames."""
    pixels = np.zeros((frames, len(boxes), WH[1], WH[0]), bool)
    for place, box in enumerate(boxes):
        if box:
            pixels[:, place, box[1] : box[3], box[0] : box[2]] = True
    return Masks(pixels, **settings)


def gray(value=90, wh=WH):
    return np.full((wh[1], wh[0], 3), value, np.uint8)


def changed(drawn, frame):
    return (drawn != frame).any(axis=-1)


@pytest.mark.parametrize("opacity", [0.0, 0.3, 1.0])
def test_fill_shines_through_as_much_as_asked(opacity):
    masks = box_masks((40, 30, 100, 90), object_ids=[5])
    drawn = draw_mask_frame(gray(), masks, 0, opacity=opacity, outline=0)
    expected = gray()[0, 0] * (1 - opacity) + id_colors(np.array([5]))[0] * opacity
    np.testing.assert_allclose(drawn[60, 70], expected, atol=2)
    inside = masks.masks[0, 0].numpy()
    np.testing.assert_array_equal(changed(drawn, gray()), inside & (opacity > 0))


@pytest.mark.parametrize("width", [2.0, 3.0, 6.0])
@pytest.mark.parametrize("background", [0, 255])
def test_outline_is_centred_on_the_edge_and_as_wide_as_asked(width, background):
    masks = box_masks((40, 30, 100, 90), object_ids=[1])
    drawn = draw_mask_frame(gray(background), masks, 0, opacity=0, outline=width).astype(float)
    full = id_colors(np.array([1]))[0]
    across = drawn[60, 20:70]  # through the left edge, which lies at x = 39.5
    channel = int(np.argmax(np.abs(full.astype(float) - background)))
    amount = np.clip((across[:, channel] - background) / (full[channel] - float(background)), 0, 1)
    x = np.arange(20, 70)
    if background == 0:  # on white the dark rim counts as well
        assert amount.sum() == pytest.approx(width, abs=0.6)
        assert (amount * x).sum() / amount.sum() == pytest.approx(39.5, abs=0.35)
    assert np.abs(across[np.abs(x - 39.5) < 0.6] - full).max() < 12
    assert not changed(drawn[52:68, 62:78], gray(background)[52:68, 62:78]).any()  # nothing far inside
    assert not changed(drawn[:, :25], gray(background)[:, :25]).any()


@pytest.mark.parametrize("view", ["outline", "name", "legend", "cutout"])
@pytest.mark.parametrize("aspect", [Fraction(2), Fraction(1, 2), Fraction(64, 45)])
def test_pictures_with_pixels_that_are_not_square_look_as_others_once_they_are_shown(aspect, view):
    """What is drawn for stored pixels and then shown looks as what is drawn for the shown ones."""
    shown = shown_wh(WH, aspect)
    masks = Masks(np.zeros((1, 1, WH[1], WH[0]), bool), names=("bear",))
    masks.masks[0, 0, 40:80, 60:100] = True
    there = cv2.resize(masks.masks[0, 0].numpy().astype(np.uint8), shown, interpolation=cv2.INTER_NEAREST) > 0
    settings = {
        "outline": {"opacity": 0, "outline": 4},
        "name": {"label": "name"},
        "legend": {"legend": True},
        "cutout": {"view": "cutout"},
    }[view]
    drawn = draw_masks(Video(gray()[None], pixel_aspect=aspect), masks, **settings).frames[0]
    expected = draw_masks(gray(wh=shown)[None], Masks(there[None, None], names=("bear",)), **settings).frames[
        0
    ]
    drawn = cv2.resize(drawn, shown, interpolation=cv2.INTER_LINEAR).astype(int)
    stretched = draw_masks(gray()[None], masks, **settings).frames[0]
    stretched = cv2.resize(stretched, shown, interpolation=cv2.INTER_LINEAR).astype(int)
    off, before = (np.abs(picture - expected).mean() for picture in (drawn, stretched))
    assert off < 0.6 * before


def test_holes_are_outlined_and_the_border_of_the_image_is_not():
    pixels = np.zeros((1, 1, WH[1], WH[0]), bool)
    pixels[0, 0, 20:100, :90] = True
    pixels[0, 0, 45:75, 30:60] = False
    drawn = draw_mask_frame(gray(), Masks(pixels), 0, opacity=0)
    assert changed(drawn, gray())[60, 28:32].any()
    assert changed(drawn, gray())[18:22, 50].any()
    assert not changed(drawn, gray())[30:90, :20].any()
    np.testing.assert_array_equal(drawn[60, 45], gray()[0, 0])


def test_a_colour_belongs_to_an_id_whatever_else_is_there():
    alone = draw_mask_frame(gray(), box_masks((40, 30, 60, 50), object_ids=[7]), 0)
    among = box_masks((100, 80, 130, 100), None, (40, 30, 60, 50), object_ids=[2, 3, 7])
    together = draw_mask_frame(gray(), among, 0)
    np.testing.assert_array_equal(together[:70, :80], alone[:70, :80])
    assert (together[90, 115] != together[40, 50]).any()


def test_absent_objects_are_not_drawn():
    for label in ("none", "name", "score"):
        np.testing.assert_array_equal(draw_mask_frame(gray(), box_masks(None, None), 0, label=label), gray())
    empty = box_masks((1, 1, 5, 5)).select([])
    np.testing.assert_array_equal(draw_mask_frame(gray(), empty, 0, label="name", legend=True), gray())


def test_of_overlapping_objects_the_later_one_shows():
    masks = box_masks((20, 20, 80, 80), (50, 50, 110, 110), object_ids=[1, 2])
    drawn = draw_mask_frame(gray(), masks, 0, opacity=1, outline=0)
    np.testing.assert_array_equal(drawn[60, 60], id_colors(np.array([2]))[0])
    np.testing.assert_array_equal(drawn[30, 30], id_colors(np.array([1]))[0])


@pytest.mark.parametrize("box", [(60, 70, 100, 100), (0, 0, 160, 120), (150, 0, 160, 10), (0, 115, 4, 120)])
def test_labels_stay_in_the_image_and_differ_with_name_and_score(box):
    frames = {}
    for name, score in (("bear", 0.9), ("dog", 0.9), ("bear", 0.4)):
        masks = box_masks(box, names=(name,), scores=[[score]])
        plain = draw_mask_frame(gray(), masks, 0)
        for label in ("name", "score"):
            drawn = draw_mask_frame(gray(), masks, 0, label=label)
            assert changed(drawn, plain).sum() > 300
            frames[name, score, label] = drawn
    assert changed(frames["bear", 0.9, "name"], frames["dog", 0.9, "name"]).any()
    assert changed(frames["bear", 0.9, "score"], frames["bear", 0.4, "score"]).any()
    assert not changed(frames["bear", 0.9, "name"], frames["bear", 0.4, "name"]).any()


def test_labels_do_not_cover_each_other():
    box = (60, 60, 100, 90)
    areas = []
    for masks in (box_masks(box, names=("bear",)), box_masks(box, box, names=("bear", "bear"))):
        drawn = draw_mask_frame(gray(), masks, 0, opacity=0, outline=0, label="name")
        areas.append(changed(drawn, gray()).sum())
    assert areas[1] > 1.8 * areas[0]


def test_a_legend_that_does_not_fit_is_cut_off():
    """Twelve objects on a small frame: more lines than it has room for."""
    masks = Masks(np.zeros((1, 12, 40, 60), bool), names=[f"object number {n}" for n in range(12)])
    assert draw_mask_frame(gray(wh=(60, 40)), masks, 0, legend=True).shape == (40, 60, 3)


def test_legend_shows_all_objects_and_dims_the_absent_ones():
    here = box_masks((60, 20, 100, 40), (10, 10, 20, 20), names=("bear", "dog"))
    gone = box_masks((60, 20, 100, 40), None, names=("bear", "dog"))
    drawn = [draw_mask_frame(gray(), masks, 0, legend=True) for masks in (here, gone)]
    one = draw_mask_frame(gray(), here.select([0]), 0, legend=True)
    bottom = slice(95, None)
    extents = [np.flatnonzero(changed(d, gray())[bottom].any(axis=0)).max() for d in (*drawn, one)]
    assert extents[0] == extents[1] > extents[2]
    letters, discs = [], []
    for picture in drawn:
        letters.append((picture[bottom].min(axis=-1) > 170).sum())
        off = np.abs(picture[bottom].astype(int) - id_colors(np.array([2]))[0]).max(axis=-1)
        discs.append((off < 70).sum())
    assert 0 < letters[1] < 0.75 * letters[0]
    assert 0 < discs[1] < 0.75 * discs[0]


def test_a_long_legend_takes_more_lines():
    masks = box_masks(*[(10, 10, 20, 20)] * 12)
    rows = changed(draw_mask_frame(gray(), masks, 0, legend=True), gray())[40:].any(axis=1).sum()
    few = changed(draw_mask_frame(gray(), masks.select([0]), 0, legend=True), gray())[40:].any(axis=1).sum()
    assert rows > 3 * few


def test_cutout_shows_the_objects_untouched_on_a_checkerboard():
    frame = np.random.default_rng(0).integers(0, 256, (WH[1], WH[0], 3), np.uint8)
    masks = box_masks((40, 30, 100, 90), (5, 5, 9, 9))
    drawn = draw_mask_frame(frame, masks, 0, view="cutout")
    inside = masks.masks[0].any(dim=0).numpy()
    np.testing.assert_array_equal(drawn[inside], frame[inside])
    assert set(np.unique(drawn[~inside])) == set(CHECKER)
    again = draw_mask_frame(frame, masks, 5, view="cutout")  # a frame without a row
    assert set(np.unique(again)) == set(CHECKER)


def test_side_by_side_has_the_original_left():
    masks = box_masks((40, 30, 100, 90), frames=2)
    video = Video(np.stack([gray(50), gray(70)]), 10)
    both = draw_masks(video, masks, side_by_side=True)
    assert both.wh == (2 * WH[0], WH[1])
    np.testing.assert_array_equal(both.frames[:, :, : WH[0]], video.frames)
    np.testing.assert_array_equal(both.frames[:, :, WH[0] :], draw_masks(video, masks).frames)


def test_frames_without_a_row_stay_and_inputs_do_not_change():
    video = Video(np.stack([gray(v) for v in (10, 60, 110, 160)]), times=np.array([0, 0.1, 0.3, 0.4]))
    before = video.frames.copy()
    video.frames.flags.writeable = False
    masks = box_masks((40, 30, 100, 90), frames=2, first_frame=1)
    pixels = masks.masks.clone()
    drawn = draw_masks(video, masks, MaskStyle(label="score", legend=True))
    np.testing.assert_array_equal(drawn.times, video.times)
    np.testing.assert_array_equal(drawn.frames[[0, 3]], before[[0, 3]])
    assert changed(drawn.frames[1:3], before[1:3]).any(axis=(1, 2)).all()
    np.testing.assert_array_equal(video.frames, before)
    assert torch.equal(masks.masks, pixels)
    again = draw_masks(video.frames, masks, MaskStyle(label="score", legend=True))
    np.testing.assert_array_equal(again.frames, drawn.frames)
    late = draw_mask_frame(video.frames[2], masks.clip(1), 2, label="score", legend=True)
    np.testing.assert_array_equal(late, drawn.frames[2])


@pytest.mark.parametrize("wh", [(1, 1), (7, 5), (20, 300)])
def test_clips_of_any_size_are_drawn(wh):
    masks = Masks(np.ones((1, 2, wh[1], wh[0]), bool))
    for view in ("overlay", "cutout"):
        drawn = draw_mask_frame(gray(9, wh), masks, 0, view=view, label="score", legend=True)
        assert drawn.shape == (wh[1], wh[0], 3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"opacity": 1.5}, r"0\.\.1, got 1.5"),
        ({"outline": -1}, "0 pixels or more"),
        ({"label": "id"}, "none, name, score, got 'id'"),
        ({"view": "mask"}, "overlay, cutout, got 'mask'"),
        ({"colour": 1}, "among opacity, outline.*got colour"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        draw_mask_frame(gray(), box_masks((1, 1, 9, 9)), 0, **settings)


def test_masks_of_another_video_are_refused():
    masks = box_masks((1, 1, 9, 9), frames=3)
    with pytest.raises(ValueError, match=r"expected \(120, 160, 3\) uint8"):
        draw_mask_frame(gray(wh=(120, 160)), masks, 0)
    with pytest.raises(ValueError, match=r"within 0\.\.1 of the video, got 0\.\.2"):
        draw_masks(Video(np.stack([gray()] * 2)), masks)


def test_a_part_of_a_video_shows_its_part_of_the_masks():
    video = Video(np.stack([gray()] * 5), fps=30)
    masks = box_masks((1, 1, 9, 9), frames=5)
    masks = replace(masks, masks=masks.masks & (torch.arange(5) % 2 == 0)[:, None, None, None])
    whole = draw_masks(video, masks).frames
    np.testing.assert_array_equal(draw_masks(video.clip(2, 5), masks.clip(2, 4)).frames[:2], whole[2:4])
