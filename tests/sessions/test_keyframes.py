"""Which frames follow from which keyframe."""

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
        ((0, 1, 3), 5, [(11, 12, [2]), (12, None, [4])]),
        ((4, 0), 6, [(11, 10, [1, 2]), (10, 11, [3]), (10, None, [5])]),
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
