"""Which frames follow from which keyframe."""

from dataclasses import replace

import pytest
import torch

from pointtrack.sessions.keyframes import Keyframe, SessionObject, known_masks, no_points, sides_of


def thing(*frames: int, absent: tuple[int, ...] = ()) -> SessionObject:
    one = SessionObject(1, "thing")
    for serial, frame in enumerate(frames, 10):
        one = one.with_key(Keyframe(frame, serial, torch.full((2, 3), frame not in absent), *no_points()))
    return one


def test_beside_an_absence_the_other_keyframe_has_all_frames():
    sides = sides_of(thing(0, 4, 8, absent=(4,)), 10)
    assert [(side.start, list(side.frames)) for side in sides] == [
        (10, [1, 2, 3]),
        (12, [7, 6, 5]),
        (12, [9]),
    ]
    both = sides_of(thing(0, 4, absent=(0, 4)), 5)
    assert [(side.start, list(side.frames)) for side in both] == [(10, [1, 2]), (11, [3])]


@pytest.mark.parametrize(
    "keys, length, expected",
    [
        ((), 5, []),
        ((0,), 1, []),
        ((0,), 4, [(10, None, [1, 2, 3])]),
        ((3,), 4, [(10, None, [2, 1, 0])]),
        ((1,), 4, [(10, None, [0]), (10, None, [2, 3])]),
        ((0, 5), 6, [(10, 11, [1, 2]), (11, 10, [4, 3])]),
        ((0, 4), 5, [(10, 11, [1, 2]), (11, 10, [3])]),
        ((0, 1, 3), 5, [(11, 12, [2]), (12, 10, [4])]),
        ((4, 0), 6, [(11, 10, [1, 2]), (10, 11, [3]), (10, 11, [5])]),
        (
            (9, 2, 5),
            11,
            [(11, 10, [1, 0]), (11, 12, [3]), (12, 11, [4]), (12, 10, [6, 7]), (10, 12, [8]), (10, 11, [10])],
        ),
    ],
)
def test_sides(keys, length, expected):
    sides = sides_of(thing(*keys), length)
    assert [(side.start, side.other, list(side.frames)) for side in sides] == expected


@pytest.mark.parametrize("keys", [(0,), (7, 3), (2, 3, 9), (11, 0, 5)])
def test_every_other_frame_follows_from_its_nearest_keyframe(keys):
    one = thing(*keys)
    frame_of = {key.serial: key.frame for key in one.keys}
    held = {frame: side for side in sides_of(one, 12) for frame in side.frames}
    assert sorted([*held, *frame_of.values()]) == list(range(12))
    for frame, side in held.items():
        assert abs(frame - frame_of[side.start]) == min(abs(frame - key) for key in keys)
        assert side.frames[0] - side.frames.step == frame_of[side.start], "it starts beside its keyframe"


def test_another_keyframe_changes_only_the_sides_next_to_it():
    before, after = (set(sides_of(thing(*keys), 40)) for keys in ((10, 20, 30), (10, 20, 30, 24)))
    assert {tuple(side.frames) for side in before - after} == {tuple(range(21, 26)), tuple(range(29, 25, -1))}
    assert sum(len(side.frames) for side in before & after) == 40 - 3 - 9


def test_a_correction_on_the_same_frame_replaces_what_was_there():
    one = thing(5, 8)
    corrected = one.with_key(Keyframe(5, 99, torch.ones(2, 3, dtype=torch.bool), *no_points()))
    assert [key.serial for key in corrected.keys] == [99, 11]
    assert not set(sides_of(one, 20)) & set(sides_of(corrected, 20)) - {
        side for side in sides_of(one, 20) if side.start == 11 and side.other is None
    }
    assert [key.frame for key in one.without_key(5).keys] == [8]


def test_a_side_knows_the_masks_of_both_ends_its_own_first():
    one = thing(2, 9, absent=(9,))
    back = next(side for side in sides_of(one, 12) if side.other is not None)
    masks = known_masks(one, back)
    assert [mask.frame for mask in masks] == [2, 9]
    assert masks[0].mask.all() and not masks[1].mask.any()


def test_beyond_the_last_keyframe_the_one_that_was_said_first_is_known_as_well():
    one = thing(3, 7, 9)
    last = sides_of(one, 12)[-1]
    assert [mask.frame for mask in known_masks(one, last)] == [9, 3]
    assert [mask.frame for mask in known_masks(thing(3), sides_of(thing(3), 12)[-1])] == [3]


@pytest.mark.parametrize("absent, other", [((), 10), ((3,), 11), ((9,), None), ((3, 7), None)])
def test_beyond_an_absence_nothing_else_is_known_and_no_absence_is_learnt_from_afar(absent, other):
    assert sides_of(thing(3, 7, 9, absent=absent), 12)[-1].other == other


SQUARE = torch.zeros(10, 10, dtype=torch.bool)
SQUARE[:8] = True


def corrected(frame: int, serial: int, rows: int, *, followed: int = 1) -> Keyframe:
    """Clicks on a frame made a mask of this many rows out of one of 8 rows."""
    mask = torch.zeros_like(SQUARE)
    mask[:rows] = True
    return Keyframe(frame, serial, mask, *no_points(), base=SQUARE, followed=followed)


@pytest.mark.parametrize("rows, followed, share", [(7, 1, 0), (9, 1, 0), (3, 1, 3), (7, 0, 3), (7, -1, 3)])
def test_a_mask_that_is_touched_up_does_not_spread_to_where_it_came_from(rows, followed, share):
    """It came from frame 2, so what else is wrong in it grew on the way; a mask that was made anew has its half."""
    one = SessionObject(1, "thing").with_key(Keyframe(2, 10, SQUARE, *no_points()))
    one = one.with_key(corrected(9, 11, rows, followed=followed))
    sides = [(side.start, list(side.frames)) for side in sides_of(one, 12)]
    between = [(10, list(range(3, 9 - share)))] + ([(11, list(range(8, 8 - share, -1)))] if share else [])
    assert sides == [(10, [1, 0]), *between, (11, [10, 11])]


def test_without_carrying_what_a_click_took_away_alone_has_its_half():
    less = replace(corrected(9, 11, 3), points=torch.ones(1, 2), labels=torch.zeros(1, dtype=torch.bool))
    one = SessionObject(1, "thing").with_key(Keyframe(2, 10, SQUARE, *no_points())).with_key(less)
    assert [list(side.frames) for side in sides_of(one, 12)] == [[1, 0], [3, 4, 5], [8, 7, 6], [10, 11]]


def test_a_keyframe_on_the_way_from_where_a_mask_came_has_the_frames_behind_itself():
    """Touched up on frame 9, and then on frame 5 of the way there."""
    one = SessionObject(1, "thing").with_key(Keyframe(0, 10, SQUARE, *no_points()))
    one = one.with_key(corrected(9, 11, 7)).with_key(corrected(5, 12, 7))
    sides = [(side.start, list(side.frames)) for side in sides_of(one, 11)]
    assert sides == [(10, [1, 2, 3, 4]), (12, [6, 7, 8]), (11, [10])]


def test_a_mask_that_came_back_in_time_has_its_half_on_the_other_side():
    one = SessionObject(1, "thing")
    for frame, serial in ((0, 10), (20, 11)):
        one = one.with_key(Keyframe(frame, serial, SQUARE, *no_points()))
    one = one.with_key(corrected(14, 12, 7, followed=-1))
    held = {frame: side.start for side in sides_of(one, 21) for frame in side.frames}
    assert {held[frame] for frame in range(15, 20)} == {11} and {held[frame] for frame in range(8, 14)} == {
        12
    }
