"""The simulated user: where it clicks, and that it never clicks twice on one pixel."""

import numpy as np
import pytest

from evaluation.masks.clicks import Click, next_click, simulate_clicks


def box(x0, y0, x1, y1, wh=(60, 40)):
    mask = np.zeros((wh[1], wh[0]), bool)
    mask[y0:y1, x0:x1] = True
    return mask


def test_first_click_is_in_the_middle_of_the_largest_part():
    truth = box(10, 10, 21, 21) | box(40, 5, 43, 8)
    assert next_click(truth) == Click(15, 15, True)


def test_border_of_the_image_is_an_edge():
    assert next_click(box(0, 0, 11, 11)) == Click(5, 5, True)
    assert next_click(np.ones((11, 21), bool)).y == 5


@pytest.mark.parametrize(
    "answer, expected",
    [
        (box(10, 10, 21, 12), Click(15, 16, True)),  # 9 rows are missing
        (box(10, 10, 31, 21), Click(25, 15, False)),  # 10 columns too many
        (box(10, 10, 18, 21) | box(40, 5, 49, 14), Click(44, 9, False)),  # 81 too many, 33 missing
    ],
)
def test_corrections_go_to_the_largest_error(answer, expected):
    click = next_click(box(10, 10, 21, 21), answer)
    assert click.positive == expected.positive
    assert abs(click.x - expected.x) <= 1 and abs(click.y - expected.y) <= 1


def test_right_answers_need_no_click():
    truth = box(10, 10, 21, 21)
    assert next_click(truth, truth) is None
    assert next_click(np.zeros((40, 60), bool)) is None


def test_no_pixel_is_clicked_twice():
    truth = box(4, 4, 7, 7)
    clicks = simulate_clicks(truth, 20, lambda clicks: np.zeros_like(truth))
    assert len(clicks) == len(set(clicks)) == 9
    assert all(truth[click.y, click.x] for click in clicks)


def test_user_stops_when_the_answer_is_right():
    truth = box(10, 10, 21, 21)
    told = []

    def answer(clicks):
        told.append(list(clicks))
        return truth if len(clicks) == 2 else box(10, 10, 40, 21)

    clicks = simulate_clicks(truth, 5, answer)
    assert [click.positive for click in clicks] == [True, False]
    assert told == [clicks[:1], clicks]


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="at least 1"):
        simulate_clicks(box(1, 1, 4, 4), 0, lambda clicks: box(1, 1, 4, 4))
    with pytest.raises(ValueError, match="empty mask"):
        simulate_clicks(np.zeros((4, 4), bool), 1, lambda clicks: box(1, 1, 4, 4))
    with pytest.raises(ValueError, match="answer: expected shape"):
        next_click(box(1, 1, 4, 4), box(1, 1, 4, 4, wh=(30, 20)))
