import json

import numpy as np
import pytest

from train.kubric.cameras import CAMERAS, CameraPlan, camera_at
from train.kubric.plan import Assets, RenderSettings, make_plan

ASSETS = Assets(meshes=("a.obj", "b.obj"), textures=("c.jpg",), hdris=("d.exr", "e.exr"))


def record(index, attempt=0, seed=0, assets=ASSETS):
    return make_plan(RenderSettings(seed=seed), assets, index, attempt).record()


def test_same_seed_same_plan_and_nothing_else_counts():
    assert record(3) == record(3)
    # Neither size nor samples change what happens: a look at low quality shows the clip to come.
    low = RenderSettings(wh=(64, 64), samples=1)
    assert make_plan(low, ASSETS, 3).record() == record(3)


@pytest.mark.parametrize("other", [{"index": 4}, {"index": 3, "attempt": 1}, {"index": 3, "seed": 1}])
def test_index_attempt_and_seed_each_change_the_plan(other):
    assert record(**other) | {"index": 0, "attempt": 0} != record(3) | {"index": 0, "attempt": 0}


def test_plan_is_json():
    assert json.loads(json.dumps(record(0)))["things"][0]["kind"] == "floor"


def test_plans_have_what_the_data_need():
    plans = [make_plan(RenderSettings(), ASSETS, i) for i in range(60)]
    things = [thing for plan in plans for thing in plan.things]
    kinds = {(thing.role, thing.kind) for thing in things}
    for kind in ("cloth", "tube", "blob", "creature"):
        assert ("deforming", kind) in kinds
    for kind in ("rods", "grid", "branches"):
        assert ("occluder", kind) in kinds
    assert ("rigid", "mesh:a.obj") in kinds
    assert {plan.camera.kind for plan in plans} == set(CAMERAS)
    assert {plan.shutter > 0 for plan in plans} == {True, False}
    assert any(thing.appearance == "picture:c.jpg" for thing in things)
    assert {plan.camera.shake_m > 0 for plan in plans} == {True, False}
    assert all(
        plan.things[0].kind == "floor" and plan.camera.start[2] > 0 < plan.camera.end[2] for plan in plans
    )


def test_walls_stand_beside_the_cameras_way():
    for index in range(80):
        plan = make_plan(RenderSettings(), ASSETS, index)
        for wall in plan.things:
            if wall.kind == "wall":
                for place in (plan.camera.start, plan.camera.end):
                    assert (np.abs(np.array(place) - wall.position) > wall.size).any()


def test_thrown_things_begin_apart():
    for index in range(20):
        rigid = [t for t in make_plan(RenderSettings(), ASSETS, index).things if t.role == "rigid"]
        for i, a in enumerate(rigid):
            for b in rigid[i + 1 :]:
                assert np.linalg.norm(np.subtract(a.position, b.position)) > 0.6 * (a.size + b.size)


def test_only_what_there_is_is_used():
    plan = make_plan(RenderSettings(), Assets(), 0)
    assert plan.hdri == ""
    assert not any(
        t.kind.startswith(("mesh:", "kubric:")) or t.appearance.startswith("picture") for t in plan.things
    )


def test_kubrics_own_assets_are_used_where_given():
    assets = Assets(kubric=(("/gso/GSO.json", "shoe"),))
    kinds = {t.kind for i in range(5) for t in make_plan(RenderSettings(), assets, i).things}
    assert "kubric:/gso/GSO.json:shoe" in kinds


def test_camera_way_and_shake():
    phases = [[0.0] * 2 for _ in range(5)]
    still = CameraPlan(
        "x", (0, 0, 0), (4, 0, 2), (0, 1, 0), (0, 1, 1), (20, 40), 0.0, (1.0, 2.0), phases, (0, 0.2)
    )
    place, target, roll, lens = camera_at(still, 0.5, 0.3)
    np.testing.assert_allclose(place, (2, 0, 1))
    np.testing.assert_allclose(target, (0, 1, 0.5))
    assert (roll, lens) == (0.1, 30)
    shaken = CameraPlan(**{**vars(still), "shake_m": 0.1})
    wobble = camera_at(shaken, 0.5, 0.3)[0] - place
    expected = 0.1 * (np.sin(2 * np.pi * 0.3) + np.sin(4 * np.pi * 0.3) / np.sqrt(2))
    np.testing.assert_allclose(wobble, [expected] * 3)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"frames": 1}, "frames: expected at least 2, got 1"),
        ({"wh": (64, 128)}, "no more height than width, got 64x128"),
        ({"wh": (16, 16)}, "at least 32 pixels"),
        ({"samples": 0}, "expected at least 1, got 0 and 512"),
    ],
)
def test_wrong_settings_are_named(wrong, said):
    with pytest.raises(ValueError, match=said):
        RenderSettings(**wrong)
