"""When a point counts as seen, hidden, out of frame or lost; no network, only what one might say."""

import pytest
import torch

from pointtrack.states.rules import StateMachine, StateRules
from pointtrack.types.point_states import PointState

WH = (200, 100)
V, H, O, L = PointState.VISIBLE, PointState.HIDDEN, PointState.OUT_OF_FRAME, PointState.LOST  # noqa: E741


def estimated(xy, visibility, confidence=None, similarity=None, cuts=(), rules=None):
    """States of point 0, (t,), among 9 others that stand still or move; values of point 0 are lists over t."""
    frames, points = xy.shape[:2]
    judge = StateMachine(points, WH, rules)
    states = []
    for t in range(frames):
        others = torch.ones(points)
        rows = []
        for given, usual in ((visibility, 1.0), (confidence, 1.0), (similarity, 1.0)):
            row = others * usual
            row[0] = usual if given is None else given[t]
            rows.append(row)
        if t in cuts:
            judge.cut()
        if t == 0:
            judge.begin(torch.ones(points, dtype=torch.bool), xy[0], rows[2])
        judge.step(xy[t], *rows)
        states.append(PointState(int(judge.state[0])))
    return states


def standing(frames: int, moving=(0.0, 0.0)) -> torch.Tensor:
    """(t, 10, 2) places of points near each other that all move alike; point 0 is among them."""
    others = torch.cartesian_prod(torch.tensor([80.0, 100.0, 120.0]), torch.tensor([30.0, 50.0, 70.0]))
    start = torch.cat([torch.tensor([[95.0, 45.0]]), others])
    return start + torch.arange(frames)[:, None, None] * torch.tensor(moving)


def test_a_point_that_is_seen_all_the_time_is_visible():
    assert estimated(standing(6, (3.0, 1.0)), [1.0] * 6) == [V] * 6


def test_a_point_that_comes_back_where_it_was_hidden_is_seen_at_once():
    assert estimated(standing(6), [1, 1, 0, 0, 1, 1]) == [V, V, H, H, V, V]


def test_a_point_is_lost_while_it_claims_to_be_seen_somewhere_else_and_comes_back_after_some_frames():
    xy = standing(10)
    xy[4:6, 0] += torch.tensor([60.0, 0.0])  # on something exactly alike
    assert estimated(xy, [1, 1, 0, 0, 1, 1, 1, 1, 1, 1]) == [V, V, H, H, L, L, L, L, V, V]


def test_a_look_that_fades_slowly_is_not_believed_for_ever():
    """As of a point that slides off: at every step it looks nearly as it just did."""
    fading = [1 - 0.01 * t for t in range(80)]
    states = estimated(standing(80), [1.0] * 80, similarity=fading)
    assert states[:55] == [V] * 55 and states[-1] == L and V not in states[57:]
    assert set(estimated(standing(80), [1.0] * 80, similarity=fading, rules=StateRules(min_cosine=0.0))) == {
        V
    }


def test_a_sudden_jump_of_a_visible_point_is_not_followed():
    xy = standing(6)
    xy[3:, 0] += torch.tensor([40.0, 0.0])
    assert estimated(xy, [1.0] * 6) == [V, V, V, L, L, L]


def test_a_point_of_its_own_motion_stays_visible():
    xy = standing(8)
    xy[:, 0] = torch.tensor([10.0, 10.0]) + torch.arange(8)[:, None] * torch.tensor([8.0, 2.0])
    assert estimated(xy, [1.0] * 8) == [V] * 8


def test_where_something_else_is_the_point_is_hidden_and_then_lost():
    alike = [1, 1, *[0.2] * 5, 1, 1]
    rules = StateRules(patience=3)
    assert estimated(standing(9), [1.0] * 9, similarity=alike, rules=rules) == [V, V, H, H, L, L, L, L, L]
    assert estimated(standing(9), [1.0] * 9, similarity=alike) == [V, V, H, H, H, H, H, V, V]


def test_a_point_hidden_with_no_idea_where_is_lost():
    unsure = [1.0, *[0.01] * 5]
    rules = StateRules(patience=4)
    assert estimated(standing(6), [1, 0, 0, 0, 0, 0], confidence=unsure, rules=rules) == [V, H, H, H, L, L]
    assert estimated(standing(6), [1, 0, 0, 0, 0, 0], rules=rules) == [V, H, H, H, H, H]


def test_after_a_cut_a_point_is_lost_whatever_it_claims():
    assert estimated(standing(30), [1.0] * 30, cuts=[2]) == [V, V] + [L] * 28


