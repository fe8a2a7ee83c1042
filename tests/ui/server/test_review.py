"""A folder looked through, and a camera, as the server sees them."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np

from pointtrack.datasets.format import list_clips, read_clip
from tests.support.ui_client import BLUE, FRAMES, RED


def test_a_queue_is_looked_through_and_becomes_a_training_set(client, videos):
    review = client.http.post("/api/review/open", json={"path": str(videos)}).json()
    assert [item["verdict"] for item in review["items"]] == ["todo", "todo"]
    other, mine = (str(videos / name) for name in ("other.mp4", "squares.mp4"))

    def judge(path: str, verdict: str, code: int = 200, **more: Any) -> dict[str, Any]:
        answer = client.http.post("/api/review", json={"path": path, "verdict": verdict, **more})
        assert answer.status_code == code
        return answer.json()

    assert client.http.post("/api/review/export").status_code == 400
    judge(mine, "begin")
    client.act("points.grid", frame=0, size=2)
    client.act("objects.click", frame=0, points=[RED], labels=[1])
    client.run(direction="both")
    judge(mine, "accepted", seconds=12.5)
    assert "reason" in judge(other, "rejected", 400)["error"]
    review = judge(other, "rejected", reason="blurred", seconds=2)
    assert review["counts"] == {"todo": 0, "accepted": 0, "edited": 1, "rejected": 1}
    rows = [json.loads(line) for line in (Path(review["folder"]) / "log.jsonl").read_text().splitlines()]
    assert rows[0]["acts"] == 2 and rows[0]["frames"] == [0] and rows[0]["seconds"] == 12.5
    assert rows[1]["reason"] == "blurred" and rows[1]["clicks"] == 0
    done = client.http.post("/api/review/export").json()
    (folder,) = list_clips(Path(done["folder"]))
    clip = read_clip(folder)
    assert len(clip.video) == FRAMES and clip.tracks is not None and clip.tracks.xy.shape[1] == 4
    assert clip.labels is not None and set(np.unique(clip.labels)) <= {0, 1}
    assert "pointtrack finetune" in done["command"] and not done["left_out"]
    again = client.http.post("/api/review/open", json={"path": str(videos)}).json()
    assert again["counts"] == review["counts"], "it goes on where it was"


def test_what_is_left_out_of_a_training_set_is_named_once(client, videos):
    client.http.post("/api/review/open", json={"path": str(videos)})
    client.act("points.grid", frame=0, size=2)
    client.run(direction="both")
    for name in ("squares.mp4", "other.mp4"):
        client.http.post("/api/review", json={"path": str(videos / name), "verdict": "accepted"})
    (row,) = client.http.post("/api/review/export").json()["left_out"]
    assert row["name"] == "other.mp4" and row["reason"].startswith("expected points or objects")


def test_every_place_that_is_pointed_at_is_one_click(client, videos):
    client.http.post("/api/review/open", json={"path": str(videos)})
    mine = str(videos / "squares.mp4")
    client.http.post("/api/review", json={"path": mine, "verdict": "begin"})
    client.act("points.add", frame=0, xy=[RED, BLUE])
    client.act("points.correct", point=0, frame=2, xy=[20.0, 14.0])
    client.act("objects.click", frame=0, points=[RED, BLUE], labels=[1, 0])
    client.act("points.remove", points=[0, 1])
    review = client.http.post("/api/review", json={"path": mine, "verdict": "accepted"}).json()
    assert review["clicks"] == 2 + 1 + 2 + 1


def test_live_frames_come_and_a_click_is_a_point(client, videos):
    opened = client.http.post("/api/live", json={"source": str(videos / "squares.mp4")})
    assert opened.status_code == 200, opened.text
    with client.http.websocket_connect("/api/live/ws") as socket:
        shown, points = 0, 0
        while (message := socket.receive()).get("bytes") is not None:
            content = message["bytes"]
            length = int.from_bytes(content[:4], "little")
            head = json.loads(content[4 : 4 + length])
            assert head["wh"] == [80, 60] and content[4 + length : 6 + length] == b"\xff\xd8"
            shown, points = shown + 1, max(points, len(head["points"]))
            if shown == 1:
                socket.send_json({"add": RED, "frame": head["frame"]})
            socket.send_json({"next": True})
        assert json.loads(message["text"])["over"] and shown >= 2 and points == 1


def test_a_live_source_that_the_tracker_cannot_follow_is_not_opened(client, videos, models):
    object.__setattr__(models.load_tracker().config.window, "length", None)
    refused = client.http.post("/api/live", json={"source": str(videos / "squares.mp4")})
    assert refused.status_code == 400 and "needs the whole video at once" in refused.json()["error"]
    assert not [thread for thread in threading.enumerate() if "squares.mp4" in thread.name]
