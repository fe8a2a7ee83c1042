"""Which frames follow from which keyframes, and which corrections reach them. Pure: no models, no videos."""

from dataclasses import replace

import pytest
import torch

from pointtrack.sessions import carried
from pointtrack.sessions.carried import correction_points
from pointtrack.sessions.keyframes import Keyframe, SessionObject, no_points, sides_of


def key(frame: int, serial: int, mask: torch.Tensor, base: torch.Tensor | None = None, followed: int = 0):
    """A keyframe; with a base, one click on the object corrected it."""
    points = no_points() if base is None else (torch.ones(1, 2), torch.ones(1, dtype=torch.bool))
    return Keyframe(frame, serial, mask, *points, base=base, followed=followed)


WHOLE = torch.ones(10, 10, dtype=torch.bool)
MOST, SOME, FEW = (WHOLE & (torch.arange(10)[:, None] < rows) for rows in (8, 5, 2))


def sides(*keys: Keyframe, length: int = 20) -> list[tuple[int, list[int], tuple[int, ...]]]:
    one = SessionObject(1, "thing", tuple(sorted(keys, key=lambda key: key.frame)))
    return [(side.start, list(side.frames), side.carried) for side in sides_of(one, length, carries=True)]


def test_a_touch_up_is_carried_and_followed_from_nowhere():
    first = key(0, 10, WHOLE)
    assert sides(first, key(9, 11, MOST, WHOLE, 1)) == [(10, list(range(1, 20)), (11,))]
    assert sides(first, key(9, 11, SOME, WHOLE, 1)) == [
        (10, [1, 2, 3, 4], (11,)),
        (11, [8, 7, 6, 5], (11,)),
        (11, list(range(10, 20)), (11,)),
        (10, list(range(1, 20)), (11,)),
    ], "from a larger correction frames follow too, and beside that as they did before"


def test_a_click_on_something_else_replaces_what_was_followed_if_it_is_sure():
    first, other = key(0, 10, WHOLE), key(9, 11, FEW, WHOLE, 1)
    halves = [(10, [1, 2, 3, 4], ()), (11, [8, 7, 6, 5], ()), (11, list(range(10, 20)), ())]
    assert sides(first, other) == halves
    assert sides(first, replace(other, score=0.4)) == [*halves, (10, list(range(1, 20)), ())]


def test_a_click_where_the_object_was_not_found_leaves_masks_of_other_frames_to_the_surer_side():
    first, again = key(0, 10, WHOLE), key(9, 11, SOME, torch.zeros_like(WHOLE), 1)
    halves = [(10, [1, 2, 3, 4], ()), (11, [8, 7, 6, 5], ()), (11, list(range(10, 20)), ())]
    for score in (0.4, 1.0):
        assert sides(first, replace(again, score=score)) == [*halves, (10, list(range(1, 20)), ())]


@pytest.mark.parametrize("left, carried", [(SOME, (11,)), (FEW, ())])
def test_from_a_mask_of_which_a_person_only_took_away_nothing_is_followed(left, carried):
    """What is left need not be the object."""
    less = replace(key(9, 11, left, WHOLE, 1), labels=torch.zeros(1, dtype=torch.bool))
    assert sides(key(0, 10, WHOLE), less) == [(10, list(range(1, 20)), carried)]


def test_a_touch_up_is_followed_once_what_it_touched_up_is_gone():
    touched = key(9, 11, MOST, WHOLE, 1)
    alone = [(11, list(range(8, -1, -1)), (11,)), (11, list(range(10, 20)), (11,))]
    assert sides(touched) == alone
    absent = key(5, 12, torch.zeros_like(WHOLE))
    assert (11, list(range(10, 20)), (11,)) in sides(key(0, 10, WHOLE), absent, touched)
    later = key(15, 13, WHOLE)
    found = sides(touched, later)
    assert [start for start, _, _ in found][:4] == [11, 11, 13, 13], "it came from the other side"
    assert [start for start, _, _ in sides(key(9, 11, MOST, WHOLE, -1), later)] == [13, 13]


def test_corrections_are_carried_in_their_order_up_to_the_next_mask_that_was_drawn():
    first, later, drawn = key(0, 10, WHOLE), key(4, 13, MOST, WHOLE, 1), key(12, 14, WHOLE)
    touched = key(9, 11, MOST, WHOLE, 1)
    found = sides(first, later, touched, drawn)
    assert found == [
        (10, list(range(1, 6 + 1)), (11, 13)),
        (14, list(range(11, 6, -1)), (11, 13)),
        (14, list(range(13, 20)), ()),
        (11, [9], (13,)),
    ], "of the earlier click's own frame, too"


def test_a_correction_tells_its_clicks_and_points_in_what_it_changed_and_kept():
    told = correction_points(key(3, 11, MOST, SOME, 1))
    assert told.xy[-1].tolist() == [1, 1] and told.labels.all() and len(told.xy) == 1 + 2 * carried.POINTS
    x, y = told.xy[:-1].long().unbind(1)
    assert torch.equal((MOST & ~SOME)[y, x], told.changed[:-1]) and SOME[y, x][~told.changed[:-1]].all()
    told = correction_points(
        Keyframe(3, 11, SOME, torch.ones(1, 2), torch.zeros(1, dtype=torch.bool), None, MOST, 1)
    )
    assert torch.equal(told.labels, ~told.changed), "it took away"
