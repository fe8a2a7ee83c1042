"""Videos edited by masks: what is sharp, what is hidden, and edges, measured in the pixels."""

from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np
import pytest

from pointtrack.io.soft_edges import cut_out
from pointtrack.types import Masks, Video
from pointtrack.viz.edit import Editor, edit_video
from pointtrack.viz.styles import EditStyle

WH = 240, 160
Y, X = np.mgrid[: WH[1], : WH[0]]
STRIPES = np.where((X // 2 + Y // 2) % 2, 40, 200).astype(np.uint8)  # detail that a blur removes


def scene() -> tuple[Video, Masks]:
    """Two frames with fine detail: object 1, red, is a disc; object 2, blue, a box; on frame 1 there is object 2 alone."""
    disc, box = np.hypot(X - 70, Y - 80) < 30, (abs(X - 180) < 20) & (abs(Y - 80) < 30)
    frame = np.stack([STRIPES // 4, STRIPES, STRIPES // 4], -1)
    frame[disc] = np.stack([STRIPES, STRIPES // 4, STRIPES // 4], -1)[disc]
    frame[box] = np.stack([STRIPES // 4, STRIPES // 4, STRIPES], -1)[box]
    masks = np.stack([[disc, box], [disc & False, box]])
    return Video(np.stack([frame, frame]), 10), Masks(masks, fps=10)


def rough(frame: np.ndarray) -> np.ndarray:
    """(h, w) how much neighbouring pixels differ."""
    grey = frame.astype(float).mean(-1)
    return np.maximum(abs(np.gradient(grey, 1, axis=0)), abs(np.gradient(grey, 1, axis=1)))


def inner(mask: np.ndarray, pixels: int) -> np.ndarray:
    return cv2.erode(mask.astype(np.uint8), np.ones((2 * pixels + 1,) * 2)).astype(bool)


def test_a_blurred_background_leaves_objects_sharp_and_takes_no_colour_from_them():
    video, masks = scene()
    edited = edit_video(video, masks, background="blur").frames[0]
    disc, box = masks.masks[0].numpy()
    for mask in (disc, box):
        np.testing.assert_array_equal(edited[inner(mask, 3)], video.frames[0][inner(mask, 3)])
    outside = inner(~(disc | box), 4)
    assert rough(edited)[outside].max() < 4 < rough(video.frames[0])[outside].mean()
    assert np.ptp(edited[outside][:, [0, 2]].astype(int), axis=0).max() <= 12, "no glow of red or blue"
    assert edited.dtype == np.uint8 and len(edit_video(video, masks, background="blur")) == 2


@pytest.mark.parametrize("effect", ["blur", "pixelate", "black"])
def test_a_hidden_object_does_not_show_through_and_all_else_stays(effect):
    video, masks = scene()
    edited = edit_video(video, masks, objects=f"1:{effect}").frames
    disc, box = masks.masks[0].numpy()
    detail = [frame[disc].astype(float).mean(-1) for frame in (edited[0], video.frames[0])]
    detail = [one - one.mean() for one in detail]
    assert abs((detail[0] * detail[1]).sum()) < 0.05 * (detail[1] ** 2).sum()
    np.testing.assert_array_equal(edited[0][box], video.frames[0][box])
    far = inner(~disc, 25)
    np.testing.assert_array_equal(edited[0][far], video.frames[0][far])
    np.testing.assert_array_equal(edited[1], video.frames[1])  # it is absent there
    both = edit_video(video, masks, objects=f"{effect},2:white").frames[0]
    assert both[box].min() == 255 and (both[disc] != video.frames[0][disc]).any()


@pytest.mark.parametrize("radius", [4, 12, 40, 70])
def test_what_is_hidden_is_coarse_for_its_size(radius):
    """A large face blurred as little as a small one would still be known."""
    disc = np.hypot(X - 120, Y - 80) < radius
    frame = np.where(X[..., None] < 120, 0, 255).astype(np.uint8).repeat(3, -1)  # an edge through its middle
    video, masks = Video(frame[None]), Masks(disc[None, None])
    for effect in ("blur", "pixelate"):
        row = edit_video(video, masks, objects=effect).frames[0, 80, :, 0].astype(int)
        within = row[120 - radius + 1 : 120 + radius]
        steepest = abs(np.diff(within)).max()
        assert steepest < 255 * (0.62 if effect == "blur" else 1.01), (radius, effect)
        if effect == "blur" and radius > 20:
            assert steepest < 255 * 4 / radius


def test_another_background_has_its_colours_and_objects_have_soft_edges_without_a_rim():
    video, masks = scene()
    edited = edit_video(video, masks, background="00ff00").frames
    disc, box = masks.masks[0].numpy()
    assert (edited[0][inner(~(disc | box), 3)] == (0, 255, 0)).all()
    assert (edited[1][inner(~box, 3)] == (0, 255, 0)).all()
    masks = masks.select([True, False])
    blue = Video(np.where(disc[..., None], (200, 30, 30), (30, 30, 200)).astype(np.uint8)[None])
    row = edit_video(blue, masks.clip(0, 1), background="white").frames[0, 80]
    assert (row[:, 0].astype(int) - row[:, 2] >= -2).all(), "no blue is left"
    steps = row[35:45, 1].astype(int)
    assert ((steps > 40) & (steps < 245)).sum() >= 1, "soft"
    hard = edit_video(blue, masks.clip(0, 1), background="white", edge=0).frames[0, 80]
    assert set(hard[35:45, 1].tolist()) == {30, 255}


def test_a_picture_fills_the_background_in_its_own_shape(tmp_path):
    video, masks = scene()
    picture = np.zeros((300, 300, 3), np.uint8)
    cv2.circle(picture, (150, 150), 30, (255, 255, 255), -1)
    cv2.imwrite(str(tmp_path / "b.png"), picture)
    nothing = Masks(np.zeros((1, 1, WH[1], WH[0]), bool))
    for aspect in (Fraction(1), Fraction(2), Fraction(1, 2)):
        editor = Editor(EditStyle(background=str(tmp_path / "b.png")), WH, aspect)
        shown = editor.edited(video.frames[0], nothing, 0)[..., 0] > 127
        x, y = np.nonzero(shown.any(0))[0], np.nonzero(shown.any(1))[0]
        assert np.ptp(x) * float(aspect) == pytest.approx(np.ptp(y), rel=0.03), aspect
    assert EditStyle(background=str(tmp_path / "b.png")).picture == str(tmp_path / "b.png")
    (tmp_path / "bad.png").write_text("no picture")
    with pytest.raises(ValueError, match=r"bad.png: expected a picture"):
        edit_video(video, masks, background=str(tmp_path / "bad.png"))


def test_frames_without_objects_thin_ones_and_ones_that_leave_the_image():
    video, masks = scene()
    nothing = Masks(np.zeros((2, 1, WH[1], WH[0]), bool))
    np.testing.assert_array_equal(edit_video(video, nothing, objects="blur").frames, video.frames)
    assert edit_video(video, nothing, background="blur").frames.shape == video.frames.shape
    whole = Masks(np.ones((2, 1, WH[1], WH[0]), bool))
    np.testing.assert_array_equal(edit_video(video, whole, background="blur").frames, video.frames)
    assert cut_out(video.frames[0], X < 100)[:, 0, 3].min() == 255, "no edge at the border of the image"
    thin = cut_out(video.frames[0], abs(Y - 80) < 1)
    assert thin[80, 20:-20, 3].min() > 0
    for mask in (X < 0, (X == 5) & (Y == 5)):
        for effect in ("blur", "pixelate"):
            edit_video(video.clip(0, 1), Masks(mask[None, None]), background=effect, objects=effect)


@pytest.mark.parametrize(
    "settings, words",
    [
        ({}, "expected a background or objects, got neither"),
        ({"strength": 2.0}, "expected a background or objects to edit too"),
        ({"background": "nosuch.png"}, r"background: expected blur, pixelate, a colour .* got 'nosuch.png'"),
        ({"objects": "hide"}, r"objects: expected blur, pixelate or a colour .*, got 'hide'"),
        ({"objects": "x:blur"}, "got 'x:blur'"),
        ({"objects": "blur", "strength": 0}, "strength: expected more than 0"),
        ({"objects": "blur", "edge": -1}, "edge: expected a width of 0 pixels or more, got -1"),
        ({"backgrund": "blur"}, "expected settings among background, objects, strength, edge, got backgrund"),
    ],
)
def test_mistakes_in_settings(settings, words):
    video, masks = scene()
    with pytest.raises(ValueError, match=words):
        edit_video(video, masks, **settings)


def test_masks_of_another_size_are_refused():
    video, _ = scene()
    with pytest.raises(ValueError, match="expected 240 x 160 pixels as the masks are for"):
        edit_video(video, Masks(np.zeros((2, 1, 20, 30), bool)), background="blur")
