"""The server without a browser: what is asked for is done, kept and told, and nothing else."""

from __future__ import annotations

import json
import time
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from starlette.testclient import TestClient

import pointtrack as pt
from pointtrack.datasets.format import list_clips, read_clip
from pointtrack.io.video import write_video
from pointtrack.objects.point_engine import PointEngine
from pointtrack.ui.desk import Desk
from pointtrack.ui.folders import Folders, safe_name
from pointtrack.ui.models import Models
from pointtrack.ui.rle import decode_mask, encode_mask
from pointtrack.ui.server import create_app
from tests.support.numbered import number_in
from tests.support.scenes import ColourSegmenter, squares

FRAMES = 12
SCENE = squares(
    [[(2 + 3 * t, 4 + t) for t in range(FRAMES)], [(60 - 3 * t, 38 - t // 2) for t in range(FRAMES)]]
)
RED, BLUE = [10.0, 12.0], [68.0, 46.0]  # on the squares of frame 0


class Client:
    """A page, as far as the server sees it."""

    def __init__(self, desk: Desk, video: Path):
        self.desk, self.http = desk, TestClient(create_app(desk))
        opened = self.http.post("/api/open", json={"path": str(video)})
        assert opened.status_code == 200, opened.text
        self.state0 = opened.json()["state"]
        self.base = f"/api/p/{self.state0['id']}"

    def act(self, act: str, code: int = 200, **args: Any) -> dict[str, Any]:
        answer = self.http.post(f"{self.base}/act", json={"act": act, "args": args})
        assert answer.status_code == code, answer.text
        return answer.json()

    def get(self, path: str, code: int = 200) -> Any:
        answer = self.http.get(f"{self.base}/{path}")
        assert answer.status_code == code, answer.text
        return answer.json()

    def post(self, path: str, code: int = 200, **content: Any) -> Any:
        answer = self.http.post(f"{self.base}/{path}", json=content)
        assert answer.status_code == code, answer.text
        return answer.json()

    @property
    def state(self) -> dict[str, Any]:
        return self.get("state")

    def mask(self, number: int, frame: int) -> np.ndarray:
        rows = self.get(f"masks/{frame}")["objects"]
        coded = next(row["mask"] for row in rows if row["id"] == number)
        return np.zeros((60, 80), bool) if coded is None else decode_mask(coded, (80, 60))

    def wait(self, done: Callable[[], bool], seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < end
            time.sleep(0.02)

    def run(self, **content: Any) -> None:
        self.post("run", **content)
        self.wait(lambda: self.state["run"] is None)


@pytest.fixture
def models(tiny_tracker) -> Models:
    models = Models("tiny")
    models._tracker = tiny_tracker

    def new_engine() -> PointEngine:
        segmenter = ColourSegmenter()
        return PointEngine(tiny_tracker, segmenter)

    models._make_engine = new_engine
    return models


@pytest.fixture
def videos(tmp_path) -> Path:
    folder = tmp_path / "videos"
    write_video(folder / "squares.mp4", SCENE.video, crf=1)
    write_video(folder / "other.mp4", pt.Video(SCENE.video.frames[::-1]), crf=1)
    return folder


@pytest.fixture
def new_client(models, videos, tmp_path):
    desks: list[Desk] = []

    def make(**options: Any) -> Client:
        desk = Desk(tmp_path / "home", Folders([videos]), models, **options)
        desks.append(desk)
        return Client(desk, videos / "squares.mp4")

    yield make
    for desk in desks:
        desk.close()


@pytest.fixture
def client(new_client) -> Client:
    return new_client()


# What a person does.


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


# What lasts.


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


def test_saved_projects_are_offered(new_client):
    first = new_client()
    first.act("points.add", frame=0, xy=[BLUE])
    first.desk.close()
    rows = new_client().http.get("/api/boot").json()["saved"]
    assert [row["name"] for row in rows] == ["squares.mp4"] and rows[0]["steps"] == 1 and rows[0]["there"]


# Files.


def test_exports_are_those_of_the_library(client):
    client.act("objects.click", frame=0, points=[RED], labels=[1])
    client.act("points.grid", frame=0, size=2)
    client.act("view", changes={"names": {"o1": "red"}})
    client.run(direction="both")
    project = client.desk.projects()[0]
    told: list[dict[str, Any]] = []
    project.notify = told.append
    wanted = {"tracks": ["npz", "csv"], "masks": ["coco", "ytvis", "davis", "cutout"], "videos": ["mp4"]}
    client.post("export", **wanted, sessions=True, stop=8)
    client.wait(lambda: any(event["type"] == "export" for event in told))
    done = next(event for event in told if event["type"] == "export")
    assert "error" not in done
    folder = Path(done["folder"])
    assert np.array_equal(
        pt.load_tracks(folder / "squares.npz").xy.numpy(), project.points.known(0, 8).xy.numpy()
    )
    masks = pt.load_masks(folder / "squares_ytvis.json")
    assert np.array_equal(masks.masks.numpy(), project.objects.masks(0, 8).masks.numpy()) and masks.names == (
        "red",
    )
    assert len(pt.read_video(folder / "squares_drawn.mp4")) == 8
    names = {row["name"] for row in done["files"]}
    assert {
        "squares.csv",
        "squares_davis",
        "squares_cutout.webm",
        "squares_points.npz",
        "squares_objects.npz",
    } <= names
    zipped = client.http.get(f"{client.base}/exports/{done['id']}/squares_davis")
    assert len(zipfile.ZipFile(BytesIO(zipped.content)).namelist()) >= 8
    assert any("pointtrack track" in line and "--export csv" in line for line in done["commands"])
    for path in (f"exports/{done['id']}/..%2F..%2Fjournal.jsonl", "exports/../journal.jsonl", "exports/a/b"):
        assert client.http.get(f"{client.base}/{path}").status_code == 404
    assert "expected some of" in client.post("export", 400, tracks=["docx"])["error"]
    assert "at least one" in client.post("export", 400)["error"]


def test_the_drawn_video_keeps_the_sound(client, videos, models, tmp_path):
    path = videos / "loud.mp4"
    with av.open(str(path), "w") as container:
        picture, sound = container.add_stream("libx264", rate=10), container.add_stream("aac", rate=44100)
        picture.width, picture.height, picture.pix_fmt = 80, 60, "yuv420p"
        for frame in SCENE.video.frames:
            container.mux(picture.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(picture.encode(None))
        for start in range(0, 44100, 1024):
            wave = np.sin(np.arange(start, start + 1024) * 0.06).astype(np.float32)[None]
            samples = av.AudioFrame.from_ndarray(wave, "fltp", "mono")
            samples.rate, samples.pts = 44100, start
            container.mux(sound.encode(samples))
        container.mux(sound.encode(None))
    loud = Client(client.desk, path)
    loud.act("points.add", frame=0, xy=[RED])
    loud.post("export", videos=["mp4"])
    project = next(one for one in client.desk.projects() if one.path == path)
    loud.wait(lambda: any(project.store.folder.glob("exports/*/loud_drawn.mp4")) and not project.worker.runs)
    with av.open(str(next(project.store.folder.glob("exports/*/loud_drawn.mp4")))) as container:
        assert len(container.streams.audio) == 1
        assert float(container.streams.audio[0].duration * container.streams.audio[0].time_base) > 0.9


def test_uploads_are_checked_named_safely_and_bounded(new_client, videos):
    client = new_client(most_upload_bytes=100_000, most_uploads=2)
    good = (videos / "other.mp4").read_bytes()
    answer = client.http.post("/api/upload?name=..%2F..%2F<b>up</b>.mp4", content=good)
    path = Path(answer.json()["path"])
    assert path.parent == client.desk.uploads and path.read_bytes() == good and "<" not in path.name
    for content, words in ((b"no video at all", "expected a video"), (b"", "whole file")):
        answer = client.http.post("/api/upload?name=a.mp4", content=content)
        assert answer.status_code == 400 and words in answer.json()["error"]
    answer = client.http.post("/api/upload?name=a.mp4", content=bytes(100_001))
    assert answer.status_code == 413
    answer = client.http.post("/api/upload?name=a.mp4", content=(bytes(10_000) for _ in range(20)))
    assert answer.status_code == 400 and "got more" in answer.json()["error"]
    assert client.http.post("/api/upload?name=b.mp4", content=good).status_code == 200
    assert "at most 2 files" in client.http.post("/api/upload?name=c.mp4", content=good).json()["error"]
    assert len(list(client.desk.uploads.iterdir())) == 2


def test_nothing_outside_of_the_folders_is_seen(client, videos, tmp_path):
    secret = tmp_path / "secret"
    write_video(secret / "secret.mp4", SCENE.video)
    (videos / "link.mp4").symlink_to(secret / "secret.mp4")
    (videos / "linked").symlink_to(secret)
    (videos / "within.mp4").symlink_to(videos / "other.mp4")
    listed = client.http.get("/api/browse", params={"path": str(videos)}).json()["entries"]
    assert [row["name"] for row in listed] == ["other.mp4", "squares.mp4", "within.mp4"]
    for path in (secret / "secret.mp4", videos / "link.mp4", videos / "linked" / "secret.mp4", videos / ".." / "secret", "/etc/passwd", "\0"):  # fmt: skip
        answer = client.http.post("/api/open", json={"path": str(path)})
        assert answer.status_code == 403 and "inside of" in answer.json()["error"], path
        assert client.http.get("/api/browse", params={"path": str(path)}).status_code == 403
    assert client.http.post("/api/live", json={"source": str(secret / "secret.mp4")}).status_code == 403
    assert client.http.post("/api/live", json={"source": "file:///etc/passwd"}).status_code == 400


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.mp4", "a.mp4"), ("../x/.hidden.mp4", "hidden.mp4"), ("..", "video"), ("C:\\v\\ü ñ.mov", "ü ñ.mov"), ("\"><script>.webm", "script.webm")],
)  # fmt: skip
def test_names_of_uploads(name, expected):
    assert safe_name(name) == expected


def test_20_000_frames_are_there_in_any_order(client, long_video):
    (client.desk.uploads / "long.mp4").write_bytes(long_video.read_bytes())
    long = Client(client.desk, client.desk.uploads / "long.mp4")
    assert long.state0["frames"] == 20_000
    for frame in (0, 19_999, 12_345, 12_346, 3, 7_000, 6_999):
        content = long.http.get(f"{long.base}/frame/{frame}").content
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        assert number_in(picture) == frame
    long.act("points.add", frame=12_000, xy=[[20, 20]])
    long.run(direction="both", start=11_990, stop=12_010)
    assert len(long.get("lanes?bins=400")["groups"]) == 1
    (client.desk.uploads / "long.mp4").unlink()


# Mistakes.


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
        ("points.add", {"frame": 0, "xy": []}, "1 to 10000"),
        ("points.add", {"frame": 0, "xy": [[1e30, 2]]}, "inside the"),
        ("points.add", {"frame": 1.5, "xy": [RED]}, "whole"),
        ("points.grid", {"frame": 0, "size": 1000}, "1 to 100"),
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


def test_wrong_bodies(client):
    for content in (b"[1]", b"{", b"\xff", b"[" * 100_000):
        assert client.http.post(f"{client.base}/act", content=content).status_code == 400
    assert client.http.get("/api/p/none/state").status_code == 404


# Review and live.


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
