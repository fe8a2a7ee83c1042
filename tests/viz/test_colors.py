"""Colours that people choose for single points and objects, and points drawn over masks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import pointtrack as pt
from pointtrack.types import Masks, Queries, Tracks, Video
from pointtrack.viz.color_names import ChosenColors, named_color, told_colors

GREY = Video(np.full((2, 60, 80, 3), 128, np.uint8), 10)


def three_points() -> Tracks:
    xy = torch.tensor([[[20.0, 30], [40, 30], [60, 30]]]).repeat(2, 1, 1)
    queries = Queries(torch.zeros(3, dtype=torch.long), xy[0], ids=torch.tensor([4, 5, 9]))
    ones = torch.ones(2, 3)
    return Tracks(xy, ones, ones, queries, (80, 60), fps=10)


def two_objects() -> Masks:
    pixels = np.zeros((2, 2, 60, 80), bool)
    pixels[:, 0, 10:50, 5:35] = pixels[:, 1, 10:50, 45:75] = True
    return Masks(pixels, fps=10)


def test_points_have_the_chosen_colours_and_may_be_left_out():
    drawn = pt.draw_tracks(GREY, three_points(), color_by="id", colors="4:red,9:none").frames[0]
    plain = pt.draw_tracks(GREY, three_points(), color_by="id").frames[0]
    assert drawn[30, 20].tolist() == [255, 0, 0] and (plain[30, 40] == drawn[30, 40]).all()
    assert drawn[30, 60].tolist() == [128] * 3 != plain[30, 60].tolist()


def test_objects_have_the_chosen_colours_and_may_be_left_out():
    drawn = pt.draw_masks(GREY, two_objects(), opacity=1, colors="1:#00ff00,2:none", label="name")
    assert drawn.frames[1][30, 20].tolist() == [0, 255, 0]
    np.testing.assert_array_equal(drawn.frames[1][20:45, 50:70], GREY.frames[0][20:45, 50:70])
    left_out = pt.draw_masks(GREY, two_objects(), colors="1-9:none")
    np.testing.assert_array_equal(left_out.frames, GREY.frames)


@pytest.mark.parametrize("text", ["red", "1:", "1:reddish", "x:red", "5-2:red", "1:red,", "-3:red"])
def test_other_texts_are_refused(text):
    for draw, what in ((pt.draw_tracks, three_points()), (pt.draw_masks, two_objects())):
        with pytest.raises(ValueError, match="colors: expected numbers with colours"):
            draw(GREY, what, colors=text)


def test_colours_as_texts_and_back():
    assert named_color(" RED ") == (255, 0, 0) and named_color("12345") is None
    chosen = {3: "ff0000", 4: "ff0000", 5: "none", 7: "00ff00"}
    parsed = ChosenColors.parse(told_colors(chosen))
    assert [parsed.of(number) for number in (2, 3, 4, 5, 7)] == [
        "",
        (255, 0, 0),
        (255, 0, 0),
        None,
        (0, 255, 0),
    ]
    assert ChosenColors.parse("1-9:red,4:blue").of(4) == (0, 0, 255)
