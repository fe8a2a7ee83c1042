"""Acts of a person: what is asked for is done, told to every tab, and there after a crash."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from pointtrack.ui.rle import decode_mask, encode_mask
from tests.support.ui_client import BLUE, FRAMES, RED, Client


def test_one_history_over_points_objects_and_names(client):
    number = client.act("objects.click", frame=0, points=[RED], labels=[1])["object"]
    (point,) = client.act("points.add", frame=0, xy=[BLUE])["points"]
    client.act("view", changes={"names": {f"o{number}": " red  square "}}, label="named")
    client.act("objects.box", frame=0, box=[50, 34, 78, 56])
    state = client.state
    assert [one["keys"] for one in state["objects"]] == [[0], [0]] and state["view"]["names"] == {
        "o1": "red square"
    }
    assert len(state["history"]["labels"]) == 4
    client.act("go", position=1)
    state = client.state
    assert len(state["objects"]) == 1 and not state["points"] and not state["view"]["names"]
    client.act("redo")
    assert [one["id"] for one in client.state["points"]] == [point]
    client.act("go", position=4)
    assert len(client.state["objects"]) == 2
    client.act("undo")
    client.act("undo")
    client.act("points.add", frame=2, xy=[[5, 5]])
    assert client.state["history"]["now"] == len(client.state["history"]["labels"]) == 3
    assert "nothing" in client.act("redo", 400)["error"]


def test_the_mask_is_that_of_the_session_and_clicks_are_told(client):
    client.act("objects.click", frame=0, points=[RED], labels=[1])
    project = client.desk.projects()[0]
    assert np.array_equal(client.mask(1, 0), project.objects.mask(1, 0).numpy())
    said = client.get("masks/0")["objects"][0]["said"]
    assert said == {"kind": "prompt", "clicks": [[10.0, 12.0, 1.0]], "box": None}
    found = client.get("candidates?object=1&frame=0")["candidates"]
    assert len(found) == 3
    client.act("objects.choose", object=1, frame=0, place=2)
    assert np.array_equal(client.mask(1, 0), decode_mask(found[2]["mask"], (80, 60)))
    painted = np.zeros((60, 80), bool)
    painted[20:30, 5:9] = True
    client.act("objects.draw", object=1, frame=3, mask=encode_mask(painted))
    assert np.array_equal(client.mask(1, 3), painted)
    client.act("objects.absent", object=1, frame=5, stop=8)
    assert client.get("masks/6")["objects"][0]["said"]["kind"] == "absent"


def test_a_candidate_that_is_empty_does_not_count_for_another(client):
    """Pages leave it out, so what they show names its place."""
    client.act("objects.click", frame=0, points=[RED], labels=[1])
    session = client.desk.projects()[0].objects
    first, *others = session.candidates(1, 0)
    empty = replace(first, mask=first.mask & False)
    session.candidates = lambda *_: [first, empty, *others]
    rows = client.get("candidates?object=1&frame=0")["candidates"]
    assert len(rows) == 3
    client.act("objects.choose", object=1, frame=0, place=rows[1]["place"])
    assert np.array_equal(client.mask(1, 0), decode_mask(rows[1]["mask"], (80, 60)))


def test_points_and_objects_are_followed_and_told_of(client):
    client.act("objects.click", frame=4, points=[[22, 16]], labels=[1])
    client.act("points.grid", frame=0, size=3, object=None, region=[2, 4, 17, 19])
    lanes = client.get("lanes?bins=12")
    assert set(lanes["objects"]) == {"1"} and set(lanes["groups"]) == {"1"}
    client.run(direction="both")
    project = client.desk.projects()[0]
    assert project.points.known().tracked().all() and np.isfinite(project.objects.quality().numpy()).all()
    content = client.http.get(f"{client.base}/tracks?start=2&stop=5").content
    length = int.from_bytes(content[:4], "little")
    head = json.loads(content[4 : 4 + length])
    values = np.frombuffer(content[4 + length :], "<f4").reshape(3, len(head["ids"]), 3)
    assert np.allclose(values[..., :2], project.points.known(2, 5).xy.numpy())
    rows = client.get("suggestions")
    assert rows == sorted(rows, key=lambda row: row["sure"])


def test_new_masks_of_one_object_are_told_where_those_of_others_stay(client):
    """Otherwise a page goes on showing the masks of before."""
    client.act("objects.click", frame=0, points=[RED], labels=[1])
    client.act("objects.box", frame=0, box=[50, 34, 78, 56])
    client.run(direction="both")
    painted = np.zeros((60, 80), bool)
    painted[20:30, 5:9] = True
    client.act("objects.draw", object=2, frame=3, mask=encode_mask(painted))
    before = client.state["versions"]["objects"]
    client.run(direction="both")
    assert client.state["versions"]["objects"] > before


def test_a_run_can_be_stopped_and_corrected_while_it_goes(client):
    client.act("objects.click", frame=0, points=[RED], labels=[1])
    client.post("run", direction="forward")
    client.act("points.add", frame=0, xy=[BLUE])  # does not wait for the run
    client.post("cancel")
    assert client.state["run"] is None
    client.run(direction="both")
    assert client.mask(1, FRAMES - 1).any()
    assert "expected a point, or an object" in _without_objects(client)


def _without_objects(client: Client) -> str:
    client.act("objects.remove", object=1)
    client.act("points.remove", points=[0])
    return client.post("run", 400)["error"]


def test_a_run_goes_on_behind_one_that_does_less(client):
    """A point that is added, or a mask that is corrected, is followed at once; what was under way is not forgotten."""
    client.act("objects.click", frame=0, points=[RED], labels=[1])
    client.act("points.add", frame=0, xy=[BLUE])
    project = client.desk.projects()[0]

    def runs() -> list[tuple[list[str], int]]:
        project.run(["points", "objects"], 0, FRAMES, "both", 0)
        project.run(["points"], 0, FRAMES, "both", 0)
        project.run(["objects"], 0, 4, "both", 0)
        project.run(["points"], 0, FRAMES, "both", 0)
        return [(run.what, run.frames.stop) for run in project.worker.runs]

    found = project.worker.call(runs).result()
    assert found == [(["points", "objects"], FRAMES), (["objects"], 4), (["points"], FRAMES)]
    client.wait(lambda: not project.worker.runs)
    assert len(client.state["objects"]) == 1 and client.mask(1, FRAMES - 1).any()


def test_events_go_to_every_tab(client):
    address = f"/api/ws?p={client.state0['id']}"
    with client.http.websocket_connect(address) as one, client.http.websocket_connect(address) as other:
        assert one.receive_json()["type"] == other.receive_json()["type"] == "state"
        client.act("points.add", frame=0, xy=[BLUE])
        for socket in (one, other):
            event = socket.receive_json()
            while not event.get("state", {}).get("points"):
                event = socket.receive_json()
            assert event["state"]["points"][0]["fixes"] == [0]


def test_after_a_crash_all_acts_are_there(new_client):
    first = new_client()
    first.act("objects.click", frame=0, points=[RED], labels=[1])
    first.desk.projects()[0].worker.call(first.desk.projects()[0].save).result()
    first.act("points.add", frame=0, xy=[BLUE])
    first.act("objects.click", frame=0, points=[BLUE], labels=[1])
    first.act("undo")
    before, mask = first.state, first.mask(1, 0)
    journal = Path(before["folder"]) / "journal.jsonl"
    with journal.open("ab") as file:
        file.write(b'{"n": 99, "act": "points.a')  # the crash came here
    second = new_client()
    after = second.state
    for name in ("points", "objects", "view", "history"):
        assert after[name] == before[name], name
    assert np.array_equal(second.mask(1, 0), mask)
    second.act("redo")
    assert len(second.state["objects"]) == 2
    assert [row["n"] for row in map(json.loads, journal.read_text().splitlines())] == [1, 2, 3, 4, 5]


def test_after_a_crash_acts_on_masks_that_a_run_had_just_found_are_there(new_client):
    """A click beside an object corrects its mask, and says nothing without it."""
    first = new_client()
    first.act("objects.click", frame=0, points=[RED], labels=[1])
    project = first.desk.projects()[0]
    project.worker.call(project.save).result()
    project.worker._idle = lambda: False  # the crash comes before the next quiet second
    first.run()
    first.act("objects.click", frame=8, object=1, points=[[60, 50]], labels=[0])
    first.act("points.grid", frame=5, size=3, object=1)
    second = new_client()
    assert not second.desk.projects()[0].problems
    assert second.state["history"] == first.state["history"]
    assert np.array_equal(second.mask(1, 8), first.mask(1, 8))


def test_saved_projects_are_offered(new_client):
    first = new_client()
    first.act("points.add", frame=0, xy=[BLUE])
    first.desk.close()
    rows = new_client().http.get("/api/boot").json()["saved"]
    assert [row["name"] for row in rows] == ["squares.mp4"] and rows[0]["steps"] == 1 and rows[0]["there"]
