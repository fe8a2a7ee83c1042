"""Wrong acts, questions and bodies: told in one line, and nothing has changed."""

from __future__ import annotations

import pytest

from tests.support.ui_client import RED


@pytest.mark.parametrize(
    ("act", "args", "words"),
    [
        ("objects.fly", {}, "expected one of"),
        ("points.load", {"path": "/etc/passwd"}, "expected"),
        ("objects.click", {"frame": 0}, "expected other arguments"),
        ("objects.click", {"frame": 99, "points": [RED], "labels": [1]}, "0..11"),
        ("objects.click", {"frame": 0, "points": [[500, 2]], "labels": [1]}, "within the 80 x 60"),
        ("objects.click", {"frame": 0, "points": [RED], "labels": [1], "object": 7}, "expected one of"),
        ("objects.box", {"frame": 0, "box": [5, 5, 1, 1]}, "x0 < x1"),
        ("objects.draw", {"frame": 0, "mask": {"box": [0, 0, 99, 2], "runs": [5]}}, "expected a box within"),
        ("objects.draw", {"frame": 0, "mask": {"box": [0, 0, 2, 2], "runs": [5]}}, "4 pixels together"),
        ("objects.draw", {"frame": 0, "mask": {"box": [0, 0, 5, 5], "runs": [2**62, 2**62, 2**62, 2**62, 0, 25]}}, "25 pixels together"),
        ("points.add", {"frame": 0, "xy": []}, "1 to 10000"),
        ("points.add", {"frame": 0, "xy": [[1e30, 2]]}, "inside the"),
        ("points.add", {"frame": 1.5, "xy": [RED]}, "whole"),
        ("points.grid", {"frame": 0, "size": 1000}, "1 to 100"),
        ("points.grid", {"frame": 0, "size": 7.5}, "a whole number from 1 to 100 of points per side, got 7.5"),
        ("points.corners", {"frame": 0, "count": 7.5}, "a whole number from 1 to 10000 of corners, got 7.5"),
        ("points.corners", {"frame": 0, "count": None}, "got None"),
        ("points.grid", {"frame": -1, "region": [0, 0, 5, 5]}, "0..11"),
        ("points.correct", {"point": 3, "frame": 0, "xy": RED}, "expected one of"),
        ("view", {"changes": {"in": 400}}, "of the right kind"),
        ("go", {"position": 8}, "expected a position"),
    ],
)  # fmt: skip
def test_mistakes_change_nothing_and_are_told_in_one_line(client, act, args, words):
    before = client.state
    error = client.act(act, 400, **args)["error"]
    assert words in error and "\n" not in error
    after = client.state
    assert {**before, "scanned": 0, "cuts": []} == {**after, "scanned": 0, "cuts": []}


def test_what_is_locked_stays(client):
    client.act("objects.click", frame=0, points=[RED], labels=[1])
    client.act("view", changes={"locked": ["o1"]})
    for act, args in (("objects.remove", {"object": 1}), ("objects.absent", {"object": 1, "frame": 2})):
        assert "unlock" in client.act(act, 400, **args)["error"]


@pytest.mark.parametrize(
    ("path", "code"),
    [("masks/99", 400), ("frame/-1", 404), ("frame/99", 400), ("tracks?start=x", 400), ("lanes?bins=0", 400), ("candidates?object=1", 400)],
)  # fmt: skip
def test_wrong_questions(client, path, code):
    assert client.http.get(f"{client.base}/{path}").status_code == code


@pytest.mark.parametrize(
    ("path", "content", "words"),
    [
        ("run", {"what": 5}, "expected a list"),
        ("run", {"start": None}, "start: expected a whole number"),
        ("run", {"start": [1]}, "start: expected a whole number"),
        ("run", {"stop": 1e30}, "stop: expected a whole number"),
        ("export", {"tracks": ["csv"], "start": 1.5}, "expected whole numbers as start"),
        ("export", {"tracks": ["csv"], "stop": "x"}, "expected whole numbers as stop"),
    ],
)
def test_values_of_other_types_are_refused_in_one_line(client, path, content, words):
    error = client.post(path, 400, **content)["error"]
    assert words in error and "\n" not in error
    assert client.state["running"] is False if "running" in client.state else True


def test_a_refused_first_click_leaves_what_can_be_done_again(client):
    client.act("objects.click", frame=0, points=[RED], labels=[1])
    client.act("undo")
    client.act("objects.click", 400, frame=0, points=[RED], labels=[0])
    client.act("redo")
    assert [one["id"] for one in client.state["objects"]] == [1] and client.mask(1, 0).any()


def test_wrong_bodies(client):
    assert "expected JSON" in client.http.post(f"{client.base}/act", content=b"{").json()["error"]
    for content in (b"[1]", b"{", b"\xff", b"[" * 100_000):
        assert client.http.post(f"{client.base}/act", content=content).status_code == 400
    assert client.http.get("/api/p/none/state").status_code == 404