def test_a_hidden_point_is_out_of_frame_where_its_neighbours_say_so_and_returns():
    """Points move left and come back; the tracker keeps point 0 at the border, as trackers do."""
    steps = torch.tensor([0, 5, 10, 15, 20, 15, 10, 5, 0]) * 1.0
    xy = standing(1) - torch.tensor([90.0, 0.0]) - steps[:, None, None] * torch.tensor([1.0, 0.0])
    xy[:, 1:] += torch.tensor([30.0, 0.0])  # those that are seen all the time
    assert xy[:, 1:, 0].min() >= 0
    raw = xy.clone()
    raw[:, 0, 0] = raw[:, 0, 0].clamp(min=0)
    claims = [float(x >= 0) for x in xy[:, 0, 0].tolist()]
    assert estimated(raw, claims) == [V, V, O, O, O, O, O, V, V]


def test_points_that_are_not_asked_for_yet_have_no_state():
    judge = StateMachine(2, WH)
    row = torch.full((2, 2), torch.nan)
    judge.step(row, torch.zeros(2), torch.zeros(2), torch.zeros(2))
    assert judge.state.tolist() == [PointState.NOT_TRACKED] * 2


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_points_have_no_partners_and_are_judged_all_the_same(count):
    assert estimated(standing(5)[:, :count], [1, 0, 0, 1, 1]) == [V, H, H, V, V]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"reach": -0.1}, "reach in 0..1, got -0.1"),
        ({"visible": 2.0}, "visible in 0..1, got 2.0"),
        ({"patience": 0}, "patience of 1 frame or more, got 0"),
        ({"returning": 0}, "returning of 1 frame or more, got 0"),
    ],
)
def test_rules_out_of_range(change, expected):
    with pytest.raises(ValueError, match=expected):
        StateRules(**change)


def led(judge: StateMachine, xy: torch.Tensor, hidden: int) -> torch.Tensor:
    """Where a judge expects a point that is hidden while the others move to (n, 2) places."""
    seen = torch.ones(len(xy))
    seen[hidden] = 0
    judge.step(xy, seen, torch.ones(len(xy)), torch.ones(len(xy)))
    return judge.expected[hidden]


def begun(xy: torch.Tensor) -> StateMachine:
    judge, ones = StateMachine(len(xy), WH), torch.ones(len(xy))
    judge.begin(ones > 0, xy, ones)
    judge.step(xy, ones, ones, ones)
    return judge


def test_points_of_two_judges_become_partners_once_they_are_joined():
    alone, others = standing(1)[0, :1], standing(1)[0, 1:]
    moved = torch.cat([others, alone]) + torch.tensor([6.0, 2.0])
    both = StateMachine.concat([begun(others), begun(alone)])
    assert both.state.tolist() == [V] * 10
    # Each knows those of its own judge up to here, and the single one nobody.
    assert torch.allclose(led(both, moved, 4), moved[4])
    both = StateMachine.concat([begun(others), begun(alone)])
    assert torch.equal(led(both, moved, 9), alone[0])
    both = StateMachine.concat([begun(others), begun(alone)])
    both.step(torch.cat([others, alone]), *torch.ones(3, 10))
    assert torch.allclose(led(both, moved, 9), moved[9])


def test_a_point_that_is_left_out_is_no_partner_any_more():
    """Of two groups that move apart only the far one is left: it leads the point from then on."""
    point = torch.tensor([[50.0, 50.0]])
    near = point + torch.tensor([[8.0, 0.0], [-8.0, 0.0], [0.0, 8.0], [0.0, -8.0]])
    far = point + torch.tensor([[90.0, 0.0], [90.0, 20.0], [90.0, -20.0], [99.0, 9.0]])
    xy = torch.cat([near, point, far])
    moved = xy + torch.cat([torch.tensor([[5.0, 0.0]] * 5), torch.tensor([[0.0, 7.0]] * 4)])
    judge = begun(xy)
    chosen = torch.tensor([False] * 4 + [True] * 5)
    assert torch.allclose(led(judge.select(chosen), moved[chosen], 0), xy[4] + torch.tensor([0.0, 7.0]))
    assert not torch.allclose(led(judge, moved, 4), xy[4] + torch.tensor([0.0, 7.0]))
    nobody = begun(xy).select(torch.arange(9) == 4)
    assert torch.equal(led(nobody, moved[4:5], 0), xy[4])
    assert not bool(nobody.guided.any())


def test_a_judge_goes_on_from_its_tensors_and_the_first_one_does_not_notice():
    xy = standing(4, (3.0, 1.0))
    judge = begun(xy[0])
    copy = StateMachine.from_tensors(judge.tensors(), WH)
    before = judge.expected.clone()
    expected = led(copy, xy[1], 3)
    assert torch.equal(judge.expected, before)
    assert torch.equal(led(judge, xy[1], 3), expected)
